//! The status as people and kstatus read it, from memory and plan.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::SignedDuration;

use super::*;
use crate::api::status::{Candidate, Rejected, ReleaseRecord, Stable};
use crate::observed::{Denial, Denied};
use crate::plan::action::{Object, Origin, Write};

const ID: &str = "r0123456789";

fn now() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

fn object() -> CrmPlatform {
    let spec = "{image: x, services: [{name: customer}], database: {embedded: {}}, tests: [{name: smoke, when: [Gate]}]}";
    let mut object = CrmPlatform::new("acme", serde_saphyr::from_str(spec).unwrap());
    object.metadata.generation = Some(3);
    object
}

fn plan(memory: Memory) -> Result<Plan, Invalid> {
    Ok(Plan {
        keeps: Vec::new(),
        asks: Vec::new(),
        corrections: Vec::new(),
        actions: Vec::new(),
        memory,
        notes: Vec::new(),
        requeue: Duration::from_secs(600),
        waiting: None,
        wanted: Some(ID.to_owned()),
        problem: None,
        held_back: None,
        early: None,
        unexposed: None,
        way_in_lags: None,
        hindered: false,
        drops: Default::default(),
        undone: Vec::new(),
    })
}

/// Conditions of a platform that serves with so many pods of so many.
fn with_pods(object: &CrmPlatform, (available, replicas): (i32, i32)) -> CrmPlatformStatus {
    let image = crate::api::status::ServiceImage {
        service: "customer".into(),
        image: "x".into(),
    };
    let memory = Memory {
        stable: stable(ID).map(|stable| Stable {
            images: vec![image],
            ..stable
        }),
        ..Memory::default()
    };
    let deployment = WorkloadView {
        name: "acme-customer".into(),
        service: "customer".into(),
        track: labels::STABLE.into(),
        available,
        replicas,
        ..WorkloadView::default()
    };
    let observed = Observed {
        deployments: [("acme-customer".to_owned(), deployment)].into(),
        ..Observed::default()
    };
    next(object, &observed, &plan(memory), None, now())
}

#[test]
fn a_service_that_its_autoscaler_enlarges_is_not_short_of_pods() {
    let of = |object: &CrmPlatform, pods: (i32, i32)| {
        let status = with_pods(object, pods);
        let mut all = status.conditions.into_iter();
        let ready = all.find(|condition| condition.type_ == words::READY);
        ready.map(|ready| (ready.status, ready.message)).unwrap()
    };
    let mut scaled = object();
    scaled.spec.services[0].autoscaling = Some(crate::api::spec::AutoscalingSpec {
        min_replicas: 2,
        max_replicas: 9,
        cpu_percent: 70,
    });
    assert_eq!(of(&scaled, (3, 8)).0, "True");
    assert_eq!(of(&scaled, (8, 3)).0, "True", "more than there should be");
    let (ready, message) = of(&scaled, (1, 8));
    assert_eq!(ready, "False");
    assert!(message.contains("has 1 of 2 pods"), "{message}");
    assert_eq!(
        of(&object(), (3, 8)).0,
        "False",
        "without an autoscaler it is"
    );
}

#[test]
fn says_whether_the_way_in_from_outside_is_made() {
    let exposed = |object: &CrmPlatform, plan: &Result<Plan, Invalid>| {
        let status = next(object, &Observed::default(), plan, None, now());
        let mut all = status.conditions.into_iter();
        let exposed = all.find(|condition| condition.type_ == words::EXPOSED);
        exposed.map(|exposed| (exposed.status, exposed.reason))
    };
    let memory = Memory {
        stable: stable(ID),
        ..Memory::default()
    };
    assert_eq!(exposed(&object(), &plan(memory.clone())), None);
    let mut asked = object();
    asked.spec.exposure = Some(crate::api::spec::ExposureSpec {
        hosts: vec!["crm.acme.example".into()],
        gateway: None,
        ingress: Some(Default::default()),
    });
    let made = exposed(&asked, &plan(memory.clone()));
    assert_eq!(made, Some(("True".into(), words::ROUTES_MADE.into())));
    let missing = plan(memory.clone()).map(|plan| Plan {
        unexposed: Some(finding(
            words::GATEWAY_API_MISSING,
            "it is not there".into(),
        )),
        ..plan
    });
    let made = exposed(&asked, &missing);
    assert_eq!(
        made,
        Some(("False".into(), words::GATEWAY_API_MISSING.into()))
    );
    let mut lags = plan(memory.clone());
    if let Ok(plan) = &mut lags {
        plan.way_in_lags = Some("Ingress/acme".into());
    }
    let mut refused = lags.clone();
    if let Ok(plan) = &mut refused {
        let ingress = serde_json::json!({ "metadata": { "name": "acme" } });
        let ingress = serde_json::from_value(ingress).unwrap();
        let write = Write::Apply(Object::Ingress(Box::new(ingress)));
        plan.refused(&write, Finding::new("Any", "the host is taken"));
    }
    let stays = |before: &Result<Plan, Invalid>, after: &Result<Plan, Invalid>| {
        let status = next(&asked, &Observed::default(), before, None, now());
        let mut known = asked.clone();
        known.status = Some(status);
        exposed(&known, after)
    };
    let told = Some(("False".into(), words::APPLY_FAILED.into()));
    assert_eq!(stays(&plan(memory.clone()), &refused), told);
    assert_eq!(stays(&refused, &lags), told, "a plan without writes");
    let stood = stays(&plan(memory.clone()), &lags);
    assert_eq!(stood, Some(("True".into(), words::ROUTES_MADE.into())));
    assert_eq!(stays(&refused, &plan(memory.clone())), stood, "it is made");
    let early = exposed(&asked, &plan(Memory::default()));
    assert_eq!(early, Some(("False".into(), words::PROGRESSING.into())));
}

fn stable(release: &str) -> Option<Stable> {
    Some(Stable {
        release: release.to_owned(),
        since: Time(now()),
        images: Vec::new(),
        optimised: true,
        untested: false,
        slot: Default::default(),
    })
}

fn candidate() -> Candidate {
    Candidate {
        release: ID.to_owned(),
        stage: Stage::Gate,
        since: Time(now()),
        generation: 3,
        images: Vec::new(),
        held: None,
        returning: None,
        aborting: None,
        approved: false,
        thawed_until: None,
        ungated: false,
        code_of: None,
        rollback: None,
        shift: None,
    }
}

fn rejected() -> Rejected {
    Rejected {
        release: ID.to_owned(),
        images: Vec::new(),
        reason: words::TESTS_FAILED.to_owned(),
        message: "2 of 20 tests did not pass".to_owned(),
        at: Time(now()),
        left_at: None,
    }
}

fn status(memory: Memory) -> CrmPlatformStatus {
    next(&object(), &Observed::default(), &plan(memory), None, now())
}

/// `Type=Status/Reason` of a condition, or an empty string.
fn word(status: &CrmPlatformStatus, kind: &str) -> String {
    let found = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == kind);
    found.map_or_else(String::new, |found| {
        format!("{}/{}", found.status, found.reason)
    })
}

fn message(status: &CrmPlatformStatus, kind: &str) -> String {
    let found = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == kind);
    found.map_or_else(String::new, |found| found.message.clone())
}

/// What kstatus computes of a custom resource.
fn kstatus(status: &CrmPlatformStatus) -> &'static str {
    if status.observed_generation != Some(3) {
        return "InProgress";
    }
    if word(status, words::STALLED).starts_with("True") {
        return "Failed";
    }
    if word(status, words::RECONCILING).starts_with("True")
        || word(status, words::READY).starts_with("False")
    {
        return "InProgress";
    }
    "Current"
}

#[test]
fn a_release_that_serves_is_current() {
    let status = status(Memory {
        stable: stable(ID),
        ..Memory::default()
    });
    assert_eq!(kstatus(&status), "Current");
    assert_eq!(word(&status, words::READY), "True/Serving");
    assert_eq!(status.stage.as_deref(), Some("Serving"));
}

#[test]
fn a_release_on_its_way_is_in_progress_and_not_ready_though_stable_serves() {
    let status = status(Memory {
        stable: stable("rstable"),
        candidate: Some(candidate()),
        ..Memory::default()
    });
    assert_eq!(kstatus(&status), "InProgress");
    assert_eq!(word(&status, words::READY), "False/Progressing");
    assert_eq!(word(&status, words::TESTS_PASSED), "Unknown/NotTested");
    assert_eq!(status.stage.as_deref(), Some("Gate"));
}

#[test]
fn a_rejected_release_has_failed_and_says_what_serves() {
    let mut memory = Memory {
        stable: stable("rstable"),
        rejected: vec![rejected()],
        ..Memory::default()
    };
    let with_stable = status(memory.clone());
    assert_eq!(kstatus(&with_stable), "Failed");
    assert_eq!(with_stable.stage.as_deref(), Some("Rejected"));
    assert_eq!(
        message(&with_stable, words::STALLED),
        "release r0123456789 was rejected: 2 of 20 tests did not pass; release rstable serves on; change the spec to try another, or annotate crmplatform.io/retry"
    );
    memory.stable = None;
    let first = status(memory);
    assert!(message(&first, words::STALLED).contains("nothing serves yet"));
    assert_eq!(word(&first, words::AVAILABLE), "False/PodsMissing");
}

#[test]
fn a_held_release_waits_for_a_person() {
    let held = Candidate {
        held: Some(finding(
            words::GATE_INCONCLUSIVE,
            "its image cannot be pulled".to_owned(),
        )),
        ..candidate()
    };
    let status = status(Memory {
        candidate: Some(held),
        ..Memory::default()
    });
    assert_eq!(kstatus(&status), "Failed");
    assert_eq!(word(&status, words::STALLED), "True/GateInconclusive");
    assert_eq!(status.stage.as_deref(), Some("Held"));
}

#[test]
fn an_invalid_spec_keeps_the_memory_and_names_the_field() {
    let observed = Observed {
        memory: Memory {
            stable: stable("rstable"),
            ..Memory::default()
        },
        ..Observed::default()
    };
    let invalid = Err(Invalid {
        field: "spec.tests".into(),
        problem: "has no entry with when: [Gate]".into(),
        remedy: "add one".into(),
    });
    let status = next(&object(), &observed, &invalid, None, now());
    assert_eq!(status.memory, observed.memory);
    assert_eq!(word(&status, words::STALLED), "True/InvalidSpec");
    assert!(message(&status, words::READY).starts_with("spec.tests has no entry"));
}

#[test]
fn what_a_failed_write_was_to_rest_on_is_not_remembered() {
    let decided = plan(Memory {
        candidate: Some(candidate()),
        ..Memory::default()
    });
    let status = next(
        &object(),
        &Observed::default(),
        &decided,
        Some(&Failure {
            finding: Finding::new(words::APPLY_FAILED, "quota exceeded"),
            denied: None,
        }),
        now(),
    );
    assert_eq!(status.memory, Memory::default());
    assert_eq!(word(&status, words::READY), "False/ApplyFailed");
    assert_eq!(kstatus(&status), "InProgress");
}

#[test]
fn what_is_denied_for_long_is_stalled_and_what_else_fails_is_not() {
    let denial = |write: &str| Denial {
        write: write.into(),
        why: format!("failed to {write}: exceeded quota"),
        origin: Origin::Standing,
    };
    let long = SignedDuration::from_secs(601);
    let first = Denied::after(None, denial("create Job \"crm/a\""), now());
    let observed = Observed {
        denied: Some(Denied {
            last: now() + long,
            ..first
        }),
        ..Observed::default()
    };
    let told = |denied: Option<&str>| {
        let finding = Finding::new(words::APPLY_FAILED, "failed to create Job \"crm/a\"");
        let denied = denied.map(str::to_owned);
        let failure = Failure { finding, denied };
        let decided = plan(Memory::default());
        let status = next(&object(), &observed, &decided, Some(&failure), now() + long);
        kstatus(&status)
    };
    assert_eq!(told(Some("create Job \"crm/a\"")), "Failed");
    assert_eq!(told(Some("create Job \"crm/b\"")), "InProgress");
    assert_eq!(told(None), "InProgress", "its answer was lost, say");
}

#[test]
fn a_write_that_only_a_person_can_help_is_told_as_such() {
    let decided = plan(Memory::default());
    let observed = Observed::default();
    let taken = crate::apply::Error::NotOurs {
        namespace: "crm".into(),
        name: "acme-db-app".into(),
        platform: "acme".into(),
    };
    let status = next(
        &object(),
        &observed,
        &decided,
        Some(&taken.failure()),
        now(),
    );
    assert_eq!(word(&status, words::STALLED), "True/SecretNotUsable");
    assert!(new_problem(&object(), &decided, &status).is_some());
    let told = message(&status, words::STALLED);
    assert!(
        told.contains("crm/acme-db-app") && told.contains("under another name"),
        "{told}"
    );
}

#[test]
fn a_transition_time_moves_only_with_its_status() {
    let mut object = object();
    let memory = Memory {
        stable: stable(ID),
        ..Memory::default()
    };
    object.status = Some(status(memory.clone()));
    let later = "2026-01-01T13:00:00Z".parse().unwrap();
    let same = next(&object, &Observed::default(), &plan(memory), None, later);
    assert_eq!(
        Some(&same),
        object.status.as_ref(),
        "nothing changed, nothing is written"
    );
    let moved = Memory {
        stable: stable(ID),
        candidate: Some(candidate()),
        ..Memory::default()
    };
    let moved = next(&object, &Observed::default(), &plan(moved), None, later);
    let ready = moved
        .conditions
        .iter()
        .find(|condition| condition.type_ == words::READY);
    assert_eq!(ready.unwrap().last_transition_time, Time(later));
}

#[test]
fn an_untested_release_says_so() {
    let mut object = object();
    object.spec.gate = GatePolicy::None;
    let memory = Memory {
        stable: stable(ID),
        ..Memory::default()
    };
    let status = next(&object, &Observed::default(), &plan(memory), None, now());
    assert_eq!(word(&status, words::TESTS_PASSED), "False/GateDisabled");
    assert!(message(&status, words::READY).contains("untested"));
}

/// The record of a release that serves: 5 s of gate, with one Job or with none any more.
fn gated(jobs: &str) -> ReleaseRecord {
    let text = format!(
        "{{release: {ID}, generation: 3, startedAt: '2026-01-01T12:00:00Z', stages: [
            {{name: Gate, verdict: Passed, startedAt: '2026-01-01T12:00:00Z', readyAt: '2026-01-01T12:00:02Z', finishedAt: '2026-01-01T12:00:05Z', cost: '3', jobs: {jobs}}}]}}"
    );
    serde_saphyr::from_str(&text).unwrap()
}

#[test]
fn the_formulas_keep_their_detail_when_the_record_has_lost_it() {
    let job = "[{step: smoke, job: j, attempt: 1, startedAt: '2026-01-01T12:00:03Z', finishedAt: '2026-01-01T12:00:04Z', cost: '2'}]";
    let memory = |jobs: &str| Memory {
        stable: stable(ID),
        releases: vec![gated(jobs)],
        ..Memory::default()
    };
    let whole = status(memory(job)).delivery.unwrap();
    assert_eq!(
        (
            whole.test.execute.cost.as_str(),
            whole.total.seconds.as_str()
        ),
        ("2", "5")
    );
    let mut object = object();
    object.status = Some(CrmPlatformStatus {
        delivery: Some(whole.clone()),
        ..CrmPlatformStatus::default()
    });
    let later = next(
        &object,
        &Observed::default(),
        &plan(memory("[]")),
        None,
        now(),
    );
    assert_eq!(later.delivery, Some(whole));
}

#[test]
fn pods_are_counted_also_where_the_status_had_no_room_for_images() {
    let status = status(Memory {
        stable: stable(ID),
        ..Memory::default()
    });
    // No recorded inputs either: nothing is known to be short.
    assert_eq!(word(&status, words::AVAILABLE), "True/PodsAvailable");
    let object = object();
    let known = crate::api::status::ResolvedImage {
        reference: "x".into(),
        image: "x@sha256:aa".into(),
        signed_by: None,
    };
    let platform = crate::platform::tests::parsed(&object);
    let release = platform.wanted(&[known]).unwrap();
    let observed = Observed {
        releases: [(ID.to_owned(), release)].into(),
        ..Observed::default()
    };
    let memory = Memory {
        stable: stable(ID),
        ..Memory::default()
    };
    let status = next(&object, &observed, &plan(memory), None, now());
    assert_eq!(word(&status, words::AVAILABLE), "False/PodsMissing");
}

#[test]
fn what_people_hold_back_says_who_can_let_it_go_on() {
    let held_back = |memory: Memory| {
        let plan = plan(memory).map(|plan| Plan {
            held_back: Some(Finding::new(words::FROZEN, "not before Monday (weekend)")),
            ..plan
        });
        next(&object(), &Observed::default(), &plan, None, now())
    };
    let waits = held_back(Memory {
        candidate: Some(candidate()),
        ..Memory::default()
    });
    assert_eq!(word(&waits, words::READY), "False/Frozen");
    assert_eq!(kstatus(&waits), "InProgress");
    assert!(message(&waits, words::READY).contains("not before Monday (weekend)"));
}

#[test]
fn a_release_that_skipped_its_gate_never_counts_as_tested() {
    let mut skipped = stable(ID);
    skipped.as_mut().unwrap().untested = true;
    let status = status(Memory {
        stable: skipped,
        ..Memory::default()
    });
    assert_eq!(word(&status, words::TESTS_PASSED), "False/GateSkipped");
}

#[test]
fn what_a_person_went_back_from_stalls_unless_it_serves() {
    let went_back = |serves: &str| {
        status(Memory {
            stable: stable(serves),
            rejected: vec![Rejected {
                reason: words::ROLLED_BACK.to_owned(),
                ..rejected()
            }],
            ..Memory::default()
        })
    };
    assert_eq!(
        word(&went_back("rother"), words::STALLED),
        "True/RolledBack"
    );
    assert_eq!(word(&went_back(ID), words::STALLED), "");
}

#[test]
fn a_problem_is_told_once_for_a_spec_and_a_reason() {
    let mut stuck = plan(Memory::default());
    if let Ok(plan) = &mut stuck {
        plan.problem = Some(Finding::new(words::IMAGE_NOT_RESOLVED, "no such image"));
    }
    let mut before = object();
    let after = next(&before, &Observed::default(), &stuck, None, now());
    let told = new_problem(&before, &stuck, &after).unwrap();
    assert_eq!(
        (told.reason.as_str(), told.message.as_str()),
        (words::IMAGE_NOT_RESOLVED, "no such image")
    );
    assert!(told.warning);
    before.status = Some(after);
    let again = next(&before, &Observed::default(), &stuck, None, now());
    assert_eq!(new_problem(&before, &stuck, &again), None, "it is known");
    before.metadata.generation = Some(4);
    let newer = next(&before, &Observed::default(), &stuck, None, now());
    assert!(
        new_problem(&before, &stuck, &newer).is_some(),
        "another spec, another event"
    );
    // A release that was rejected has told so itself, and is not told again when the spec is scaled.
    let ended = plan(Memory {
        rejected: vec![rejected()],
        ..Memory::default()
    });
    let rejected = next(&before, &Observed::default(), &ended, None, now());
    assert_eq!(word(&rejected, words::STALLED), "True/TestsFailed");
    assert_eq!(new_problem(&before, &ended, &rejected), None);
}
