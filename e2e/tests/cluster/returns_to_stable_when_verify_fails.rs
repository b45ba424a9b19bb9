//! A release that fails on the live Services is taken back whole, without a failed request.

use serde_json::json;

use crate::setting::{RELEASE, Setting, stage, unharmed};

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn returns_to_stable_when_verify_fails() {
    let setting = Setting::new("returns");
    let platform = &setting.platform;
    let before = setting.installed(&setting.images.previous, |_| {});
    let load = platform.start_load(&setting.images.current, 20).unwrap();
    let mut tests = before["spec"]["tests"].as_array().unwrap().clone();
    tests.push(json!({ "name": "doomed", "when": ["Verify"], "image": setting.images.postgres, "args": ["sh", "-c", "exit 1"] }));
    platform
        .patch(&json!({ "image": setting.images.current, "tests": tests }))
        .unwrap();
    let (after, reason) = platform.wait_stalled(RELEASE).unwrap();
    unharmed(load, 100);
    assert_eq!(reason, "VerifyFailed", "{}", after["status"]);
    assert_eq!(
        stage(&after, "Rollout")["verdict"],
        "Passed",
        "it was rolled out before it was taken back"
    );
    assert_eq!(
        after["status"]["stable"]["release"],
        before["status"]["stable"]["release"]
    );
    let stable = before["status"]["stable"]["release"].as_str().unwrap();
    let pods = platform
        .list(
            "pods",
            "crmplatform.io/platform=acme,crmplatform.io/track=stable",
        )
        .unwrap();
    let serving: Vec<_> = pods
        .iter()
        .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
        .collect();
    assert_eq!(serving.len(), 4);
    assert!(
        serving
            .iter()
            .all(|pod| pod["metadata"]["labels"]["crmplatform.io/release"] == stable)
    );
}
