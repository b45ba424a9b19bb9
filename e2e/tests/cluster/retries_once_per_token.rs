//! A retry is asked for by the value of an annotation. The same value acts once, however often it is set, and another value acts again.

use e2e::scenario::{Platform, condition};
use serde_json::{Value, json};

use crate::flask;
use crate::setting::{INSTALL, RELEASE, Setting, newest};

const RETRY: &str = "crmplatform.io/retry";
/// Fails unless it runs for the third try of its release: the first Job of that has the number 201, and the name of a pod begins with that of its Job.
const THIRD: &str = r#"import socket, sys; sys.exit(0 if "-201-" in socket.gethostname() else 1)"#;

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn retries_once_per_token() {
    let setting = Setting::new("retries");
    let platform = &setting.platform;
    let tests = json!([flask::test("third", THIRD)]);
    let object = flask::platform(platform, &setting.images.flask, 1, &tests);
    platform.apply(&object).unwrap();
    failed(platform, 1, INSTALL);

    platform.annotate(RETRY, "ops: once").unwrap();
    failed(platform, 2, RELEASE);

    // Taken away and set again, as a GitOps tool may do it; the operator has seen both once it has seen the spec that came after them.
    platform
        .kubectl(&[
            "annotate",
            "crmplatform",
            &platform.name,
            "crmplatform.io/retry-",
        ])
        .unwrap();
    platform.annotate(RETRY, "ops: once").unwrap();
    let mut more = object["spec"]["services"].clone();
    more[0]["replicas"] = json!(2);
    platform.patch(&json!({ "services": more })).unwrap();
    let (seen, _) = platform.wait_stalled(60).unwrap();
    assert_eq!(newest(&seen)["round"], 2, "{}", seen["status"]);
    let handled = &seen["status"]["lastHandledRetry"];
    assert_eq!(handled["value"], "ops: once");
    let jobs = platform.list("jobs", "crmplatform.io/stage=Gate").unwrap();
    assert_eq!(jobs.len(), 2, "one for each try");

    platform.annotate(RETRY, "ops: once more").unwrap();
    let ready = platform.wait_ready(RELEASE).unwrap();
    assert_eq!(newest(&ready)["round"], 3);
    let handled = &ready["status"]["lastHandledRetry"];
    assert_eq!(handled["value"], "ops: once more");
    let tries = ready["status"]["releases"].as_array().unwrap();
    let asked: Vec<_> = tries
        .iter()
        .map(|release| &release["interventions"][0]["reason"])
        .collect();
    assert_eq!(asked, [&Value::Null, &json!("once more"), &json!("once")]);
}

/// Waits until this try of the release was rejected.
fn failed(platform: &Platform, round: i64, seconds: u64) {
    let what = format!("try {round} to fail");
    platform
        .wait(&what, seconds, |seen| {
            newest(seen)["round"] == round
                && newest(seen)["verdict"] == "Failed"
                && condition(seen, "Stalled") == "True"
        })
        .unwrap();
}
