//! Stage Verify: test Jobs against the live Services, with synthetic rows.

use super::draft::Draft;
use super::rollout;
use super::{Progress, gate};
use crate::api::conditions::{VERIFY_FAILED, VERIFY_INCONCLUSIVE};
use crate::api::spec::TestPhase;
use crate::api::status::Stage;
use crate::desired::Track;

/// Runs the tests of the phase while the roll-out is kept as it is: it is over only with all pods ready.
pub(super) fn verify(draft: &mut Draft<'_>) -> Progress {
    let id = draft.candidate_id();
    let Some(release) = draft.release(&id) else {
        return Progress::Waiting;
    };
    let rolled_out = rollout::rollout(draft);
    if matches!(rolled_out, Progress::Failed(_) | Progress::Inconclusive(_)) {
        return rolled_out;
    }
    let run = gate::Run {
        id: &id,
        release: &release,
        phase: TestPhase::Verify,
        stage: Stage::Verify,
        track: Track::Live,
        prefix: String::new(),
        // Both return to stable, for live traffic is at stake.
        reasons: (VERIFY_FAILED, VERIFY_INCONCLUSIVE),
    };
    let tested = gate::tests(draft, &run);
    if tested.is_good() && !rolled_out.is_good() {
        return rolled_out;
    }
    tested
}
