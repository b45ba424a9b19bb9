//! What no release needs any more: candidate pods, Jobs, recorded inputs and scratch databases. Nothing goes before its verdict is saved.

use super::action::{Created, Target, TargetKind};
use super::draft::Draft;
use crate::api::conditions::JOB_NOT_OURS;
use crate::api::status::{Finding, ReleaseRecord, Stage, Verdict};
use crate::desired::job::Step;
use crate::desired::{fingerprint, labels, names, scratch};
use crate::observed::{JobEnd, JobView};

/// How many of the last releases keep their ended Jobs, so that a person can read the logs.
const RELEASES_WITH_JOBS: usize = 3;

/// Plans all removals.
pub(super) fn cleanup(draft: &mut Draft<'_>) {
    candidate_pods(draft);
    jobs(draft);
    scratch_databases(draft);
    revisions(draft);
}

/// Whether the candidate still needs its scratch database and pods.
fn trying(draft: &Draft<'_>, release: &str) -> bool {
    draft.memory.candidate.as_ref().is_some_and(|candidate| {
        candidate.release == release && candidate.stage <= Stage::Gate && candidate.held.is_none()
    })
}

fn candidate_pods(draft: &mut Draft<'_>) {
    let leftover: Vec<_> = draft
        .observed
        .deployments
        .values()
        .filter(|seen| {
            labels::is_tried(&seen.track) && !trying(draft, &seen.release) && !seen.deleting
        })
        .cloned()
        .collect();
    for seen in leftover {
        let because = format!("release {} is no longer being tried", seen.release);
        let address = Target {
            kind: TargetKind::Service,
            name: seen.name.clone(),
            uid: String::new(),
        };
        let pods = Target {
            kind: TargetKind::Deployment,
            name: seen.name,
            uid: seen.uid,
        };
        // The Service first: a crash in between leaves the Deployment, which leads here again.
        let first = vec![address.key()];
        draft.delete(address, because.clone());
        draft.delete_after(pods, because, first);
    }
}

fn jobs(draft: &mut Draft<'_>) {
    let recent: Vec<String> = draft
        .memory
        .releases
        .iter()
        .take(RELEASES_WITH_JOBS)
        .map(|record| record.release.clone())
        .collect();
    let at_work = [
        draft.memory.candidate.as_ref().map(|c| c.release.clone()),
        draft.memory.stable.as_ref().map(|s| s.release.clone()),
    ];
    // As saved, not as just found: nothing goes before its verdict is safe.
    let given_up = |uid: &str| {
        let verdict = verdict(&draft.observed.memory.releases, uid);
        matches!(verdict, Some(Verdict::Failed | Verdict::Inconclusive))
    };
    // Its pod has ended well; a Job says so a second or two after its pod.
    let ends_by_itself = |uid: &str| verdict(&draft.memory.releases, uid) == Some(Verdict::Passed);
    let mut leftover = Vec::new();
    for view in draft
        .observed
        .jobs
        .values()
        .filter(|view| view.owner == draft.platform.uid && !view.deleting)
    {
        let current = at_work.iter().flatten().any(|id| *id == view.release);
        let why = match &view.end {
            None if view.live_migration => continue,
            None if given_up(&view.uid) => "its verdict is found, and it would not end by itself",
            None if current && ends_by_itself(&view.uid) => continue,
            None if goes_back(draft, view) => "its release goes back to stable",
            None if beyond_gate(draft, view) && !is_scratch_removal(draft, &view.name) => {
                "its release goes on without it"
            }
            None if !current && !is_scratch_removal(draft, &view.name) => {
                "its release is no longer being tried"
            }
            Some(_) if !current && !recent.contains(&view.release) => {
                "only the last releases keep their Jobs"
            }
            _ => continue,
        };
        leftover.push((view.name.clone(), view.uid.clone(), why));
    }
    for (name, uid, why) in leftover {
        draft.delete(
            Target {
                kind: TargetKind::Job,
                name,
                uid,
            },
            why,
        );
    }
}

fn verdict(releases: &[ReleaseRecord], uid: &str) -> Option<Verdict> {
    let stages = releases.iter().flat_map(|release| &release.stages);
    let mut jobs = stages.flat_map(|stage| &stage.jobs);
    jobs.find(|job| job.uid.as_deref() == Some(uid))?.verdict
}

/// Whether a Job tests a release that is on its way back: what it would find is asked for no more.
fn goes_back(draft: &Draft<'_>, view: &JobView) -> bool {
    let live = [Stage::Rollout, Stage::Verify].map(Stage::name);
    let candidate = draft.memory.candidate.as_ref();
    candidate.is_some_and(|candidate| {
        let returns = candidate.returning.is_some() && candidate.release == view.release;
        returns && live.contains(&view.stage.as_str())
    })
}

/// Whether a Job belongs to the rehearsal or the tests of a release that is beyond them, because a person let it skip them.
fn beyond_gate(draft: &Draft<'_>, view: &JobView) -> bool {
    let early = [Stage::Rehearse, Stage::Gate].map(Stage::name);
    let candidate = draft.memory.candidate.as_ref();
    candidate.is_some_and(|candidate| {
        candidate.release == view.release
            && candidate.stage > Stage::Gate
            && early.contains(&view.stage.as_str())
    })
}

fn is_scratch_removal(draft: &Draft<'_>, job: &str) -> bool {
    draft
        .memory
        .scratch
        .iter()
        .any(|id| removal_name(draft, id).as_deref() == Some(job))
}

fn removal_name(draft: &Draft<'_>, id: &str) -> Option<String> {
    let release = draft.release(id)?;
    Some(names::job(draft.scope(id, &release), &removal_step()))
}

fn removal_step() -> Step {
    Step {
        stage: Stage::Rehearse,
        name: "remove-scratch".to_owned(),
        attempt: 1,
    }
}

/// Drops scratch databases; each stays on the list until its Job is complete.
fn scratch_databases(draft: &mut Draft<'_>) {
    for id in draft.memory.scratch.clone() {
        if trying(draft, &id) {
            continue;
        }
        let Some(release) = draft.release(&id) else {
            draft.memory.scratch.retain(|listed| *listed != id);
            continue;
        };
        let removal = scratch::remove(draft.scope(&id, &release), &removal_step());
        let name = removal.metadata.name.clone().unwrap_or_default();
        let Some(view) = draft.observed.jobs.get(&name).cloned() else {
            let because = format!("the scratch database of release {id} is dropped");
            draft.create(Created::Job(Box::new(removal)), because);
            continue;
        };
        let is_other = view.release != id || view.fingerprint != fingerprint(&removal);
        let because = match &view.end {
            _ if view.owner != draft.platform.uid => {
                in_the_way(draft, &view, &id);
                continue;
            }
            // An older operator's runs another image of PostgreSQL; a forged one runs anything.
            _ if is_other => "it is not the Job that drops the scratch database",
            Some(JobEnd::Complete) => {
                draft.memory.scratch.retain(|listed| *listed != id);
                "the scratch database is dropped"
            }
            Some(JobEnd::Failed { .. }) => {
                "the scratch database could not be dropped; it is tried again"
            }
            None => "",
        };
        let is_dropped = !draft.memory.scratch.contains(&id);
        if !because.is_empty() && (is_dropped || !view.deleting) {
            let (kind, uid) = (TargetKind::Job, view.uid);
            let target = Target { kind, name, uid };
            if is_dropped {
                draft.drops.insert(target.key(), id.clone());
            }
            draft.delete(target, because);
        }
        if !is_dropped {
            draft.wake_in(30.0);
        }
    }
}

/// A Job that somebody else has made under the name of one of ours is left alone, and told of.
fn in_the_way(draft: &mut Draft<'_>, view: &JobView, id: &str) {
    let message = format!(
        "Job {} has the name of the one that drops the scratch database of release {id}, and this platform does not own it: delete that Job",
        view.name
    );
    let finding = Finding::new(JOB_NOT_OURS, message);
    draft.problem.get_or_insert(finding);
    draft.wake_in(30.0);
}

fn revisions(draft: &mut Draft<'_>) {
    let known = |id: &String| {
        draft
            .memory
            .releases
            .iter()
            .any(|record| record.release == *id)
            || draft.memory.scratch.contains(id)
            || draft
                .memory
                .stable
                .as_ref()
                .is_some_and(|stable| stable.release == *id)
            || draft
                .wanted
                .as_ref()
                .is_some_and(|(wanted, _)| wanted == id)
    };
    let leftover: Vec<_> = draft
        .observed
        .releases
        .keys()
        .filter(|id| !known(id))
        .cloned()
        .collect();
    for id in leftover {
        let name = names::revision(&draft.platform.name, &id);
        draft.delete(
            Target {
                kind: TargetKind::Revision,
                name,
                uid: String::new(),
            },
            "its release is history",
        );
    }
}

#[cfg(test)]
mod tests;
