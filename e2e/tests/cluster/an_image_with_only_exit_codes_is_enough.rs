//! Any image can be delivered: three pods of a Flask service that knows nothing of this project, tested by exit codes. A bad one is stopped, a good one rolled out
//! under load without a failed request.

use serde_json::{Value, json};

use crate::flask;
use crate::setting::{INSTALL, RELEASE, Setting, stage, unharmed};

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn an_image_with_only_exit_codes_is_enough() {
    let setting = Setting::new("exit-codes");
    let (platform, image) = (&setting.platform, &setting.images.flask);
    let mut test = flask::test("says-hello", flask::SAYS_HELLO);
    test["when"] = json!(["Gate", "Verify"]);
    let mut object = flask::platform(platform, image, 3, &json!([test]));
    platform.apply(&object).unwrap();
    let before = platform.wait_ready(INSTALL).unwrap();
    let pods = platform.live_pods().unwrap();
    assert_eq!(pods.len(), 3);
    let job = &stage(&before, "Gate")["jobs"][0];
    assert_eq!(job["verdict"], "Passed");
    assert!(job["report"].is_null(), "it left no report: {job}");
    assert!(before["status"]["schema"].is_null(), "it has no schema");

    let url = format!("http://{}-hello:8080/", platform.name);
    let load = platform
        .start_traffic(&json!({ "image": image, "args": ["/load.py"], "env": [{ "name": "URL", "value": url }] }))
        .unwrap();
    release(&mut object, ("GREETING", "Goodbye."), 121);
    platform.apply(&object).unwrap();
    let (stopped, reason) = platform.wait_stalled(RELEASE).unwrap();
    assert_eq!(reason, "TestsFailed", "{}", stopped["status"]);
    assert_eq!(platform.live_pods().unwrap(), pods);

    release(&mut object, ("SEASON", "winter"), 122);
    platform.apply(&object).unwrap();
    let after = platform.wait_ready(RELEASE).unwrap();
    unharmed(load, 200);
    assert_eq!(stage(&after, "Verify")["verdict"], "Passed");
    assert_ne!(
        after["status"]["stable"]["release"],
        before["status"]["stable"]["release"]
    );
}

/// Gives the service this one variable, and its test another deadline: what changes nothing but configuration would not be gated.
fn release(object: &mut Value, (name, value): (&str, &str), deadline: i64) {
    object["spec"]["services"][0]["env"] = json!([{ "name": name, "value": value }]);
    object["spec"]["tests"][0]["deadlineSeconds"] = json!(deadline);
}
