//! What is worth a write of the status, and what waits for the next one.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::SignedDuration;
use serde_json::{Value, json};

use super::*;
use crate::api::conditions::STALLED;

fn at(seconds: i64) -> Timestamp {
    let start: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
    start
        .checked_add(SignedDuration::from_secs(seconds))
        .unwrap()
}

fn ready(message: &str) -> Condition {
    Condition {
        type_: READY.to_owned(),
        status: "False".to_owned(),
        reason: "Progressing".to_owned(),
        message: message.to_owned(),
        last_transition_time: Time(at(0)),
        observed_generation: Some(1),
    }
}

/// A status that says this sentence and has these Jobs in an open stage.
fn status(sentence: &str, stage: &str, jobs: Value) -> CrmPlatformStatus {
    let memory = json!({ "releases": [{
        "release": "r1", "generation": 1, "startedAt": at(0).to_string(),
        "stages": [{ "name": stage, "startedAt": at(0).to_string(), "jobs": jobs }],
    }] });
    CrmPlatformStatus {
        observed_generation: Some(1),
        conditions: vec![ready(sentence)],
        memory: serde_json::from_value(memory).unwrap(),
        ..CrmPlatformStatus::default()
    }
}

fn job(verdict: Value) -> Value {
    json!([{ "step": "smoke", "job": "j1", "uid": "u1", "attempt": 1, "verdict": verdict }])
}

fn decide(before: &CrmPlatformStatus, next: &CrmPlatformStatus) -> Save {
    save(Some(before), None, next, (false, at(0)))
}

fn later(save: Save) -> Unsaved {
    match save {
        Save::Later(unsaved, _) => *unsaved,
        other => panic!("it should wait: {other:?}"),
    }
}

#[test]
fn what_can_be_found_out_again_waits_for_the_next_write() {
    let before = status("waits", "Rehearse", json!([]));
    for jobs in [job(Value::Null), job(json!("Passed"))] {
        let next = status("waits for Job j1", "Rehearse", jobs);
        let kept = later(decide(&before, &next));
        assert_eq!(kept.after(&before.memory), Some(&next.memory));
        let other = status("waits", "Gate", json!([]));
        assert_eq!(
            kept.after(&other.memory),
            None,
            "another process wrote meanwhile"
        );
    }
}

#[test]
fn verdicts_that_are_no_pass_and_live_migrations_are_written_at_once() {
    for (stage, verdict) in [
        ("Gate", "Failed"),
        ("Rehearse", "Inconclusive"),
        ("Migrate", "Passed"),
        ("Optimise", "Passed"),
    ] {
        let before = status("waits", stage, json!([]));
        let next = status("waits", stage, job(json!(verdict)));
        assert!(
            matches!(decide(&before, &next), Save::Now),
            "{stage} {verdict}"
        );
    }
}

type Change = (&'static str, fn(&mut CrmPlatformStatus));

#[test]
fn what_allows_a_write_is_never_kept_back() {
    let before = status("waits", "Rehearse", json!([]));
    let changes: [Change; 6] = [
        ("a stage", |status| {
            let verdict = Some(Verdict::Passed);
            status.memory.releases[0].stages[0].verdict = verdict;
        }),
        ("a scratch database", |status| {
            status.memory.scratch.push("r1".into())
        }),
        ("an image", |status| {
            status.memory.images.push(Default::default())
        }),
        ("a release", |status| {
            let again = status.memory.releases[0].clone();
            status.memory.releases.push(again);
        }),
        ("a new spec", |status| status.observed_generation = Some(2)),
        ("a condition", |status| {
            status.conditions[0].status = "True".into()
        }),
    ];
    for (what, change) in changes {
        let mut next = before.clone();
        change(&mut next);
        assert!(matches!(decide(&before, &next), Save::Now), "{what}");
    }
    assert!(matches!(
        save(None, None, &before, (false, at(0))),
        Save::Now
    ));
}

#[test]
fn a_dropped_scratch_database_can_wait() {
    let mut before = status("waits", "Rollout", json!([]));
    before.memory.scratch.push("r1".into());
    later(decide(&before, &status("waits", "Rollout", json!([]))));
}

#[test]
fn what_is_waited_for_is_told_after_half_a_minute() {
    let before = status("waits", "Rehearse", json!([]));
    let next = |job: &str| status(&format!("waits for Job {job}"), "Rehearse", json!([]));
    let ask =
        |kept: Option<&Unsaved>, job, now| save(Some(&before), kept, &next(job), (false, at(now)));
    let first = later(ask(None, "j1", 0));
    let first = later(ask(Some(&first), "j1", 29));
    let second = later(ask(Some(&first), "j2", 29));
    later(ask(Some(&second), "j2", 58));
    assert!(matches!(ask(Some(&second), "j2", 59), Save::Now));
    match ask(Some(&second), "j2", 56) {
        Save::Later(_, left) => assert_eq!(left, Duration::from_secs(3)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_will_not_come_by_itself_is_told_at_once() {
    let before = status("waits for Job j1", "Gate", json!([]));
    let next = status("waits for Job j1: ErrImagePull", "Gate", json!([]));
    let ask = |before, next| save(Some(before), None, next, (true, at(0)));
    assert!(matches!(ask(&before, &next), Save::Now));
    let recorded = status("waits for Job j1: ErrImagePull", "Gate", job(Value::Null));
    later(ask(&next, &recorded));
}

#[test]
fn nothing_is_written_when_nothing_is_new() {
    let same = status("waits", "Gate", job(json!("Passed")));
    assert!(matches!(decide(&same, &same.clone()), Save::Nothing));
}

/// An API server may say no in other words each time: the port of a broken connection, say.
#[test]
fn what_is_tried_in_vain_is_written_every_half_minute_at_most() {
    let said = |words: &str, reason: &str| {
        let sentence = format!("r1 serves; {UNDONE}Service a is not removed: {words}");
        let mut status = status(&sentence, "Gate", json!([]));
        status.conditions.push(Condition {
            type_: STALLED.to_owned(),
            reason: reason.to_owned(),
            ..ready(&sentence)
        });
        status
    };
    let before = said("port 1", "GateFailed");
    let ask = |kept: Option<&Unsaved>, words, now| {
        let next = said(words, "GateFailed");
        save(Some(&before), kept, &next, (true, at(now)))
    };
    let first = later(ask(None, "port 2", 0));
    let second = later(ask(Some(&first), "port 3", 20));
    assert!(matches!(ask(Some(&second), "port 4", 30), Save::Now));
    let other = said("port 1", "VerifyFailed");
    assert!(matches!(decide(&before, &other), Save::Now));
}
