//! The largest memory that the limits of the spec allow.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

mod decisions;

use super::*;
use crate::api::status::{
    BackupRecord, CrmPlatformStatus, DeliveryDay, Finding, HandledToken, JobRecord, Rejected,
    Report, ResolvedImage, STATUS_LIMIT, SchemaRecord, ServiceImage, ServiceLevel, StageRecord,
    Verdict, size,
};
use crate::plan::record;
use crate::plan::tests::now;

const SERVICES: usize = 10;
const TESTS: usize = 10;
/// Letters that the API server writes as they are, and one that it does not.
const WORDS: &str = "the pod could not be made & ";

fn long(characters: usize) -> String {
    WORDS.chars().cycle().take(characters).collect()
}

fn name(kind: char, index: usize) -> String {
    format!("{kind}{index:0>19}")
}

fn job(release: &str, stage: Stage, (step, attempt): (&str, i32), verdict: Verdict) -> JobRecord {
    let failed = verdict != Verdict::Passed;
    JobRecord {
        step: step.to_owned(),
        job: format!(
            "{:0<63}",
            format!("acme-{release}-{}-{step}-{attempt}", stage.name())
        ),
        uid: Some(format!("{:0>36}", format!("{release}{step}{attempt}"))),
        attempt,
        verdict: Some(verdict),
        queued_at: Some(Time(now())),
        started_at: Some(Time(now())),
        finished_at: Some(Time(now())),
        recorded_at: Some(Time(now())),
        report: Some(Report {
            tests: 1_000_000,
            first_failures: (0..if failed { 10 } else { 0 })
                .map(|_| long(160))
                .collect(),
            ..Report::default()
        }),
        message: Some(long(1024)),
        pending: Some(
            ["backfill", "verify", "contract"]
                .map(str::to_owned)
                .to_vec(),
        ),
        offers: vec!["mask".into()],
        cost: Some("0.123456789".into()),
        log_tail: failed.then(|| long(1024)),
        kept_bytes: Some(1_000_000),
        ..JobRecord::default()
    }
}

fn of_services(phase: &str) -> Vec<String> {
    (0..SERVICES)
        .map(|index| format!("{phase}-{}", name('s', index)))
        .collect()
}

fn of_tests(prefix: &str) -> Vec<String> {
    (0..TESTS)
        .map(|index| format!("{prefix}{}", name('t', index)))
        .collect()
}

/// Every Job that a stage can have, with all its tries.
fn jobs(release: &str, stage: Stage) -> Vec<JobRecord> {
    let (steps, tries): (Vec<String>, i32) = match stage {
        Stage::Resolve | Stage::Approve => (Vec::new(), 0),
        Stage::Backup => (vec!["dump".into()], 3),
        Stage::Rehearse => {
            let phases = [
                "stable-expand",
                "stable-backfill",
                "stable-contract",
                "expand",
                "backfill",
                "verify",
                "contract",
                "mask",
                "seed",
            ];
            let alone = ["scratch".to_owned(), "restore".to_owned()];
            let grouped = phases.iter().flat_map(|phase| of_services(phase));
            (alone.into_iter().chain(grouped).collect(), 3)
        }
        Stage::Gate | Stage::Verify => (of_tests(""), 10),
        Stage::Migrate => (of_services("expand"), 5),
        Stage::Rollout => {
            let weights = (1..9).map(|step| format!("canary-{}-", step * 10));
            (weights.flat_map(|prefix| of_tests(&prefix)).collect(), 10)
        }
        Stage::Optimise => (
            [of_services("backfill"), of_services("contract")].concat(),
            5,
        ),
    };
    let mut all = Vec::new();
    for attempt in 1..=tries {
        let verdict = if attempt == tries {
            Verdict::Passed
        } else {
            Verdict::Inconclusive
        };
        all.extend(
            steps
                .iter()
                .map(|step| job(release, stage, (step, attempt), verdict)),
        );
    }
    all
}

fn release(id: &str, verdict: Option<Verdict>) -> ReleaseRecord {
    let mut releases = Vec::new();
    record::open(&mut releases, id, 1_000_000, Time(now()));
    let mut record = releases.remove(0);
    record.verdict = verdict;
    record.asked_at = Some(Time(now()));
    record.finished_at = Some(Time(now()));
    record.finding = Some(finding());
    record.signed_by = vec!["0".repeat(16)];
    record.interventions = (0..8)
        .map(|_| {
            let text = json!({ "token": "SkipGate", "actor": long(64), "reason": long(160), "at": "2026-01-01T12:00:00Z" });
            serde_json::from_value(text).unwrap()
        })
        .collect();
    record.stages = Stage::ALL
        .map(|stage| StageRecord {
            verdict: Some(Verdict::Passed),
            human_wait_seconds: Some(1_000_000),
            ready_at: Some(Time(now())),
            finished_at: Some(Time(now())),
            queued_seconds: Some(1_000_000),
            running_seconds: Some(1_000_000),
            message: Some(long(1024)),
            jobs: jobs(id, stage),
            cost: Some("0.123456789".into()),
            ..record::begun(stage, Time(now()))
        })
        .to_vec();
    record.delivery = Some(crate::delivery::sums(&record));
    record
}

fn finding() -> Finding {
    Finding::new("CanaryFailedForALongReason", long(2000))
}

fn images() -> Vec<ServiceImage> {
    let image = |index| ServiceImage {
        service: name('s', index),
        image: format!("{}@sha256:{}", "r".repeat(90), "0".repeat(64)),
    };
    (0..SERVICES).map(image).collect()
}

fn rejected(index: usize) -> Rejected {
    Rejected {
        release: format!("r{index:0>10}"),
        images: images(),
        reason: "CanaryFailedForALongReason".into(),
        message: long(1024),
        at: Time(now()),
        left_at: Some(Time(now())),
    }
}

/// The largest memory there can be while a candidate is in a stage.
fn largest(stage: Stage) -> Memory {
    let mut memory: Memory = serde_json::from_value(json!({
        "stable": { "release": "rstable0000", "since": "2026-01-01T12:00:00Z", "images": [] },
        "candidate": { "release": "rcandidate0", "stage": stage, "since": "2026-01-01T12:00:00Z", "generation": 1_000_000, "images": [],
            "shift": { "slot": "Green", "from": 70, "weight": 80, "seconds": 86400, "since": "2026-01-01T12:00:00Z" } },
    }))
    .unwrap();
    let candidate = memory.candidate.as_mut().unwrap();
    candidate.images = images();
    candidate.held = Some(finding());
    candidate.thawed_until = Some(candidate.since.clone());
    candidate.aborting = Some(finding());
    candidate.rollback = Some(Box::new(rejected(0)));
    memory.stable.as_mut().unwrap().images = images();
    memory.releases = vec![
        release("rcandidate0", None),
        release("rstable0000", Some(Verdict::Passed)),
    ];
    memory
        .releases
        .extend((0..8).map(|index| release(&format!("rold{index:0>7}"), Some(Verdict::Failed))));
    let at_work = ["rcandidate0", "rstable0000"].map(str::to_owned);
    record::bound(&mut memory.releases, 10, &at_work);
    memory.releases[0]
        .stages
        .retain(|record| record.name <= stage);
    for record in &mut memory.releases[..2] {
        // The groups before the one that runs have passed.
        let Some(rehearsed) = record.stages.get_mut(2) else {
            continue;
        };
        rehearsed.passed = [
            "stable-expand",
            "stable-backfill",
            "stable-contract",
            "expand",
            "backfill",
            "verify",
            "contract",
            "mask",
        ]
        .map(str::to_owned)
        .to_vec();
    }
    // As many characters as a spec may name images with.
    memory.images = (0..=SERVICES + TESTS)
        .map(|_| ResolvedImage {
            reference: "r".repeat(crate::platform::REFERENCES_LIMIT / (SERVICES + TESTS + 1)),
            image: format!(
                "{}@sha256:{}",
                "r".repeat(crate::platform::REFERENCES_LIMIT / (SERVICES + TESTS + 1)),
                "0".repeat(64)
            ),
            signed_by: Some("0".repeat(16)),
        })
        .collect();
    memory.schema = (0..20)
        .map(|index| SchemaRecord {
            service: name('s', index % SERVICES),
            phase: "contract".into(),
            release: "rstable0000".into(),
            job_uid: "0".repeat(36),
            at: Time(now()),
            from: Some(1000),
            to: Some(1001),
            floor: Some(1000),
        })
        .collect();
    memory.backups = (0..13)
        .map(|index| BackupRecord {
            id: format!("0a1b2c3d-rbackup{index:0>4}-101"),
            release: format!("rbackup{index:0>4}"),
            at: Time(now()),
            bytes: 1_000_000_000_000,
            sha256: "0".repeat(64),
            levels: (0..SERVICES)
                .map(|index| ServiceLevel {
                    service: name('s', index),
                    level: 1000,
                })
                .collect(),
            restored_at: Some(Time(now())),
        })
        .collect();
    memory.rejected = (0..10).map(rejected).collect();
    memory.scratch = vec!["rcandidate0".into(), "rold0000001".into()];
    memory.delivery_days = (1..31)
        .map(|day| DeliveryDay {
            day: format!("2026-01-{day:0>2}"),
            deployments: 100,
            lead_seconds: 1_000_000,
            taken_back: 100,
            rolled_back: 100,
            restored: 100,
            restore_seconds: 1_000_000,
        })
        .collect();
    for token in crate::api::status::Token::ALL {
        *memory.last_handled.of(token) = Some(HandledToken {
            value: "v".repeat(256),
            at: Time(now()),
            result: long(300),
        });
    }
    memory
}

/// Stages in which a candidate can be.
const AT_WORK: [Stage; 8] = [
    Stage::Resolve,
    Stage::Backup,
    Stage::Rehearse,
    Stage::Gate,
    Stage::Approve,
    Stage::Migrate,
    Stage::Rollout,
    Stage::Verify,
];

fn bounded(memory: &Memory, limits: [usize; 2]) -> Memory {
    let mut bounded = memory.clone();
    bound_to(&mut bounded, &BTreeSet::new(), limits);
    bounded
}

#[test]
fn the_largest_memory_is_bounded_and_leaves_room() {
    for stage in AT_WORK {
        let all = largest(stage);
        assert!(size(&all) > 1_000_000, "{} bytes", size(&all));
        let once = bounded(&all, LIMITS);
        assert!(size(&once) <= TIGHT, "{stage:?}: {} bytes", size(&once));
        assert_eq!(bounded(&once, LIMITS), once, "{stage:?}: once is enough");
        let mut status = CrmPlatformStatus {
            memory: once.clone(),
            delivery: Some(crate::delivery::of(&once.releases[0])),
            ..CrmPlatformStatus::default()
        };
        for kind in [
            "Ready",
            "Reconciling",
            "Stalled",
            "TestsPassed",
            "Migrated",
            "Available",
            "Exposed",
        ] {
            let condition = json!({ "type": kind, "status": "Unknown", "reason": "CanaryFailedForALongReason", "message": long(3000),
                "lastTransitionTime": "2026-01-01T12:00:00Z", "observedGeneration": 1_000_000 });
            status
                .conditions
                .push(serde_json::from_value(condition).unwrap());
        }
        crate::status::fit(&mut status);
        assert!(
            size(&status) <= STATUS_LIMIT,
            "{stage:?}: {} bytes",
            size(&status)
        );
        assert_eq!(status.memory, once, "what is written is what was decided");
        assert_needed(stage, &once, &all);
    }
}

/// What a decision needs is still there.
fn assert_needed(stage: Stage, short: &Memory, all: &Memory) {
    let ids = |memory: &Memory| {
        memory
            .rejected
            .iter()
            .map(|rejected| rejected.release.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(short), ids(all));
    assert_eq!((&short.images, &short.scratch), (&all.images, &all.scratch));
    let newest = all.schema[..SERVICES].iter();
    assert!(newest.eq(&short.schema), "the newest of each service");
    let dumps = |memory: &Memory| {
        memory
            .backups
            .iter()
            .map(|dump| (dump.id.clone(), dump.sha256.clone(), dump.bytes))
            .collect::<Vec<_>>()
    };
    assert_eq!(dumps(short), dumps(all));
    for token in crate::api::status::Token::ALL {
        let value = |memory: &Memory| {
            memory
                .last_handled
                .clone()
                .of(token)
                .clone()
                .map(|handled| handled.value)
        };
        assert_eq!(value(short), value(all));
    }
    let verdicts = |memory: &Memory| {
        memory
            .releases
            .iter()
            .map(|record| (record.release.clone(), record.round, record.verdict))
            .collect::<Vec<_>>()
    };
    assert_eq!(verdicts(short), verdicts(all));
    // Of the stage that goes on the last Job of each step that is still asked about.
    let record = &short.releases[0];
    let live = record
        .stages
        .iter()
        .find(|record| record.name == stage)
        .unwrap();
    let steps = match stage {
        Stage::Gate | Stage::Verify => TESTS,
        Stage::Migrate => SERVICES,
        _ => return,
    };
    let last: Vec<_> = live
        .jobs
        .iter()
        .filter(|job| job.verdict == Some(Verdict::Passed))
        .collect();
    assert_eq!(last.len(), steps, "{stage:?}");
    assert!(last.iter().all(|job| job.attempt >= 5));
}

#[test]
fn a_candidate_with_ten_services_and_tests_that_pass_keeps_its_detail() {
    let mut record = release("rcandidate0", None);
    record.interventions.clear();
    record.finding = None;
    for stage in &mut record.stages {
        stage.message = None;
        stage.jobs.retain(|job| {
            job.verdict == Some(Verdict::Passed)
                && !job.step.starts_with("canary")
                && !job.step.starts_with("stable")
                && !job.step.starts_with("mask")
        });
        for job in &mut stage.jobs {
            job.message = Some("20 of 20 tests passed".into());
        }
    }
    record.stages.truncate(4);
    let memory = Memory {
        candidate: largest(Stage::Gate).candidate,
        ..Memory::default()
    };
    let mut memory = Memory {
        releases: vec![record.clone()],
        ..memory
    };
    let candidate = memory.candidate.as_mut().unwrap();
    (candidate.held, candidate.aborting, candidate.rollback) = (None, None, None);
    let short = bounded(&memory, LIMITS);
    let gate = |memory: &Memory| memory.releases[0].stages[3].clone();
    assert_eq!(gate(&short).jobs.len(), TESTS);
    let told = |stage: &StageRecord| {
        stage
            .jobs
            .iter()
            .all(|job| job.message.is_some() && job.started_at.is_some() && job.cost.is_some())
    };
    assert!(told(&gate(&short)), "{} bytes", size(&memory));
}

/// Of a Job that passed the last resort leaves little; what a later phase is decided by is not among what goes.
#[test]
fn what_expand_told_stays() {
    for (stage, at_work) in [
        (Stage::Rehearse, Stage::Rehearse),
        (Stage::Rehearse, Stage::Gate),
        (Stage::Migrate, Stage::Migrate),
        (Stage::Migrate, Stage::Verify),
    ] {
        let short = bounded(&largest(at_work), LIMITS);
        let mut stages = short.releases[0].stages.iter();
        let stage = stages.find(|known| known.name == stage).unwrap();
        let expands = |job: &&JobRecord| {
            job.step.starts_with("expand-") && job.verdict == Some(Verdict::Passed)
        };
        let told: Vec<_> = stage.jobs.iter().filter(expands).collect();
        assert_eq!(told.len(), SERVICES, "{:?} in {at_work:?}", stage.name);
        assert!(told.iter().all(|job| job.pending.is_some()), "{told:?}");
        let is_rehearsal = stage.name == Stage::Rehearse;
        let masks = |job: &&JobRecord| job.offers == ["mask"];
        assert!(!is_rehearsal || told.iter().all(masks), "{told:?}");
    }
}
