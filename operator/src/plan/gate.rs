//! Stage Gate: candidate pods on the scratch database, outside every live Service, and test Jobs against them.

use super::action::Object;
use super::draft::Draft;
use super::judge::{self, Kind};
use super::steps::{self, Work};
use super::{Progress, record};
use crate::api::conditions::{CANDIDATE_NOT_READY, GATE_INCONCLUSIVE, TESTS_FAILED};
use crate::api::spec::{GatePolicy, TestPhase};
use crate::api::status::{Finding, Stage};
use crate::cost::seconds;
use crate::desired::{Track, deployment, job, labels, service};
use crate::observed::{PodView, WorkloadView, content_hash};
use crate::platform::release::{Release, ReleaseTest};

/// Brings up the candidate and runs its tests.
pub(super) fn gate(draft: &mut Draft<'_>) -> Progress {
    let id = draft.candidate_id();
    let Some(release) = draft.release(&id) else {
        return Progress::Waiting;
    };
    if release.gate == GatePolicy::None || draft.is_ungated() {
        return Progress::Skipped;
    }
    // Of every test, so that none stops a roll-out for this.
    if let Some(finding) = unread(draft, release.tests.iter(), GATE_INCONCLUSIVE) {
        return Progress::Inconclusive(finding);
    }
    let testing = record::stage(&mut draft.memory.releases, &id, Stage::Gate)
        .is_some_and(|stage| !stage.jobs.is_empty());
    if !testing {
        let ready = candidate_pods(draft, &id, &release);
        if !ready.is_good() {
            return ready;
        }
    }
    let run = Run {
        id: &id,
        release: &release,
        phase: TestPhase::Gate,
        stage: Stage::Gate,
        track: Track::Scratch,
        prefix: String::new(),
        reasons: (TESTS_FAILED, GATE_INCONCLUSIVE),
    };
    match tests(draft, &run) {
        Progress::Failed(finding) if was_disturbed(draft, &id) => {
            let message = format!(
                "a pod of the candidate was replaced while it was tested; {}",
                finding.message
            );
            Progress::Inconclusive(Finding::new(GATE_INCONCLUSIVE, message))
        }
        ended => ended,
    }
}

/// One run of all tests of a phase.
pub(super) struct Run<'r> {
    /// Release id.
    pub id: &'r str,
    /// The release.
    pub release: &'r Release,
    /// Which tests.
    pub phase: TestPhase,
    /// Stage that it belongs to.
    pub stage: Stage,
    /// What they are pointed at.
    pub track: Track,
    /// Begins the name of each step; keeps the runs of one stage apart.
    pub prefix: String,
    /// Reason of a failure, and of an end that says nothing.
    pub reasons: (&'static str, &'static str),
}

/// Runs all tests of a phase side by side.
pub(super) fn tests(draft: &mut Draft<'_>, run: &Run<'_>) -> Progress {
    if let Some(finding) = unread(draft, run.release.tests_in(run.phase), run.reasons.1) {
        return Progress::Inconclusive(finding);
    }
    let mut all = Vec::new();
    for test in run.release.tests_in(run.phase) {
        let work = Work {
            release: run.id,
            stage: run.stage,
            step: format!("{}{}", run.prefix, test.name),
            kind: Kind::Test {
                report: test.report.is_some(),
                min_tests: test.min_tests,
            },
            tries: test.attempts,
            reasons: run.reasons,
        };
        all.push(steps::run(draft, &work, |draft, step| {
            job::test(draft.scope(run.id, run.release), step, test, run.track)
        }));
    }
    Progress::worst(all)
}

/// Why a test cannot run at all: nobody would read its report.
fn unread<'t>(
    draft: &Draft<'_>,
    mut tests: impl Iterator<Item = &'t ReleaseTest>,
    reason: &str,
) -> Option<Finding> {
    let known = draft.platform.settings.operator_image.is_some();
    let test = tests.find(|test| test.report.is_some() && !known)?;
    let message = format!(
        "nothing can read the report of test {}: start the operator with --operator-image",
        test.name
    );
    Some(Finding::new(reason, message))
}

/// Makes the candidate's pods and addresses and waits until all are ready.
fn candidate_pods(draft: &mut Draft<'_>, id: &str, release: &Release) -> Progress {
    let because = format!("release {id} is tried on its scratch database");
    let mut missing = Vec::new();
    let mut overdue = Vec::new();
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
                if is_overdue(draft, seen) {
                    overdue.push(seen.clone());
                } else if !seen.complete {
                    missing.push(name);
                }
            }
            _ => {
                draft.apply(Object::Deployment(Box::new(pods)), because.clone());
                missing.push(name);
            }
        }
    }
    if let Some(seen) = overdue.first() {
        return not_ready(draft, id, seen);
    }
    if missing.is_empty() {
        return Progress::Passed;
    }
    draft.wait(format!("candidate pods of {}", missing.join(", ")), 10.0);
    Progress::Waiting
}

/// Counted by the Deployment's own controller, so that time in which the operator was away counts for nothing. It stops counting at the first success;
/// from then on the age of the Deployment counts.
fn is_overdue(draft: &Draft<'_>, seen: &WorkloadView) -> bool {
    let deadline = 2.0 * f64::from(draft.platform.progress_deadline_seconds);
    let age = seen
        .created
        .map_or(0.0, |created| seconds(created, draft.now));
    !seen.complete && (seen.deadline_exceeded || age > deadline)
}

fn not_ready(draft: &Draft<'_>, id: &str, seen: &WorkloadView) -> Progress {
    let what = format!("candidate pods of {} were not ready in time", seen.name);
    let pods: Vec<_> = candidates(draft, id)
        .filter(|pod| pod.service == seen.service)
        .collect();
    let why = if pods.is_empty() {
        let words = seen
            .message
            .as_deref()
            .unwrap_or("look at the events of its ReplicaSet");
        Some(format!("no pod could be made: {words}"))
    } else {
        judge::unstartable(&pods)
    };
    match why {
        Some(why) => {
            Progress::Inconclusive(Finding::new(GATE_INCONCLUSIVE, format!("{what}: {why}")))
        }
        None => Progress::failed(CANDIDATE_NOT_READY, format!("{what}: look at their logs")),
    }
}

/// Whether a pod of the candidate was replaced while it was tested: a test that met a pod on its way out says nothing about the image.
fn was_disturbed(draft: &mut Draft<'_>, id: &str) -> bool {
    let stage = record::stage(&mut draft.memory.releases, id, Stage::Gate);
    let jobs = stage.map(|stage| stage.jobs.clone()).unwrap_or_default();
    let began = jobs
        .iter()
        .filter_map(|job| job.started_at.as_ref())
        .map(|time| time.0)
        .min();
    let newest = candidates(draft, id).filter_map(|pod| pod.created).max();
    began
        .zip(newest)
        .is_some_and(|(began, newest)| newest > began)
}

fn candidates<'d>(draft: &'d Draft<'_>, id: &str) -> impl Iterator<Item = &'d PodView> {
    let pods = draft.observed.pods.iter();
    pods.filter(move |pod| {
        pod.release == id && pod.track == labels::CANDIDATE && !pod.service.is_empty()
    })
}
