//! The cases in the JUnit files of a test decide, not its exit code: a silent failure is rejected, and the counts are in the status.

use serde_json::{Value, json};

use crate::setting::{INSTALL, RELEASE, Setting, stage};

/// Leaves one case that passed and one with its first argument in it, and ends with 0.
const SCRIPT: &str = r#"printf '<testsuites tests="9"><testsuite name="a"><testcase name="logs in" time="0.25"/><testcase name="sells" time="0.5">%s</testcase></testsuite></testsuites>' "$0" > "$CRM_REPORT_DIR/report.xml""#;

fn with_case(object: &mut Value, image: &str, case: &str) {
    object["spec"]["tests"] = json!([{ "name": "reported", "when": ["Gate"], "image": image, "report": "JUnit", "minTests": 2, "args": ["bash", "-c", SCRIPT, case] }]);
}

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn reads_the_report_of_a_test() {
    let setting = Setting::new("reads-report");
    let platform = &setting.platform;
    let image = &setting.images.postgres;
    let mut object = platform.sample(&setting.images.current).unwrap();
    with_case(&mut object, image, "");
    platform.apply(&object).unwrap();
    let before = platform.wait_ready(INSTALL).unwrap();
    assert_eq!(
        stage(&before, "Gate")["jobs"][0]["report"],
        json!({ "tests": 2, "passed": 2, "failed": 0, "skipped": 0, "errored": 0, "durationMilliseconds": 750 })
    );
    let pods = platform.live_pods().unwrap();

    with_case(&mut object, image, r#"<failure message="no stock"/>"#);
    platform.apply(&object).unwrap();
    let (after, reason) = platform.wait_stalled(RELEASE).unwrap();
    assert_eq!(reason, "TestsFailed", "{}", after["status"]);
    let job = &stage(&after, "Gate")["jobs"][0];
    assert_eq!(job["verdict"], "Failed");
    assert_eq!(job["report"]["failed"], 1, "{job}");
    assert_eq!(job["report"]["firstFailures"], json!(["sells: no stock"]));
    assert!(
        job["message"].as_str().unwrap().contains("exit code 0"),
        "{job}"
    );
    assert_eq!(platform.live_pods().unwrap(), pods);
}
