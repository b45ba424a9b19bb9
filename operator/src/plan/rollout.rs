//! Stage Rollout, its way back, and the keeping of stable: live Deployments and Services in `dependsOn` order, all or nothing.

use super::action::{Object, Target, TargetKind};
use super::draft::Draft;
use super::{Progress, foundation};
use crate::api::conditions::{ROLLOUT_FAILED, SUPERSEDED};
use crate::api::status::Verdict;
use crate::desired::{deployment, labels, service};
use crate::observed::content_hash;
use crate::platform::release::{Release, ReleaseService};

/// Rolls out the candidate, one service after the other.
pub(super) fn rollout(draft: &mut Draft<'_>) -> Progress {
    let id = draft.candidate_id();
    let Some(release) = draft.release(&id) else {
        return Progress::Waiting;
    };
    if !foundation::recorded(draft) {
        return Progress::Waiting;
    }
    for wanted in &release.services {
        match keep(
            draft,
            (&id, &release),
            wanted,
            &format!("release {id} has passed its gate"),
        ) {
            Kept::Complete => {}
            Kept::Moving => {
                draft.wait(format!("pods of {}", wanted.name), 10.0);
                return Progress::Waiting;
            }
            Kept::Overdue(why) => {
                return Progress::failed(
                    ROLLOUT_FAILED,
                    format!(
                        "pods of service {} did not become ready in time: {why}",
                        wanted.name
                    ),
                );
            }
        }
    }
    Progress::Passed
}

/// Puts every service back to stable; the candidate is over once all pods are of stable again.
pub(super) fn return_to_stable(draft: &mut Draft<'_>) {
    let Some(finding) = draft
        .memory
        .candidate
        .as_ref()
        .and_then(|candidate| candidate.returning.clone())
    else {
        return;
    };
    let stable = draft
        .memory
        .stable
        .clone()
        .and_then(|stable| Some((draft.release(&stable.release)?, stable.release)));
    let mut done = true;
    if let Some((release, id)) = &stable {
        for wanted in &release.services {
            let kept = keep(
                draft,
                (id, release),
                wanted,
                "all services return to stable",
            );
            done &= matches!(kept, Kept::Complete);
        }
    }
    let keep: Vec<String> = stable
        .iter()
        .flat_map(|(release, _)| release.services.iter().map(|service| service.name.clone()))
        .collect();
    done &= remove_others(draft, &keep);
    if !done {
        draft.wait("all services to be back at stable", 10.0);
        return;
    }
    let verdict = if finding.reason == SUPERSEDED {
        Verdict::Superseded
    } else {
        Verdict::Failed
    };
    draft.conclude(verdict, finding);
}

/// Keeps the live objects as stable and the spec's replicas want them.
pub(super) fn settle(draft: &mut Draft<'_>) {
    let Some(id) = draft
        .memory
        .stable
        .as_ref()
        .map(|stable| stable.release.clone())
    else {
        return;
    };
    let Some(release) = draft.release(&id) else {
        return;
    };
    for wanted in &release.services {
        keep(
            draft,
            (&id, &release),
            wanted,
            "stable is kept as the spec says",
        );
    }
    let keep: Vec<String> = release
        .services
        .iter()
        .map(|service| service.name.clone())
        .collect();
    remove_others(draft, &keep);
}

enum Kept {
    Complete,
    Moving,
    Overdue(String),
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
    let pods = deployment::live(draft.scope(id, release), wanted);
    match draft.observed.deployments.get(&name) {
        Some(seen) if seen.hash == content_hash(&pods.metadata) => {
            match (seen.complete, seen.deadline_exceeded) {
                (true, _) => Kept::Complete,
                (false, true) => Kept::Overdue(seen.message.clone().unwrap_or_default()),
                (false, false) => Kept::Moving,
            }
        }
        _ => {
            draft.apply(Object::Deployment(Box::new(pods)), because);
            Kept::Moving
        }
    }
}

/// Removes live services that the release does not have; true when there is none.
fn remove_others(draft: &mut Draft<'_>, keep: &[String]) -> bool {
    let others: Vec<_> = draft
        .observed
        .deployments
        .values()
        .filter(|seen| seen.track == labels::STABLE && !keep.contains(&seen.service))
        .cloned()
        .collect();
    for seen in &others {
        let because = format!("service {} is not part of the release", seen.service);
        draft.delete(
            Target {
                kind: TargetKind::Service,
                name: seen.name.clone(),
                uid: String::new(),
            },
            because.clone(),
        );
        draft.delete(
            Target {
                kind: TargetKind::Deployment,
                name: seen.name.clone(),
                uid: seen.uid.clone(),
            },
            because,
        );
    }
    others.is_empty()
}
