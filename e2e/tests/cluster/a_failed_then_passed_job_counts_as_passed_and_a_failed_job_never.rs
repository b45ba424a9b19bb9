//! Conditions, never counters: a Job whose first pod failed and whose second passed is a pass; a Job that failed is not, whatever its counters say.

use e2e::scenario::Platform;
use serde_json::{Value, json};

use crate::setting::{INSTALL, RELEASE, Setting};

/// Answers `1` to the first who asks, then `0`: a test of that exit code fails once.
const COUNTER: &str = r#"use IO::Socket::INET; $s = IO::Socket::INET->new(LocalPort => 9000, Listen => 5, ReuseAddr => 1) or die; $n = 0; while ($c = $s->accept) { print $c ($n++ ? "0\n" : "1\n"); close $c }"#;
/// Ends with the code that the counter answers.
const ASK: &str = "exec 3<>/dev/tcp/counter/9000; read -r code <&3; exit $code";

fn counter(platform: &Platform, image: &str) {
    let labels = json!({ "app": "counter" });
    let service = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "counter", "namespace": platform.namespace },
        "spec": { "selector": labels, "ports": [{ "port": 9000 }] } });
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "counter", "namespace": platform.namespace, "labels": labels },
        "spec": {
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 1,
            "securityContext": { "runAsNonRoot": true, "runAsUser": 999, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{ "name": "counter", "image": image, "command": ["perl", "-e", COUNTER],
                "securityContext": { "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] } } }]
        } });
    platform.apply(&service).unwrap();
    platform.apply(&pod).unwrap();
    platform
        .kubectl(&[
            "wait",
            "--for=condition=Ready",
            "--timeout=55s",
            "pod/counter",
        ])
        .unwrap();
}

fn with_test(object: &mut Value, name: &str, image: &str, script: &str) {
    object["spec"]["tests"] = json!([{ "name": name, "when": ["Gate"], "image": image, "args": ["bash", "-c", script], "attempts": 2, "deadlineSeconds": 120 }]);
}

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn a_failed_then_passed_job_counts_as_passed_and_a_failed_job_never() {
    let setting = Setting::new("failed-then-passed");
    let platform = &setting.platform;
    counter(platform, &setting.images.postgres);
    let mut object = platform.sample(&setting.images.current).unwrap();
    with_test(&mut object, "flaky", &setting.images.postgres, ASK);
    platform.apply(&object).unwrap();
    platform.wait_ready(INSTALL).unwrap();
    let jobs = platform.list("jobs", "crmplatform.io/stage=Gate").unwrap();
    assert_eq!(
        jobs[0]["status"]["failed"], 1,
        "its first pod failed: {}",
        jobs[0]["status"]
    );
    let pods = platform.live_pods().unwrap();

    with_test(&mut object, "red", &setting.images.postgres, "exit 1");
    platform.apply(&object).unwrap();
    let (after, reason) = platform.wait_stalled(RELEASE).unwrap();
    assert_eq!(reason, "TestsFailed", "{}", after["status"]);
    assert_eq!(platform.live_pods().unwrap(), pods);
}
