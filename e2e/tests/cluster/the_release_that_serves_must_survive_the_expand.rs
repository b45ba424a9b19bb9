//! A release is tried beside the one that serves: that one's own acceptance tests pass on the schema that the new one's expand and backfill make, both are
//! measured, and nothing live is touched by it. When those tests fail there, the new release is rejected.

use e2e::scenario::{Platform, message};
use serde_json::{Value, json};

use crate::setting::{RELEASE, Setting, newest, stage};

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn the_release_that_serves_must_survive_the_expand() {
    let setting = Setting::new("beside");
    let platform = &setting.platform;
    let first = setting.installed(&setting.images.previous, |object| {
        object["spec"]["tests"][0]["when"] = json!(["Gate", "Compat"]);
        // How much slower depends on what else the machine does: here only what is measured counts.
        let speed = json!({
            "name": "speed", "when": ["Performance"], "args": ["test", "--suite", "performance"],
            "deadlineSeconds": 180, "maxRegressionPercent": 1000
        });
        object["spec"]["tests"].as_array_mut().unwrap().push(speed);
    });
    let gate = stage(&first, "Gate");
    assert_eq!(gate["jobs"].as_array().map(Vec::len), Some(2), "{gate}");
    let words = gate["message"].as_str().unwrap_or_default();
    assert!(words.contains("no release serves yet"), "{gate}");

    let pods = platform.live_pods().unwrap();
    platform
        .patch(&json!({ "image": setting.images.current }))
        .unwrap();
    platform
        .watch("stable beside the candidate", RELEASE, |_| {
            Ok(beside(platform) > 0)
        })
        .unwrap();
    assert_eq!(platform.live_pods().unwrap(), pods);
    let second = platform.wait_ready(RELEASE).unwrap();
    for step in [
        "stable-after-expand-acceptance",
        "stable-after-backfill-acceptance",
    ] {
        let job = job(&second, step);
        assert_eq!(job["verdict"], "Passed", "{job}");
        assert!(job["report"]["passed"].as_i64() >= Some(10), "{job}");
    }
    let speed = job(&second, "speed");
    assert_eq!(speed["verdict"], "Passed", "{speed}");
    let performance = &speed["report"]["performance"];
    for of in [
        performance,
        &performance["parts"][0],
        &performance["parts"][1],
    ] {
        for side in ["stableP95Milliseconds", "candidateP95Milliseconds"] {
            let p95 = of[side].as_str().and_then(|p95| p95.parse::<f64>().ok());
            assert!(p95.is_some_and(|p95| p95 > 0.0), "{performance}");
        }
    }
    platform
        .watch("all of it to be removed", 90, |_| {
            let databases = "select count(*) from pg_database where datname like 'scratch%'";
            Ok(beside(platform) == 0 && platform.sql(databases)? == "0")
        })
        .unwrap();
}

/// An image whose own acceptance tests fail stands for one that the new expand breaks: it serves because its gate asks for the smoke tests only.
#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn a_release_on_whose_schema_the_one_that_serves_fails_is_rejected() {
    let setting = Setting::new("beside-broken");
    let platform = &setting.platform;
    let before = setting.installed(&setting.images.faulty, |object| {
        object["spec"]["tests"][0]["when"] = json!(["Compat"]);
    });
    let pods = platform.live_pods().unwrap();
    platform
        .patch(&json!({ "image": setting.images.current }))
        .unwrap();
    let (after, reason) = platform.wait_stalled(RELEASE).unwrap();
    assert_eq!(reason, "BreaksStable", "{}", after["status"]);
    let serving = before["status"]["stable"]["release"].as_str().unwrap();
    let words = message(&after, "Stalled");
    assert!(
        words.contains(&format!("expand breaks release {serving}")),
        "{words}"
    );
    assert_eq!(after["status"]["stable"]["release"], serving);
    assert_eq!(platform.live_pods().unwrap(), pods);
}

/// Deployments that stand beside each other.
fn beside(platform: &Platform) -> usize {
    let selector = "crmplatform.io/track in (beside-stable, beside-candidate)";
    platform.list("deployments", selector).unwrap().len()
}

fn job<'a>(platform: &'a Value, step: &str) -> &'a Value {
    let jobs = stage(platform, "Gate")["jobs"].as_array();
    let found = jobs.into_iter().flatten().find(|job| job["step"] == step);
    found.unwrap_or_else(|| panic!("no Job of {step}: {}", newest(platform)))
}
