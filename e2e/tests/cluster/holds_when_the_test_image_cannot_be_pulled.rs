//! A test that cannot be run says nothing: the release is held, not passed, within a minute; a mended spec goes on at once.

use std::time::Instant;

use e2e::scenario::message;
use serde_json::json;

use crate::setting::{RELEASE, Setting, stage};

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn holds_when_the_test_image_cannot_be_pulled() {
    let setting = Setting::new("holds");
    let platform = &setting.platform;
    let missing = format!(
        "{}/crm-service@sha256:{}",
        setting.cluster.registry,
        "0".repeat(64)
    );
    let mut object = platform.sample(&setting.images.current).unwrap();
    let tests = object["spec"]["tests"].clone();
    object["spec"]["tests"] = json!([{ "name": "absent", "when": ["Gate"], "image": missing, "args": ["test"], "deadlineSeconds": 300 }]);
    platform.apply(&object).unwrap();
    platform
        .wait("the test Job", RELEASE, |platform| {
            stage(platform, "Gate")["jobs"].is_array()
        })
        .unwrap();
    let began = Instant::now();
    let (held, reason) = platform.wait_stalled(90).unwrap();
    assert!(
        began.elapsed().as_secs() <= 60,
        "held after {:?}",
        began.elapsed()
    );
    assert_eq!(reason, "GateInconclusive", "{}", held["status"]);
    assert_eq!(held["status"]["stage"], "Held");
    assert!(
        message(&held, "Stalled").contains("cannot start"),
        "{}",
        message(&held, "Stalled")
    );
    assert!(platform.live_pods().unwrap().is_empty());
    platform.patch(&json!({ "tests": tests })).unwrap();
    platform.wait_ready(RELEASE).unwrap();
}
