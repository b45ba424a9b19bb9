//! Which logs a plan asks for, what it makes of them, and that no verdict waits for one.

use std::collections::BTreeMap;
use std::io::Read as _;

use flate2::read::GzDecoder;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::api::status::{Candidate, JobRecord, ResolvedImage};
use crate::api::{CrmPlatform, CrmPlatformSpec};
use crate::cost::Prices;
use crate::desired::job::Step;
use crate::desired::{Scope, deployment};
use crate::kept::REPORT_BYTES;
use crate::observed::{JobEnd, JobView, Observed, WorkloadView, content_hash};
use crate::plan::{Plan, plan};
use crate::platform::release::Release;
use crate::platform::{Platform, Settings};

use super::*;

const PLAIN: &str = "{name: smoke, when: [Gate]}";
const REPORTED: &str = "{name: smoke, when: [Gate], report: JUnit}";

fn now() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

fn ago(seconds: i64) -> Option<Timestamp> {
    now().checked_sub(SignedDuration::from_secs(seconds)).ok()
}

fn platform(test: &str) -> (Platform, Release) {
    let spec = format!(
        "{{image: registry.example/crm:1, services: [{{name: customer}}], database: {{secret: db}}, tests: [{test}]}}"
    );
    let spec: CrmPlatformSpec = serde_saphyr::from_str(&spec).unwrap();
    let mut object = CrmPlatform::new("acme", spec);
    object.metadata.namespace = Some("crm".into());
    object.metadata.uid = Some("u1".into());
    let settings = Settings {
        postgres_image: "postgres:15".into(),
        operator_image: Some("registry.example/crm-operator:1".into()),
        images: Default::default(),
        prices: Prices {
            cpu_hour: 1.0,
            memory_gib_hour: 1.0,
        },
    };
    let platform = Platform::parse(&object, &settings).unwrap();
    let release = platform.wanted(&[image()]).unwrap();
    (platform, release)
}

fn image() -> ResolvedImage {
    ResolvedImage {
        reference: "registry.example/crm:1".into(),
        image: "registry.example/crm@sha256:aa".into(),
        signed_by: None,
    }
}

/// A release in its gate, with the records of these Jobs.
fn memory(release: &Release, jobs: Vec<JobRecord>) -> Memory {
    let id = release.id();
    let mut releases = Vec::new();
    record::open(&mut releases, &id, 1, Time(now()));
    record::enter(&mut releases, &id, Stage::Gate, Time(now()));
    record::stage(&mut releases, &id, Stage::Gate).unwrap().jobs = jobs;
    Memory {
        images: vec![image()],
        releases,
        candidate: Some(Candidate {
            release: id,
            stage: Stage::Gate,
            since: Time(now()),
            generation: 1,
            images: release.service_images(),
            held: None,
            returning: None,
            aborting: None,
            approved: false,
            thawed_until: None,
            ungated: false,
            code_of: None,
            rollback: None,
            shift: None,
        }),
        ..Memory::default()
    }
}

/// The only test of a release has ended with `code`; its container is beside one that has read a file.
fn ended(test: &str, code: i32) -> (Platform, Observed) {
    let (platform, release) = platform(test);
    let id = release.id();
    let step = Step {
        stage: Stage::Gate,
        name: "smoke".into(),
        attempt: 1,
    };
    let name = names::job(scope(&platform, &id, &release), &step);
    let open = JobRecord {
        step: "smoke".into(),
        job: name.clone(),
        uid: Some("j1".into()),
        attempt: 1,
        ..JobRecord::default()
    };
    let failed = JobEnd::Failed {
        reason: "BackoffLimitExceeded".into(),
        message: String::new(),
    };
    let job = JobView {
        name: name.clone(),
        uid: "j1".into(),
        owner: "u1".into(),
        release: id.clone(),
        end: Some(if code == 0 { JobEnd::Complete } else { failed }),
        created: ago(60),
        ended: ago(20),
        ..JobView::default()
    };
    let mut seen = observed((id, &release), memory(&release, vec![open]));
    seen.jobs = [(name, job)].into();
    seen.pods = vec![pod(code)];
    (platform, seen)
}

fn observed((id, release): (String, &Release), memory: Memory) -> Observed {
    Observed {
        secrets: Some([("db".to_owned(), "1".to_owned())].into()),
        memory,
        releases: [(id.clone(), release.clone())].into(),
        record_uids: [(id, "rev1".into())].into(),
        ..Observed::default()
    }
}

fn scope<'s>(platform: &'s Platform, id: &'s str, release: &'s Release) -> Scope<'s> {
    Scope {
        platform,
        id,
        release,
    }
}

fn terminated(code: i32, message: String) -> ContainerState {
    ContainerState::Terminated {
        exit_code: code,
        reason: String::new(),
        message,
        started: ago(50),
        finished: ago(21),
    }
}

fn pod(code: i32) -> PodView {
    let counts = Collected {
        files: 1,
        tests: 20,
        passed: 20,
        ..Collected::default()
    };
    PodView {
        name: "smoke-x7".into(),
        controller: "j1".into(),
        phase: if code == 0 { "Succeeded" } else { "Failed" }.into(),
        created: ago(55),
        state: terminated(code, String::new()),
        collector: terminated(0, counts.words()),
        ..PodView::default()
    }
}

fn end() -> Ask {
    ask(&pod(1), MAIN, LogPart::End)
}

fn whole() -> Ask {
    ask(&pod(1), report::CONTAINER, LogPart::Report)
}

/// What the container beside a test prints, and the packed report in it.
fn printed() -> (Vec<u8>, Vec<u8>) {
    let mut packer = whole::Packer::new(1, REPORT_BYTES);
    packer.add("report.xml", b"<testsuite/>");
    let packed = packer.finish();
    let mut log = Vec::new();
    whole::print(&packed, &mut log).unwrap();
    (log, packed)
}

fn job_of(plan: &Plan) -> JobRecord {
    let stages = &plan.memory.releases[0].stages;
    let gate = stages.iter().find(|stage| stage.name == Stage::Gate);
    gate.unwrap().jobs[0].clone()
}

fn kept(plan: &Plan) -> BTreeMap<String, Vec<u8>> {
    let keeps = plan.keeps.iter();
    let keys = keeps.flat_map(|keep| keep.object.binary_data.clone().unwrap_or_default());
    keys.map(|(key, bytes)| (key, bytes.0)).collect()
}

fn unpacked(bytes: &[u8]) -> String {
    let mut text = String::new();
    GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_test_that_passed_without_a_report_asks_for_nothing() {
    let (platform, seen) = ended(PLAIN, 0);
    let planned = plan(&platform, &seen, now());
    assert_eq!(planned.asks, []);
    assert!(planned.keeps.is_empty());
    let job = job_of(&planned);
    assert_eq!((job.verdict, job.log_tail), (Some(Verdict::Passed), None));
}

#[test]
fn the_whole_report_of_a_test_that_passed_is_kept_with_the_record_of_its_release() {
    let (platform, mut seen) = ended(REPORTED, 0);
    let before = plan(&platform, &seen, now());
    assert_eq!(before.asks, [whole()]);
    assert_eq!(job_of(&before).verdict, None, "not before its log was read");
    let (log, packed) = printed();
    seen.logs.insert(whole(), Ok(log));
    let planned = plan(&platform, &seen, now());
    assert_eq!(planned.asks, []);
    let job = job_of(&planned);
    assert_eq!(job.verdict, Some(Verdict::Passed));
    assert_eq!(job.kept_bytes, i64::try_from(packed.len()).ok());
    assert_eq!(
        kept(&planned),
        [("gate-smoke-1.xml.gz".to_owned(), packed)].into()
    );
    let metadata = &planned.keeps[0].object.metadata;
    let owners = metadata.owner_references.clone().unwrap();
    assert_eq!((owners.len(), owners[0].uid.as_str()), (1, "rev1"));
}

#[test]
fn of_a_test_that_failed_report_and_log_are_kept_although_the_release_is_rejected_at_once() {
    let (platform, mut seen) = ended(REPORTED, 1);
    assert_eq!(plan(&platform, &seen, now()).asks, [whole(), end()]);
    seen.logs.insert(whole(), Ok(printed().0));
    let log = b"one\n\x1b[31mtwo\x1b[0m\n\0three\n".to_vec();
    seen.logs.insert(end(), Ok(log));
    let planned = plan(&platform, &seen, now());
    assert_eq!(planned.memory.rejected.len(), 1);
    assert!(planned.actions.is_empty());
    let kept = kept(&planned);
    assert_eq!(unpacked(&kept["gate-smoke-1.log.gz"]), "one\ntwo\nthree");
    assert_eq!(unpacked(&kept["gate-smoke-1.xml.gz"]), "<testsuite/>");
    assert_eq!(job_of(&planned).log_tail.unwrap(), "one\ntwo\nthree");
}

#[test]
fn a_log_that_cannot_be_read_changes_no_verdict_and_is_told() {
    for (code, verdict) in [
        (0, Verdict::Passed),
        (1, Verdict::Failed),
        (2, Verdict::Inconclusive),
    ] {
        let (platform, mut seen) = ended(REPORTED, code);
        for ask in [whole(), end()] {
            seen.logs.insert(ask, Err("its node is gone".into()));
        }
        let planned = plan(&platform, &seen, now());
        assert_eq!(planned.asks, []);
        let job = job_of(&planned);
        assert_eq!((job.verdict, job.kept_bytes), (Some(verdict), None));
        let message = job.message.unwrap();
        assert!(
            message.ends_with("; its report or log was not kept: its node is gone"),
            "{message}"
        );
        let told = (code > 0).then(|| "(its log could not be read: its node is gone)".to_owned());
        assert_eq!(job.log_tail, told);
    }
}

#[test]
fn a_report_that_arrives_damaged_is_not_kept_and_the_verdict_stands() {
    let (platform, mut seen) = ended(REPORTED, 0);
    let (log, _) = printed();
    seen.logs.insert(whole(), Ok(log[..log.len() - 8].to_vec()));
    let planned = plan(&platform, &seen, now());
    let job = job_of(&planned);
    assert_eq!(job.verdict, Some(Verdict::Passed));
    assert!(job.message.unwrap().contains("the log of its container is"));
    assert!(planned.keeps.is_empty());
}

#[test]
fn what_finds_no_room_in_the_config_map_is_told() {
    let (platform, mut seen) = ended(REPORTED, 0);
    let full = JobRecord {
        step: "other".into(),
        attempt: 1,
        verdict: Some(Verdict::Passed),
        kept_bytes: i64::try_from(RELEASE_BYTES).ok(),
        ..JobRecord::default()
    };
    let release = &mut seen.memory.releases[0];
    release.stages.last_mut().unwrap().jobs.push(full);
    seen.logs.insert(whole(), Ok(printed().0));
    let planned = plan(&platform, &seen, now());
    assert!(planned.keeps.is_empty());
    let job = job_of(&planned);
    assert_eq!((job.verdict, job.kept_bytes), (Some(Verdict::Passed), None));
    assert!(job.message.unwrap().contains("fill the ConfigMap"));
}

#[test]
fn a_record_never_says_that_something_is_kept_which_the_api_server_refused() {
    let (platform, mut seen) = ended(REPORTED, 0);
    seen.logs.insert(whole(), Ok(printed().0));
    let mut planned = plan(&platform, &seen, now());
    let step = planned.keeps[0].step.clone();
    step.is_lost(&mut planned.memory, "exceeded quota");
    let job = job_of(&planned);
    assert_eq!((job.verdict, job.kept_bytes), (Some(Verdict::Passed), None));
    assert!(job.message.unwrap().ends_with("exceeded quota"));
}

/// Pods of a candidate that were not ready in time, one of them in such a state.
fn broken(state: ContainerState, restarts: i32) -> (Platform, Observed) {
    let (platform, release) = platform(PLAIN);
    let id = release.id();
    let wanted = &release.services[0];
    let pods = deployment::candidate(scope(&platform, &id, &release), wanted);
    let name = pods.metadata.name.clone().unwrap();
    let workload = WorkloadView {
        replicas: 1,
        name: name.clone(),
        hash: content_hash(&pods.metadata),
        service: "customer".into(),
        deadline_exceeded: true,
        created: ago(600),
        ..WorkloadView::default()
    };
    let pod = PodView {
        name: "customer-x7".into(),
        release: id.clone(),
        service: "customer".into(),
        track: crate::desired::labels::CANDIDATE.into(),
        phase: "Running".into(),
        created: ago(500),
        state,
        restarts,
        ..PodView::default()
    };
    let mut seen = observed((id, &release), memory(&release, Vec::new()));
    seen.deployments = [(name, workload)].into();
    seen.pods = vec![pod];
    (platform, seen)
}

#[test]
fn the_last_words_of_pods_that_break_are_in_the_finding() {
    let waits = ContainerState::Waiting {
        reason: "CrashLoopBackOff".into(),
        message: String::new(),
    };
    for (state, restarts, part) in [
        (waits, 5, LogPart::End),
        (ContainerState::Running, 5, LogPart::EndBefore),
        (ContainerState::Running, 0, LogPart::End),
    ] {
        let (platform, mut seen) = broken(state, restarts);
        let before = plan(&platform, &seen, now());
        assert_eq!((before.asks.len(), before.asks[0].part), (1, part));
        assert!(before.memory.rejected.is_empty());
        let log = b"starting\nno such table: contact\n".to_vec();
        seen.logs.insert(before.asks[0].clone(), Ok(log));
        let planned = plan(&platform, &seen, now());
        let message = &planned.memory.rejected[0].message;
        assert!(
            message.ends_with("its log ends with: starting | no such table: contact"),
            "{message}"
        );
        let kept = kept(&planned);
        let text = unpacked(&kept["gate-customer-pods.log.gz"]);
        assert_eq!(text, "starting\nno such table: contact");
    }
}

#[test]
fn pods_whose_log_cannot_be_read_are_judged_all_the_same() {
    let (platform, mut seen) = broken(ContainerState::Running, 0);
    let asked = plan(&platform, &seen, now()).asks;
    seen.logs.insert(asked[0].clone(), Err("no answer".into()));
    let planned = plan(&platform, &seen, now());
    let message = &planned.memory.rejected[0].message;
    assert!(
        message.ends_with("its log could not be read: no answer"),
        "{message}"
    );
}

/// A quota or a missing service account: only the events of the Job tell which.
#[test]
fn a_job_that_gets_no_pod_is_inconclusive_says_where_to_look_and_asks_for_no_log() {
    let (platform, mut seen) = ended(PLAIN, 1);
    seen.pods.clear();
    seen.jobs.values_mut().for_each(|job| job.end = None);
    let stage = seen.memory.releases[0].stages.last_mut().unwrap();
    stage.jobs[0].unseen_since = ago(41).map(Time);
    let planned = plan(&platform, &seen, now());
    assert_eq!(planned.asks, []);
    let held = planned.memory.candidate.unwrap().held.unwrap();
    assert!(
        held.message.contains("quota or a missing service account"),
        "{held:?}"
    );
}
