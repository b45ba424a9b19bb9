//! Stage Gate: candidate pods on the scratch database, outside every live Service, and test Jobs against them.

use super::action::Object;
use super::draft::Draft;
use super::judge::{self, Kind};
use super::steps::{self, Work};
use super::{Progress, record};
use crate::api::conditions::{CANDIDATE_NOT_READY, GATE_INCONCLUSIVE, TESTS_FAILED};
use crate::api::spec::{GatePolicy, TestPhase};
use crate::api::status::{Finding, Stage};
use crate::desired::{Track, deployment, job, labels, service};
use crate::observed::content_hash;
use crate::platform::release::Release;

/// Brings up the candidate and runs its tests.
pub(super) fn gate(draft: &mut Draft<'_>) -> Progress {
    let id = draft.candidate_id();
    let Some(release) = draft.release(&id) else {
        return Progress::Waiting;
    };
    if release.gate == GatePolicy::None {
        return Progress::Skipped;
    }
    let testing = record::stage(&mut draft.memory.releases, &id, Stage::Gate)
        .is_some_and(|stage| !stage.jobs.is_empty());
    if !testing {
        let ready = candidate_pods(draft, &id, &release);
        if !ready.is_good() {
            return ready;
        }
    }
    tests(draft, (&id, &release), (TestPhase::Gate, Track::Scratch))
}

/// Runs all tests of a phase side by side.
pub(super) fn tests(
    draft: &mut Draft<'_>,
    (id, release): (&str, &Release),
    (phase, track): (TestPhase, Track),
) -> Progress {
    let stage = match phase {
        TestPhase::Gate => Stage::Gate,
        TestPhase::Verify => Stage::Verify,
    };
    let mut all = Vec::new();
    for test in release.tests_in(phase) {
        let work = Work {
            release: id,
            stage,
            step: test.name.clone(),
            kind: Kind::Test {
                report: test.report.is_some(),
                min_tests: test.min_tests,
            },
            tries: test.attempts,
            reasons: if phase == TestPhase::Gate {
                (TESTS_FAILED, GATE_INCONCLUSIVE)
            } else {
                super::verify::REASONS
            },
        };
        all.push(steps::run(draft, &work, |draft, step| {
            job::test(draft.scope(id, release), step, test, track)
        }));
    }
    Progress::worst(all)
}

/// Makes the candidate's pods and addresses and waits until all are ready.
fn candidate_pods(draft: &mut Draft<'_>, id: &str, release: &Release) -> Progress {
    let because = format!("release {id} is tried on its scratch database");
    let mut missing = Vec::new();
    for wanted in &release.services {
        let address = service::candidate(draft.scope(id, release), wanted);
        let name = address.metadata.name.clone().unwrap_or_default();
        if draft.observed.others.get(&format!("Service/{name}"))
            != Some(&content_hash(&address.metadata))
        {
            draft.apply(Object::Service(Box::new(address)), because.clone());
        }
        let pods = deployment::candidate(draft.scope(id, release), wanted);
        match draft.observed.deployments.get(&name) {
            Some(seen) if seen.hash == content_hash(&pods.metadata) => {
                if !seen.complete {
                    missing.push(name);
                }
            }
            _ => {
                draft.apply(Object::Deployment(Box::new(pods)), because.clone());
                missing.push(name);
            }
        }
    }
    if missing.is_empty() {
        Progress::Passed
    } else {
        overdue(draft, id, &missing)
    }
}

fn overdue(draft: &mut Draft<'_>, id: &str, missing: &[String]) -> Progress {
    let deadline = f64::from(draft.platform.progress_deadline_seconds);
    let since = draft
        .memory
        .candidate
        .as_ref()
        .map_or(0.0, |candidate| draft.seconds_since(&candidate.since));
    if since < deadline {
        draft.wait(
            format!("candidate pods of {}", missing.join(", ")),
            (deadline - since).min(10.0),
        );
        return Progress::Waiting;
    }
    let pods: Vec<_> = draft
        .observed
        .pods
        .iter()
        .filter(|pod| {
            pod.release == id && pod.track == labels::CANDIDATE && !pod.service.is_empty()
        })
        .collect();
    let what = format!(
        "candidate pods of {} were not ready within {deadline} s",
        missing.join(", ")
    );
    match judge::unstartable(&pods) {
        Some(why) => Progress::Inconclusive(Finding {
            reason: GATE_INCONCLUSIVE.to_owned(),
            message: format!("{what}: {why}"),
        }),
        None => Progress::failed(CANDIDATE_NOT_READY, format!("{what}: look at their logs")),
    }
}
