//! What a failed test left is there after its pod is gone: the last lines of its log in the status, the whole report and the log in a ConfigMap, as the document says.
//! Pods that break as soon as they start say why in the finding.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::setting::{INSTALL, RELEASE, Setting, newest, stage};

/// Leaves a report with a failed case and ends with 1.
const SCRIPT: &str = r#"printf '<testsuite name="a"><testcase name="sells"><failure message="no stock"/></testcase></testsuite>' > "$CRM_REPORT_DIR/report.xml"; printf 'begins\n\033[31mno stock left\033[0m\n'; exit 1"#;

/// One key of the reports of the newest release, unpacked as the document says.
fn unpacked(setting: &Setting, platform: &Value, key: &str) -> String {
    let id = newest(platform)["release"].as_str().unwrap();
    let name = format!("acme-{id}-reports");
    let map = setting
        .platform
        .kubectl(&["get", "configmap", &name, "--output=json"])
        .unwrap();
    let map: Value = serde_json::from_str(&map).unwrap();
    let packed = map["binaryData"][key].as_str();
    let packed = packed.unwrap_or_else(|| panic!("no key {key}: {map}"));
    let mut shell = Command::new("sh")
        .args(["-c", "base64 -d | gunzip"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = shell.stdin.take().unwrap();
    stdin.write_all(packed.as_bytes()).unwrap();
    drop(stdin);
    let done = shell.wait_with_output().unwrap();
    assert!(done.status.success(), "{key}");
    String::from_utf8(done.stdout).unwrap()
}

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn keeps_report_and_log_of_a_failed_test() {
    let setting = Setting::new("keeps-report");
    let platform = &setting.platform;
    setting.installed(&setting.images.current, |_| {});
    let image = &setting.images.postgres;
    let tests = json!([{ "name": "sold", "when": ["Gate"], "image": image, "report": "JUnit", "args": ["bash", "-c", SCRIPT] }]);
    platform.patch(&json!({ "tests": tests })).unwrap();
    let (after, reason) = platform.wait_stalled(RELEASE).unwrap();
    assert_eq!(reason, "TestsFailed", "{}", after["status"]);
    let job = &stage(&after, "Gate")["jobs"][0];
    assert_eq!(job["logTail"], "begins\nno stock left", "{job}");
    assert!(job["keptBytes"].as_i64() > Some(0), "{job}");
    // Pods and Jobs may go now; what they left stays.
    platform
        .kubectl(&["delete", "job", job["job"].as_str().unwrap(), "--wait=true"])
        .unwrap();
    let report = unpacked(&setting, &after, "gate-sold-1.xml.gz");
    assert!(
        report.contains(r#"<testcase name="sells"><failure message="no stock"/>"#),
        "{report}"
    );
    let log = unpacked(&setting, &after, "gate-sold-1.log.gz");
    assert_eq!(log.trim_end(), "begins\nno stock left");
}

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn says_what_pods_said_that_break_as_soon_as_they_start() {
    let setting = Setting::new("breaks");
    let platform = &setting.platform;
    let mut object = platform.sample(&setting.images.current).unwrap();
    object["spec"]["release"]["progressDeadlineSeconds"] = json!(30);
    let customer = &mut object["spec"]["services"][0];
    assert_eq!(customer["name"], "customer");
    customer["args"] = json!(["serve", "--service", "nobody-knows-it"]);
    platform.apply(&object).unwrap();
    let (after, reason) = platform.wait_stalled(INSTALL).unwrap();
    assert_eq!(reason, "CandidateNotReady", "{}", after["status"]);
    let finding = newest(&after)["finding"]["message"].as_str().unwrap();
    assert!(
        finding.contains("(restarts: ") && finding.contains("its log ends with:"),
        "{finding}"
    );
    let log = unpacked(&setting, &after, "gate-customer-pods.log.gz");
    assert!(log.contains("nobody-knows-it"), "{log}");
}
