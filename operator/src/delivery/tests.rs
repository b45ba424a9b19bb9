//! The formulas on one release whose every second is known.

use serde_json::json;

use super::*;

fn at(second: u32) -> String {
    format!("2026-01-01T12:{:02}:{:02}Z", second / 60, second % 60)
}

/// Second 0: the spec is seen. Its parts in order, each as long as no other, so that none can stand for another.
fn record() -> ReleaseRecord {
    let job = |step: &str, [queued, started, finished]: [u32; 3], cost: &str| {
        json!({ "step": step, "job": step, "attempt": 1, "verdict": "Passed", "cost": cost,
            "queuedAt": at(queued), "startedAt": at(started), "finishedAt": at(finished) })
    };
    let mut tests = job("smoke", [62, 65, 80], "2");
    tests["recordedAt"] = json!(at(84));
    serde_json::from_value(json!({
        "release": "r1", "generation": 1, "startedAt": at(5), "askedAt": at(0), "stages": [
            // Known at 3; the platform was not at rest until 5.
            { "name": "Resolve", "startedAt": at(0), "readyAt": at(3), "finishedAt": at(5), "runningSeconds": 3, "queuedSeconds": 2 },
            { "name": "Backup", "startedAt": at(5), "finishedAt": at(12), "cost": "1", "jobs": [job("dump", [5, 6, 12], "1")] },
            { "name": "Rehearse", "startedAt": at(12), "finishedAt": at(40), "cost": "3" },
            { "name": "Gate", "startedAt": at(40), "readyAt": at(60), "finishedAt": at(85), "cost": "7", "jobs": [tests] },
            { "name": "Approve", "startedAt": at(185), "finishedAt": at(185), "humanWaitSeconds": 100 },
            { "name": "Migrate", "startedAt": at(185), "finishedAt": at(190), "cost": "4" },
            { "name": "Rollout", "startedAt": at(190), "readyAt": at(200), "finishedAt": at(233), "cost": "9",
                "jobs": [job("canary-25-smoke", [210, 211, 220], "5")] },
            { "name": "Verify", "startedAt": at(233), "finishedAt": at(239), "cost": "6" },
            // Ten seconds of Jobs in an hour of soak.
            { "name": "Optimise", "startedAt": at(239), "finishedAt": at(3599), "runningSeconds": 10, "cost": "8",
                "jobs": [job("backfill-customer", [240, 241, 245], "3"), job("contract-customer", [3500, 3501, 3507], "5")] }
        ]
    }))
    .unwrap()
}

fn parts(amount: &Amount) -> (&str, &str) {
    (&amount.seconds, &amount.cost)
}

#[test]
fn each_second_and_each_pod_is_in_one_part() {
    let all = of(&record());
    assert_eq!(parts(&all.build.get), ("3", "0"));
    // Rehearsal 28 s, candidate pods 20 s; their price is what the gate cost beyond its tests.
    assert_eq!(parts(&all.test.case), ("48", "8"));
    assert_eq!(parts(&all.test.execute), ("20", "2"));
    assert_eq!(parts(&all.test.record), ("4", "0"));
    assert_eq!(parts(&all.test.analyse), ("1", "0"));
    // Pods 10 s, verification 6 s.
    assert_eq!(parts(&all.deploy.install), ("16", "10"));
    assert_eq!(parts(&all.deploy.configure), ("33", "5"));
    // Backup 7 s, expand 5 s, backfill and contract 10 s.
    assert_eq!(parts(&all.deploy.migrate), ("22", "13"));
    assert_eq!(parts(&all.deploy.optimise), ("0", "0"));
    // From 0 to 239 without 2 s in which the platform was not at rest and 100 s of people, and the Jobs of the last stage.
    assert_eq!(parts(&all.total), ("147", "38"));
    assert_eq!(sums(&record()).total, all.total);
}

#[test]
fn the_totals_need_only_the_stages() {
    let mut short = record();
    let whole = sums(&short);
    for stage in &mut short.stages {
        stage.jobs.clear();
    }
    assert_eq!(sums(&short), whole);
}

#[test]
fn a_release_that_has_not_ended_has_what_has_ended() {
    let mut begun = record();
    begun.stages.truncate(4);
    begun.stages[3].finished_at = None;
    let all = of(&begun);
    assert_eq!(
        (
            all.test.total.seconds.as_str(),
            all.deploy.total.seconds.as_str()
        ),
        ("28", "7")
    );
}
