//! A fix does not wait for the test of what it fixes; a migration of live data is never stopped.

use std::time::Instant;

use serde_json::json;

use crate::setting::{RELEASE, Setting, newest};

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn a_newer_spec_cancels_tests_but_not_a_migration() {
    let setting = Setting::new("newer-spec");
    let platform = &setting.platform;
    let before = setting.installed(&setting.images.previous, |_| {});
    let tests = before["spec"]["tests"].clone();

    // A test that would take five minutes is stopped by the next spec.
    let slow = json!([{ "name": "slow", "when": ["Gate"], "image": setting.images.postgres, "args": ["sleep", "300"] }]);
    platform
        .patch(&json!({ "image": setting.images.current, "tests": slow }))
        .unwrap();
    let selector = "crmplatform.io/stage=Gate";
    let running = |job: &serde_json::Value| {
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

    // A reader holds up expand on the live database; meanwhile the spec goes back to the previous image.
    let expand = "crmplatform.io/track=migration,crmplatform.io/stage=Migrate";
    let fresh = |job: &serde_json::Value| {
        job["spec"]["template"]["spec"]["containers"][0]["image"]
            != before["status"]["stable"]["images"][0]["image"]
    };
    platform
        .wait("the gate", RELEASE, |platform| {
            platform["status"]["candidate"]["stage"] == "Gate"
        })
        .unwrap();
    let reader = std::thread::spawn({
        let platform = platform.clone();
        move || {
            platform.sql("begin; lock table customer.contact in access exclusive mode; select pg_sleep(50); commit")
        }
    });
    platform
        .watch("expand on the live database", RELEASE, |_| {
            Ok(platform
                .list("jobs", expand)?
                .iter()
                .any(|job| fresh(job) && job["status"]["active"] == 1))
        })
        .unwrap();
    let migration = platform
        .list("jobs", expand)
        .unwrap()
        .into_iter()
        .find(|job| fresh(job))
        .unwrap();
    let (name, uid) = (
        migration["metadata"]["name"].as_str().unwrap(),
        &migration["metadata"]["uid"],
    );
    platform
        .patch(&json!({ "image": setting.images.previous }))
        .unwrap();
    let ended = |job: &serde_json::Value| {
        job["status"]["conditions"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|c| c["type"] == "Complete" && c["status"] == "True")
    };
    platform
        .watch("the migration to end by itself", 180, |_| {
            let job: serde_json::Value =
                serde_json::from_str(&platform.kubectl(&["get", "job", name, "--output=json"])?)?;
            assert_eq!(&job["metadata"]["uid"], uid, "the migration was replaced");
            assert!(
                job["metadata"]["deletionTimestamp"].is_null(),
                "the migration was stopped"
            );
            Ok(ended(&job))
        })
        .unwrap();
    reader.join().unwrap().ok();
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
