//! Stage Rollout, its way back, and the keeping of stable: live Deployments and Services in `dependsOn` order, all or nothing.

use super::action::{Object, Target, TargetKind};
use super::draft::Draft;
use super::{Progress, foundation};
use crate::api::conditions::{ABORTED, ROLLOUT_FAILED, SUPERSEDED};
use crate::api::status::Verdict;
use crate::desired::{deployment, labels, service};
use crate::observed::{WorkloadView, content_hash};
use crate::platform::release::{Release, ReleaseService};

/// Rolls out the candidate, one service after the other.
pub(super) fn rollout(draft: &mut Draft<'_>) -> Progress {
    let id = draft.candidate_id();
    let Some(release) = draft.release(&id) else {
        return Progress::Waiting;
    };
    if !foundation::release(draft, &id) {
        return Progress::Waiting;
    }
    let because = format!("release {id} has passed its gate");
    for wanted in &release.services {
        match keep(draft, (&id, &release), wanted, &because) {
            Kept::Complete => {}
            Kept::Written | Kept::Moving => return moving(draft, &release, &wanted.name),
            Kept::Overdue(why) => return late(&wanted.name, &why),
        }
    }
    Progress::Passed
}

/// Each service has the deadline of the spec by its Deployment. That one ends with the first success, so the stage has a deadline too: for pods that break
/// after they were ready.
fn moving(draft: &mut Draft<'_>, release: &Release, service: &str) -> Progress {
    let services = u32::try_from(release.services.len()).unwrap_or(u32::MAX);
    let limit = f64::from(draft.platform.progress_deadline_seconds) * f64::from(services);
    let candidate = draft.memory.candidate.as_ref();
    let since = candidate.map_or(0.0, |candidate| draft.seconds_since(&candidate.since));
    if since > limit {
        return late(service, "they were ready, and are not any more");
    }
    draft.wait(format!("pods of {service}"), 10.0);
    Progress::Waiting
}

fn late(service: &str, why: &str) -> Progress {
    Progress::failed(
        ROLLOUT_FAILED,
        format!("pods of service {service} did not become ready in time: {why}"),
    )
}

/// Puts every service back to stable; the candidate is over once all pods are of stable again, or cannot be awaited any longer.
pub(super) fn return_to_stable(draft: &mut Draft<'_>) {
    let Some(candidate) = draft.memory.candidate.clone() else {
        return;
    };
    let Some(finding) = candidate.returning else {
        return;
    };
    let mut written = false;
    let mut complete = true;
    let removed = match draft.memory.stable.clone() {
        Some(stable) => {
            let Some(release) = draft.release(&stable.release) else {
                return foundation::record_is_missing(draft, &stable.release);
            };
            for wanted in &release.services {
                let because = "all services return to stable";
                let kept = keep(draft, (&stable.release, &release), wanted, because);
                written |= matches!(kept, Kept::Written);
                complete &= matches!(kept, Kept::Complete);
            }
            remove_others(draft, &release)
        }
        None => remove(draft, |seen| seen.release == candidate.release),
    };
    // Stable's own pods may be what is broken: then waiting for them would keep the remedy out.
    let deadline = f64::from(draft.platform.progress_deadline_seconds);
    let remedy_waits = draft.superseded && !draft.wants_stable();
    let given_up = remedy_waits || draft.seconds_since(&candidate.since) > deadline;
    if written || !removed || !(complete || given_up) {
        draft.wait("all services to be back at stable", 10.0);
        return;
    }
    let verdict = match finding.reason.as_str() {
        SUPERSEDED => Verdict::Superseded,
        ABORTED => Verdict::Aborted,
        _ => Verdict::Failed,
    };
    draft.conclude(verdict, finding);
}

/// Keeps the live objects as stable and the spec's replicas want them.
pub(super) fn settle(draft: &mut Draft<'_>) {
    let Some(stable) = draft.memory.stable.clone() else {
        return;
    };
    let id = stable.release;
    let Some(release) = draft.release(&id) else {
        return foundation::record_is_missing(draft, &id);
    };
    // Made again if somebody deleted it while the spec still says what it held.
    foundation::release(draft, &id);
    for wanted in &release.services {
        let because = "stable is kept as the spec says";
        keep(draft, (&id, &release), wanted, because);
    }
    remove_others(draft, &release);
}

enum Kept {
    /// All pods are as they should be.
    Complete,
    /// The objects are; their pods are on their way.
    Moving,
    /// The objects are, and their controller gave up.
    Overdue(String),
    /// The objects are written by this plan.
    Written,
}

fn keep(
    draft: &mut Draft<'_>,
    (id, release): (&str, &Release),
    wanted: &ReleaseService,
    because: &str,
) -> Kept {
    let address = service::live(draft.scope(id, release), wanted);
    let name = address.metadata.name.clone().unwrap_or_default();
    if draft.observed.others.get(&format!("Service/{name}"))
        != Some(&content_hash(&address.metadata))
    {
        draft.apply(Object::Service(Box::new(address)), because);
    }
    let seen = draft.observed.deployments.get(&name);
    // A service that left the spec keeps its pods until the release without it rolls out.
    let replicas = draft.platform.replicas(&wanted.name);
    let replicas = replicas.or(seen.map(|seen| seen.replicas)).unwrap_or(1);
    let pods = deployment::live(draft.scope(id, release), wanted, replicas);
    match seen {
        Some(seen) if seen.hash == content_hash(&pods.metadata) => {
            match (seen.complete, seen.deadline_exceeded) {
                (true, _) => Kept::Complete,
                (false, true) => Kept::Overdue(seen.message.clone().unwrap_or_default()),
                (false, false) => Kept::Moving,
            }
        }
        _ => {
            draft.apply(Object::Deployment(Box::new(pods)), because);
            Kept::Written
        }
    }
}

/// Removes live services that the release does not have; true when there is none.
fn remove_others(draft: &mut Draft<'_>, release: &Release) -> bool {
    remove(draft, |seen| release.service(&seen.service).is_none())
}

/// Removes live services; true when there is none to remove.
fn remove(draft: &mut Draft<'_>, unwanted: impl Fn(&WorkloadView) -> bool) -> bool {
    let all = draft.observed.deployments.values();
    let others: Vec<_> = all
        .filter(|seen| seen.track == labels::STABLE && unwanted(seen))
        .cloned()
        .collect();
    for seen in &others {
        let because = format!("service {} is not part of the release", seen.service);
        let target = |kind: TargetKind, uid: &str| Target {
            kind,
            name: seen.name.clone(),
            uid: uid.to_owned(),
        };
        draft.delete(target(TargetKind::Service, ""), because.clone());
        draft.delete(target(TargetKind::Deployment, &seen.uid), because);
    }
    others.is_empty()
}
