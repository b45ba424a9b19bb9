//! A fix does not wait for the test of what it fixes; a migration of live data is never stopped.

use std::time::{Duration, Instant};

use anyhow::Result;
use e2e::scenario::Platform;
use serde_json::{Value, json};

use crate::setting::{RELEASE, Setting, newest};

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn a_newer_spec_cancels_tests_but_not_a_migration() {
    let setting = Setting::new("newer-spec");
    let platform = &setting.platform;
    let before = setting.installed(&setting.images.previous, |_| {});
    let tests = before["spec"]["tests"].clone();

    let superseded = stops_a_test(&setting, &tests);
    finishes_a_migration(&setting, &before["status"]["stable"]["images"][0]["image"]);
    let after = platform.wait_ready(RELEASE).unwrap();
    assert_eq!(
        after["status"]["stable"]["release"], before["status"]["stable"]["release"],
        "stable serves as the spec says"
    );
    let records = after["status"]["releases"].as_array().unwrap();
    assert_eq!(
        records
            .iter()
            .find(|record| record["release"] == superseded)
            .unwrap()["verdict"],
        "Superseded"
    );
    assert_eq!(records[0]["verdict"], "Superseded", "{}", records[0]);
}

/// A test that would take five minutes is stopped by the next spec; answers the release that it was of.
fn stops_a_test(setting: &Setting, tests: &Value) -> Value {
    let platform = &setting.platform;
    let slow = json!([{ "name": "slow", "when": ["Gate"], "image": setting.images.postgres, "args": ["sleep", "300"] }]);
    platform
        .patch(&json!({ "image": setting.images.current, "tests": slow }))
        .unwrap();
    let selector = "crmplatform.io/stage=Gate";
    let running = |job: &Value| {
        job["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .contains("slow")
            && job["status"]["active"] == 1
    };
    platform
        .watch("the slow test", RELEASE, |_| {
            Ok(platform.list("jobs", selector)?.iter().any(running))
        })
        .unwrap();
    let superseded = newest(&platform.get().unwrap())["release"].clone();
    platform.patch(&json!({ "tests": tests })).unwrap();
    let pushed = Instant::now();
    platform
        .watch("the slow test to be stopped", 60, |_| {
            Ok(!platform.list("jobs", selector)?.iter().any(running))
        })
        .unwrap();
    assert!(
        pushed.elapsed().as_secs() < 30,
        "stopped after {:?}",
        pushed.elapsed()
    );
    superseded
}

/// A writer holds up expand on the live database; meanwhile the spec goes back to the previous image.
fn finishes_a_migration(setting: &Setting, stable: &Value) {
    let platform = &setting.platform;
    let fresh = |job: &Value| job["spec"]["template"]["spec"]["containers"][0]["image"] != *stable;
    // Long before expand: nothing else waits for the writer.
    let mut writer = platform.open_session(600).unwrap();
    writer
        .run("begin; lock table customer.contact in row exclusive mode")
        .unwrap();
    let expand = "crmplatform.io/track=migration,crmplatform.io/stage=Migrate";
    platform
        .watch("expand on the live database", RELEASE, |_| {
            let jobs = platform.list("jobs", expand)?;
            Ok(jobs.iter().any(|job| fresh(job) && is_active(job)))
        })
        .unwrap();
    let jobs = platform.list("jobs", expand).unwrap();
    let migration = jobs.iter().find(|job| fresh(job)).unwrap();
    assert!(is_active(migration), "{}", migration["status"]);
    platform
        .patch(&json!({ "image": setting.images.previous }))
        .unwrap();
    platform
        .wait("the operator to read the newer spec", 30, |platform| {
            platform["status"]["observedGeneration"] == platform["metadata"]["generation"]
        })
        .unwrap();
    // As long as the lock is held, the migration cannot have ended by itself.
    for _ in 0..5 {
        let job = same_job(platform, migration).unwrap();
        assert!(is_active(&job), "{}", job["status"]);
        std::thread::sleep(Duration::from_secs(1));
    }
    drop(writer);
    platform
        .watch("the migration to end by itself", 180, |_| {
            Ok(is_complete(&same_job(platform, migration)?))
        })
        .unwrap();
}

fn is_active(job: &Value) -> bool {
    job["status"]["active"] == 1
}

fn is_complete(job: &Value) -> bool {
    let conditions = job["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|c| c["type"] == "Complete" && c["status"] == "True")
}

/// The Job as it is now, which nobody may have replaced or stopped.
fn same_job(platform: &Platform, job: &Value) -> Result<Value> {
    let name = job["metadata"]["name"].as_str().unwrap();
    let now: Value =
        serde_json::from_str(&platform.kubectl(&["get", "job", name, "--output=json"])?)?;
    assert_eq!(
        now["metadata"]["uid"], job["metadata"]["uid"],
        "the migration was replaced"
    );
    assert!(
        now["metadata"]["deletionTimestamp"].is_null(),
        "the migration was stopped"
    );
    Ok(now)
}
