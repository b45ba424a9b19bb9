//! A canary whose tests fail in its second step: it never gets all requests, the pods of stable stay. The same image without the test that fails goes through both
//! steps to its end. No request fails.

use serde_json::{Value, json};

use crate::setting::{RELEASE, Setting, stage, unharmed};

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn canary_stops_at_the_failing_step() {
    let setting = Setting::new("canary");
    let platform = &setting.platform;
    let steps = json!([{ "weight": 34, "seconds": 5 }, { "weight": 50, "seconds": 5 }]);
    let before = setting.installed(&setting.images.previous, |object| {
        object["spec"]["release"] = json!({ "strategy": { "type": "Canary", "steps": steps } });
    });
    let pods = platform.live_pods().unwrap();
    let load = platform.start_load(&setting.images.current, 20).unwrap();
    let tests = setting.failing_at_half(&before);
    platform
        .patch(&json!({ "image": setting.images.current, "tests": tests }))
        .unwrap();
    let (after, reason) = platform.wait_stalled(RELEASE).unwrap();
    unharmed(load, 100);
    assert_eq!(reason, "CanaryFailed", "{}", after["status"]);
    assert!(stage(&after, "Verify").is_null(), "it never got so far");
    assert_eq!(verdict(&after, "canary-34-doomed"), "Passed");
    assert_eq!(verdict(&after, "canary-50-doomed"), "Failed");
    assert_eq!(
        after["status"]["stable"]["release"],
        before["status"]["stable"]["release"]
    );
    let left = platform.list("pods", "crmplatform.io/slot=green").unwrap();
    let left = left
        .iter()
        .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    assert_eq!(left.count(), 0, "the canary is gone");
    let stable = platform.live_pods().unwrap();
    assert!(
        pods.iter().all(|uid| stable.contains(uid)),
        "stable was never touched"
    );
    goes_to_its_end(&setting, &before);
}

fn goes_to_its_end(setting: &Setting, before: &Value) {
    let platform = &setting.platform;
    let load = platform.start_load(&setting.images.current, 20).unwrap();
    platform
        .patch(&json!({ "tests": before["spec"]["tests"] }))
        .unwrap();
    let after = platform.wait_ready(RELEASE).unwrap();
    for step in ["canary-34-smoke", "canary-50-smoke"] {
        assert_eq!(verdict(&after, step), "Passed");
    }
    // The pods of the release before stay for a while, without requests.
    platform
        .watch("the pods of the release before to go", RELEASE, |_| {
            let blue = platform.list("pods", "crmplatform.io/slot=blue")?;
            Ok(blue.is_empty())
        })
        .unwrap();
    unharmed(load, 100);
}

fn verdict(platform: &Value, step: &str) -> Value {
    let rollout = stage(platform, "Rollout");
    let mut jobs = rollout["jobs"].as_array().into_iter().flatten();
    let job = jobs.find(|job| job["step"] == step);
    job.unwrap_or_else(|| panic!("no Job {step}: {rollout}"))["verdict"].clone()
}
