//! Which release the spec asks for, and what that means for the one at work. A release whose images the operator's policy forbids is neither begun nor gone on with.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::draft::Draft;
use super::{asked, foundation, permit, requests, resolve, update, usable};
use crate::api::conditions;
use crate::api::status::{Candidate, Finding, Stage, Verdict};
use crate::cost::seconds;
use crate::desired::labels;
use crate::observed::WorkloadView;

/// Seconds for which a rejected release that the spec has left is remembered: 30 days.
const REJECTED_FOR: f64 = 30.0 * 86_400.0;

/// Records resolved images and admits, keeps or replaces the candidate.
pub(super) fn admit(draft: &mut Draft<'_>) {
    resolve::resolve(draft);
    update::update(draft);
    let wanted = draft.platform.wanted(&draft.memory.images);
    draft.wanted = wanted.map(|release| (release.id(), release));
    if draft.moved {
        return;
    }
    asked::note(draft);
    requests::handle(draft);
    if leave_forbidden(draft) {
        return;
    }
    let Some((id, release)) = draft.wanted.clone().filter(|_| !draft.moved) else {
        return;
    };
    leave_rejected(draft, &id);
    let stable = draft.wants_stable();
    let hindered = !is_rejected(draft, &id) && usable::hinders(draft, &release);
    match draft.memory.candidate.clone() {
        Some(candidate) if candidate.release == id => {}
        // A person went back from what the spec asks for.
        Some(candidate)
            if candidate
                .rollback
                .as_ref()
                .is_some_and(|left| left.release == id) => {}
        Some(candidate) => {
            draft.superseded = true;
            replace(draft, &candidate);
        }
        None if stable || is_rejected(draft, &id) => {}
        None if memory_is_lost(draft) => adopt(draft),
        None if hindered => {}
        None => {
            draft.superseded = draft.memory.stable.is_some();
            if leftovers(draft, &id) {
                draft.wait(
                    format!("Jobs of a forgotten try of release {id} to be removed"),
                    5.0,
                );
            } else if draft.memory.scratch.contains(&id) {
                draft.wait(
                    format!("the scratch database of an earlier try of release {id} to be dropped"),
                    5.0,
                );
            } else if !super::optimise::is_at_rest(draft) {
                // It has said what it waits for.
            } else if draft.platform.paused {
                asked::wait(draft);
                draft.hold_back(permit::paused());
            } else {
                draft.start(&id, &release);
            }
        }
    }
}

/// Whether a release is not tried again by itself. One that the spec had left and asks for again is.
pub(super) fn is_rejected(draft: &Draft<'_>, id: &str) -> bool {
    let mut all = draft.memory.rejected.iter();
    all.any(|rejected| rejected.release == id && rejected.left_at.is_none())
}

/// Marks rejected releases that the spec does not ask for any more, and forgets old ones.
fn leave_rejected(draft: &mut Draft<'_>, id: &str) {
    let now = draft.now;
    let rejected = &mut draft.memory.rejected;
    for left in rejected
        .iter_mut()
        .filter(|rejected| rejected.release != id)
    {
        left.left_at.get_or_insert(Time(now));
    }
    let is_old = |left: &Time| seconds(left.0, now) > REJECTED_FOR;
    rejected.retain(|rejected| !rejected.left_at.as_ref().is_some_and(is_old));
}

/// Ends a candidate that was begun under a policy that allowed its images. It may begin again by itself once the present one allows them.
fn leave_forbidden(draft: &mut Draft<'_>) -> bool {
    let candidate = draft.memory.candidate.clone();
    // Stable's own images are not asked about: what serves is not torn down.
    let candidate = candidate.filter(|at_work| at_work.returning.is_none() && !draft.moved);
    let Some(candidate) = candidate else {
        return false;
    };
    let Some(why) = resolve::forbids(draft, &candidate.release) else {
        return false;
    };
    let message = format!("the operator's image policy does not allow it any more: {why}");
    draft.forbidden = Some(Finding::new(conditions::SUPERSEDED, message));
    draft.superseded = true;
    replace(draft, &candidate);
    true
}

/// A running test is dropped at once, a running migration never, a roll-out is taken back.
fn replace(draft: &mut Draft<'_>, candidate: &Candidate) {
    let because = draft.superseding();
    let waits = candidate.held.is_some() || permit::is_waiting(draft, candidate);
    match candidate.stage {
        _ if candidate.returning.is_some() => {}
        stage if stage < Stage::Migrate || (stage <= Stage::Rollout && waits) => {
            draft.conclude(Verdict::Superseded, because)
        }
        Stage::Resolve | Stage::Backup | Stage::Rehearse | Stage::Gate => {}
        Stage::Approve | Stage::Migrate => {}
        Stage::Rollout | Stage::Verify | Stage::Optimise => draft.start_return(because),
    }
}

/// Whether live Deployments stand there although nothing is remembered: somebody removed the status.
pub(super) fn memory_is_lost(draft: &Draft<'_>) -> bool {
    let memory = &draft.memory;
    memory.stable.is_none() && memory.releases.is_empty() && live(draft).next().is_some()
}

fn live<'d>(draft: &'d Draft<'_>) -> impl Iterator<Item = &'d WorkloadView> {
    let all = draft.observed.deployments.values();
    all.filter(|seen| seen.track == labels::STABLE && !seen.deleting)
}

/// Takes what is live for stable: a release gets there only after its gate, or where the spec asks for none.
fn adopt(draft: &mut Draft<'_>) {
    let slot = live(draft).next().map(|seen| seen.slot).unwrap_or_default();
    let live: BTreeSet<String> = live(draft).map(|seen| seen.release.clone()).collect();
    let mut all = live.into_iter();
    let (first, second) = (all.next().unwrap_or_default(), all.next());
    match (draft.release(&first), second) {
        (Some(release), None) => draft.adopt(&first, &release, slot),
        (None, _) => foundation::record_is_missing(draft, &first),
        (_, Some(second)) => {
            let message = format!(
                "the status is lost, and live Deployments are of releases {first} and {second}: restore the status, or delete the Deployments of the one that shall not serve (label {})",
                labels::RELEASE
            );
            draft.problem = Some(Finding::new(conditions::STATUS_LOST, message));
        }
    }
}

/// Whether Jobs of a release stand there that is not remembered: their names would be taken for those of the new try.
fn leftovers(draft: &Draft<'_>, id: &str) -> bool {
    let known = draft
        .memory
        .releases
        .iter()
        .any(|record| record.release == id);
    let mut jobs = draft.observed.jobs.values();
    !known && jobs.any(|job| job.owner == draft.platform.uid && job.release == id)
}
