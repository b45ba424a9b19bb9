//! A canary whose tests fail in its second step: it never gets all requests, the pods of stable stay, and no request fails.

use serde_json::json;

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
    let mut tests = before["spec"]["tests"].as_array().unwrap().clone();
    // A test is told no step; the name of its Job holds it.
    let script = "case $(hostname) in *-canary-50-*) exit 1 ;; esac";
    tests.push(json!({ "name": "doomed", "when": ["Verify"], "image": setting.images.postgres, "args": ["sh", "-c", script] }));
    platform
        .patch(&json!({ "image": setting.images.current, "tests": tests }))
        .unwrap();
    let (after, reason) = platform.wait_stalled(RELEASE).unwrap();
    unharmed(load, 100);
    assert_eq!(reason, "CanaryFailed", "{}", after["status"]);
    assert!(stage(&after, "Verify").is_null(), "it never got so far");
    let jobs = stage(&after, "Rollout")["jobs"].as_array().unwrap().clone();
    let verdict = |step: &str| {
        let job = jobs.iter().find(|job| job["step"] == step);
        job.map(|job| job["verdict"].clone())
    };
    assert_eq!(
        verdict("canary-34-doomed"),
        Some(json!("Passed")),
        "{jobs:?}"
    );
    assert_eq!(
        verdict("canary-50-doomed"),
        Some(json!("Failed")),
        "{jobs:?}"
    );
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
}
