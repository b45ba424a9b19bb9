//! Stage Gate: candidate pods on the scratch database, outside every live Service, and test Jobs against them; then, where a test asks for it, stable and
//! candidate side by side.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;

use super::action::Object;
use super::draft::Draft;
use super::judge::{self, Kind};
use super::steps::{self, Work};
use super::{Progress, beside, keep, record};
use crate::api::conditions::{CANDIDATE_NOT_READY, GATE_INCONCLUSIVE, TESTS_FAILED};
use crate::api::spec::{GatePolicy, TestPhase};
use crate::api::status::{Finding, Stage};
use crate::cost::seconds;
use crate::desired::{Track, deployment, job, labels, service};
use crate::observed::{Observed, PodView, WorkloadView, content_hash};
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
        record::ready(&mut draft.memory.releases, (&id, Stage::Gate), draft.now);
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
    let tested = tests(draft, &run);
    let tested = undisturbed(draft, tested, (&id, &[labels::CANDIDATE], |_| true));
    if !tested.is_good() {
        return tested;
    }
    // Last, so that nothing else of this release is at work while speed is measured.
    let compared = beside::compare(draft, (&id, &release));
    Progress::worst(vec![tested, compared])
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
            kind: kind(test),
            tries: test.attempts,
            reasons: run.reasons,
        };
        all.push(steps::run(draft, &work, |draft, step| {
            job::test(draft.scope(run.id, run.release), step, test, run.track)
        }));
    }
    Progress::worst(all)
}

/// How the end of a test is read.
pub(super) fn kind(test: &ReleaseTest) -> Kind {
    Kind::Test {
        report: test.report.is_some(),
        min_tests: test.min_tests,
        budget: test.budget(),
    }
}

/// Why a test cannot run at all: nobody would read its report.
pub(super) fn unread<'t>(
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

/// Pods on a scratch database, with their addresses.
pub(super) struct Tried<'t> {
    /// Release that is tried.
    pub id: &'t str,
    /// Their track.
    pub track: &'static str,
    /// Address and pods of each service.
    pub objects: Vec<(Service, Deployment)>,
    /// What they are called in messages.
    pub name: &'static str,
    /// Reason when they do not become ready by themselves.
    pub not_ready: &'static str,
}

fn candidate_pods(draft: &mut Draft<'_>, id: &str, release: &Release) -> Progress {
    let scope = draft.scope(id, release);
    let objects = release.services.iter().map(|wanted| {
        (
            service::candidate(scope, wanted),
            deployment::candidate(scope, wanted),
        )
    });
    let tried = Tried {
        id,
        track: labels::CANDIDATE,
        objects: objects.collect(),
        name: "candidate pods",
        not_ready: CANDIDATE_NOT_READY,
    };
    await_pods(draft, tried)
}

/// Makes pods and addresses and waits until all are ready.
pub(super) fn await_pods(draft: &mut Draft<'_>, tried: Tried<'_>) -> Progress {
    let because = format!("release {} is tried on its scratch database", tried.id);
    let mut missing = Vec::new();
    let mut overdue = Vec::new();
    for (address, pods) in &tried.objects {
        let name = address.metadata.name.clone().unwrap_or_default();
        if draft.observed.others.get(&format!("Service/{name}"))
            != Some(&content_hash(&address.metadata))
        {
            draft.apply(Object::Service(Box::new(address.clone())), because.clone());
        }
        match draft.observed.deployments.get(&name) {
            // Somebody may have scaled it: none of no pods are ready, too.
            Some(seen)
                if seen.hash == content_hash(&pods.metadata)
                    && Some(seen.replicas) == pods.spec.replicas =>
            {
                if is_overdue(draft, seen) {
                    overdue.push(seen.clone());
                } else if !seen.complete {
                    missing.push(name);
                }
            }
            _ => {
                draft.apply(Object::Deployment(Box::new(pods.clone())), because.clone());
                missing.push(name);
            }
        }
    }
    if let Some(seen) = overdue.first() {
        return not_ready(draft, &tried, seen);
    }
    if missing.is_empty() {
        return Progress::Passed;
    }
    draft.wait(format!("{} of {}", tried.name, missing.join(", ")), 10.0);
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

fn not_ready(draft: &mut Draft<'_>, tried: &Tried<'_>, seen: &WorkloadView) -> Progress {
    let what = format!("{} of {} were not ready in time", tried.name, seen.name);
    let pods: Vec<_> = pods_of(draft, tried.id, &[tried.track])
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
        None => {
            let Some(words) = keep::last_words(draft, (tried.id, Stage::Gate), &pods) else {
                return Progress::Waiting;
            };
            let words = words.unwrap_or_else(|| "look at their logs".to_owned());
            Progress::failed(tried.not_ready, format!("{what}: {words}"))
        }
    }
}

/// A failure as it counts: of a test that met a pod on its way out it says nothing about the image. In: which pods the tests of these steps met.
pub(super) fn undisturbed(
    draft: &mut Draft<'_>,
    ended: Progress,
    (id, tracks, steps): (&str, &[&str], impl Fn(&str) -> bool),
) -> Progress {
    let Progress::Failed(finding) = ended else {
        return ended;
    };
    let stage = record::stage(&mut draft.memory.releases, id, Stage::Gate);
    let jobs = stage.map(|stage| stage.jobs.clone()).unwrap_or_default();
    let began = jobs
        .iter()
        .filter(|job| steps(&job.step))
        .filter_map(|job| job.started_at.as_ref())
        .map(|time| time.0)
        .min();
    let newest = pods_of(draft, id, tracks)
        .filter_map(|pod| pod.created)
        .max();
    if began
        .zip(newest)
        .is_none_or(|(began, newest)| newest <= began)
    {
        return Progress::Failed(finding);
    }
    let message = format!(
        "a pod that was tested was replaced meanwhile; {}",
        finding.message
    );
    Progress::Inconclusive(Finding::new(GATE_INCONCLUSIVE, message))
}

fn pods_of<'o>(draft: &Draft<'o>, id: &str, tracks: &[&str]) -> impl Iterator<Item = &'o PodView> {
    let observed: &'o Observed = draft.observed;
    let pods = observed.pods.iter();
    pods.filter(move |pod| {
        let is_tried = pod.release == id && tracks.contains(&pod.track.as_str());
        is_tried && !pod.service.is_empty() && !observed.is_of_job(pod)
    })
}
