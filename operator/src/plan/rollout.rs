//! Stage Rollout, its way back, and the keeping of stable: live Deployments and Services in `dependsOn` order, all or nothing.

use super::action::Origin;
use super::draft::Draft;
use super::{Progress, around, foundation, keep, permit};
use crate::api::conditions::{
    ABORTED, CANARY_INCONCLUSIVE, JOB_NOT_OURS, ROLLOUT_FAILED, ROLLOUT_INCONCLUSIVE, SUPERSEDED,
    VERIFY_INCONCLUSIVE,
};
use crate::api::status::{Candidate, Finding, Slot, Stage, Verdict};
use crate::desired::{labels, names, service};
use crate::observed::WorkloadView;
use crate::platform::release::Release;

mod live;
pub(super) mod shift;

pub(super) use live::other_port;
use live::{Kept, Place};

/// Seconds that a gateway gets to follow a change of its route before what it left is removed.
pub(super) const ROUTE_SECONDS: f64 = 5.0;

/// Rolls out the candidate by the strategy that its roll-out began with.
pub(super) fn rollout(draft: &mut Draft<'_>) -> Progress {
    let id = draft.candidate_id();
    let Some(release) = draft.release(&id) else {
        return Progress::Waiting;
    };
    if !foundation::release(draft, &id) {
        return Progress::Waiting;
    }
    let candidate = draft.memory.candidate.as_ref();
    let because = match candidate.and_then(|candidate| candidate.code_of.as_ref()) {
        Some(of) => format!("release {id} has the code of {of}, which passed its gate"),
        None => format!("release {id} has passed its gate"),
    };
    let place = Place {
        id: &id,
        release: &release,
        slot: draft.slot(),
        because: &because,
        renews: true,
    };
    let candidate = draft.memory.candidate.as_ref();
    match candidate.and_then(|candidate| candidate.shift.clone()) {
        Some(shift) => shift::rollout(draft, place, &shift),
        None => in_place(draft, place),
    }
}

/// Pod by pod, one service after the other. The addresses of all come first: a new pod calls the services whose turn is later by the ports of its own release.
fn in_place(draft: &mut Draft<'_>, place: Place<'_>) -> Progress {
    let pods = service::Pods::Of(place.slot);
    let mut unaddressed = Vec::new();
    for wanted in &place.release.services {
        if !live::address(draft, place, wanted, pods) {
            unaddressed.push(names::live(&draft.platform.name, &wanted.name));
        }
    }
    for wanted in &place.release.services {
        let size = live::size(draft, &wanted.name, place.slot);
        match live::pods(draft, place, wanted, size) {
            Kept::Complete => {}
            Kept::Written if is_rolled_out(draft) => return written(draft, &wanted.name),
            // A write that is refused is made again and again.
            Kept::Written | Kept::Moving => {
                return moving(draft, place, (&wanted.name, age(draft)));
            }
            Kept::Overdue(why) => return late(draft, place, (&wanted.name, Some(why))),
        }
    }
    if unaddressed.is_empty() {
        return Progress::Passed;
    }
    let which = unaddressed.join(", ");
    if !is_rolled_out(draft) && age(draft) > limit(draft, place) {
        let message = format!(
            "Service {which} is not as it should be: it was not written in time, or somebody changes it whenever it is"
        );
        return Progress::Inconclusive(Finding::new(ROLLOUT_INCONCLUSIVE, message));
    }
    draft.wait(format!("Service {which}"), 10.0);
    Progress::Waiting
}

/// Seconds of the stage.
fn age(draft: &Draft<'_>) -> f64 {
    let candidate = draft.memory.candidate.as_ref();
    candidate.map_or(0.0, |candidate| draft.seconds_since(&candidate.since))
}

/// Seconds for all services together.
fn limit(draft: &Draft<'_>, place: Place<'_>) -> f64 {
    let services = u32::try_from(place.release.services.len()).unwrap_or(u32::MAX);
    f64::from(draft.platform.progress_deadline_seconds) * f64::from(services)
}

fn is_rolled_out(draft: &Draft<'_>) -> bool {
    let candidate = draft.memory.candidate.as_ref();
    candidate.is_some_and(|candidate| candidate.stage > Stage::Rollout)
}

/// Each service has the deadline of the spec by its Deployment. That one ends with the first success, so there is one for all of them too, in the seconds of `age`:
/// for pods that break after they were ready.
fn moving(draft: &mut Draft<'_>, place: Place<'_>, (service, age): (&str, f64)) -> Progress {
    if age > limit(draft, place) {
        return late(draft, place, (service, None));
    }
    written(draft, service)
}

/// What was written just now is never late.
fn written(draft: &mut Draft<'_>, service: &str) -> Progress {
    draft.wait(format!("pods of {service}"), 10.0);
    Progress::Waiting
}

/// Pods of a service were not ready in time: why, as far as anybody says, and the last words of the pods themselves. Those that could not start tell nothing of the release.
fn late(
    draft: &mut Draft<'_>,
    place: Place<'_>,
    (service, why): (&str, Option<String>),
) -> Progress {
    if let Some(why) = live::trouble(draft, place, service) {
        let message = format!("pods of service {service} could not be judged: {why}");
        return Progress::Inconclusive(Finding::new(ROLLOUT_INCONCLUSIVE, message));
    }
    let pods = live::own_pods(draft, place, service);
    let Some(words) = keep::last_words(draft, (place.id, Stage::Rollout), &pods) else {
        return Progress::Waiting;
    };
    let told: Vec<_> = why.into_iter().chain(words).collect();
    let why = match told.is_empty() {
        true => "look at their logs".to_owned(),
        false => told.join("; "),
    };
    Progress::failed(
        ROLLOUT_FAILED,
        format!("pods of service {service} were not all ready in time: {why}"),
    )
}

/// Puts every service back to stable; the candidate is over once all pods are of stable again, or cannot be awaited any longer.
pub(super) fn return_to_stable(draft: &mut Draft<'_>) {
    let Some(candidate) = draft.memory.candidate.clone() else {
        return;
    };
    let Some(finding) = candidate.returning.clone() else {
        return;
    };
    // Whoever reads the route needs a moment to see that nothing goes to the canary any more.
    let heard = !is_routed(&candidate) || draft.seconds_since(&candidate.since) > ROUTE_SECONDS;
    let Some((removed, complete)) = take_back(draft, &candidate, heard) else {
        return;
    };
    // Stable's own pods may be what is broken: then waiting for them would keep the remedy out.
    let deadline = f64::from(draft.platform.progress_deadline_seconds);
    let remedy_waits = draft.superseded && !draft.wants_stable();
    let given_up = remedy_waits || draft.seconds_since(&candidate.since) > deadline;
    if !removed || !(complete || given_up) {
        draft.wait(
            "all services to be back at stable",
            if heard { 10.0 } else { ROUTE_SECONDS },
        );
        return;
    }
    let verdict = match finding.reason.as_str() {
        SUPERSEDED => Verdict::Superseded,
        ABORTED => Verdict::Aborted,
        JOB_NOT_OURS | ROLLOUT_INCONCLUSIVE | CANARY_INCONCLUSIVE | VERIFY_INCONCLUSIVE => {
            Verdict::Inconclusive
        }
        _ => Verdict::Failed,
    };
    draft.conclude(verdict, finding);
}

/// Puts the services back, and removes what goes once nothing leads there. Out: whether nothing was left to remove, and whether all pods of stable are as they should be.
fn take_back(draft: &mut Draft<'_>, candidate: &Candidate, heard: bool) -> Option<(bool, bool)> {
    let came = draft.release(&candidate.release);
    let Some(stable) = draft.memory.stable.clone() else {
        if let Some(came) = &came {
            live::remove_addresses(draft, came, None);
        }
        let removed = live::remove(draft, None, |seen| seen.release == candidate.release);
        return Some((removed, true));
    };
    let Some(release) = draft.release(&stable.release) else {
        foundation::record_is_missing(draft, &stable.release);
        return None;
    };
    let place = Place {
        id: &stable.release,
        release: &release,
        slot: stable.slot,
        because: "all services return to stable",
        renews: false,
    };
    let (mut written, mut complete) = (false, true);
    for wanted in &release.services {
        let kept = live::keep(draft, place, wanted);
        written |= matches!(kept, Kept::Written);
        complete &= matches!(kept, Kept::Complete);
    }
    if let Some(came) = came.as_ref().filter(|_| heard) {
        written |= lead_back(draft, (candidate, came), place);
    }
    // Not before Services and route have left what goes.
    let left = !written && heard;
    if left && let Some(came) = &came {
        live::remove_addresses(draft, came, Some(&release));
    }
    let removed = left && remove_others(draft, place, |_| true);
    Some((removed, complete))
}

fn is_routed(candidate: &Candidate) -> bool {
    candidate.shift.as_ref().is_some_and(|shift| shift.routed)
}

/// A route that cannot be written keeps its shares, and the way back must not wait for it: the canary's own addresses select stable's pods. True when one is written.
fn lead_back(
    draft: &mut Draft<'_>,
    (candidate, came): (&Candidate, &Release),
    place: Place<'_>,
) -> bool {
    if !is_routed(candidate) || around::is_exposed(draft) {
        return false;
    }
    // With the port that the route names.
    let back = Place {
        id: &candidate.release,
        release: came,
        ..place
    };
    let services = came.services.iter();
    let led = services.filter(|own| place.release.service(&own.name).is_some());
    // All of them, also after the first that had to be written.
    let written = led.filter(|own| !live::preview(draft, back, own));
    written.count() > 0
}

/// Keeps the live objects as stable and the spec's replicas want them.
pub(super) fn settle(draft: &mut Draft<'_>) {
    let Some(stable) = draft.memory.stable.clone() else {
        return;
    };
    let Some(release) = draft.release(&stable.release) else {
        return foundation::record_is_missing(draft, &stable.release);
    };
    // Made again if somebody deleted it while the spec still says what it held.
    foundation::release(draft, &stable.release);
    let place = Place {
        id: &stable.release,
        release: &release,
        slot: stable.slot,
        because: "stable is kept as the spec says",
        renews: true,
    };
    let mut written = false;
    // A changed Secret starts pods again one service after the other: one that fails with it keeps its old pods, and the others theirs.
    let frozen = permit::frozen(draft);
    let mut renews = frozen.is_none();
    draft.restores = true;
    for wanted in &release.services {
        let kept = live::keep(draft, Place { renews, ..place }, wanted);
        renews &= matches!(kept, Kept::Complete);
        written |= matches!(kept, Kept::Written);
    }
    draft.restores = false;
    let mut services = release.services.iter();
    if let Some(frozen) = frozen
        && services.any(|wanted| live::lags(draft, place, wanted))
    {
        draft.hold_back(frozen);
    }
    if written {
        return;
    }
    // A gateway may still send requests where the route led a moment ago.
    if around::has_route(draft) && draft.seconds_since(&stable.since) <= ROUTE_SECONDS {
        draft.wake_in(ROUTE_SECONDS);
        return;
    }
    let delay = f64::from(draft.platform.strategy.scale_down_delay_seconds);
    let left = delay - draft.seconds_since(&stable.since);
    let others = draft.observed.deployments.values();
    let mut others = others.filter(|seen| seen.track == labels::STABLE);
    if left > 0.0 && others.any(|seen| seen.slot != stable.slot) {
        draft.wake_in(left);
    }
    let candidate = draft.memory.candidate.clone();
    let comes_back = |seen: &WorkloadView| {
        let mut candidate = candidate.iter();
        candidate.any(|candidate| candidate.release == seen.release)
    };
    draft.writing_for(Origin::Aside, |draft| {
        remove_others(draft, place, |seen| left <= 0.0 && !comes_back(seen))
    });
}

/// Removes what is live beside stable: services that it does not have, and those pods of the other slot that `goes` names. True when nothing was there to remove.
fn remove_others(
    draft: &mut Draft<'_>,
    place: Place<'_>,
    goes: impl Fn(&WorkloadView) -> bool,
) -> bool {
    for wanted in &place.release.services {
        live::remove_preview(draft, &wanted.name, "no canary is tested");
    }
    let slot: Slot = place.slot;
    live::remove(draft, Some(place.release), |seen| {
        let is_other = seen.slot != slot;
        (is_other && goes(seen)) || (!is_other && place.release.service(&seen.service).is_none())
    })
}
