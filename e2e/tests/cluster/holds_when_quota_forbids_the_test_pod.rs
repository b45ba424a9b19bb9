//! A quota that leaves no room for the pod of a test says nothing about the release: it is held, with where to look, and goes on when there is room and a person asks.

use e2e::scenario::message;
use serde_json::json;

use crate::flask;
use crate::setting::{INSTALL, RELEASE, Setting, stage};

/// The database and one pod more: a Job of the rehearsal, and after it the candidate. A test beside the candidate is one too many.
const PODS: &str = "2";

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn holds_when_quota_forbids_the_test_pod() {
    let setting = Setting::new("quota");
    let platform = &setting.platform;
    let quota = json!({ "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "tight", "namespace": platform.namespace },
        "spec": { "hard": { "pods": PODS } } });
    platform.apply(&quota).unwrap();
    let tests = json!([flask::test("says-hello", flask::SAYS_HELLO)]);
    let object = flask::platform(platform, &setting.images.flask, 1, &tests);
    platform.apply(&object).unwrap();
    let (held, reason) = platform.wait_stalled(INSTALL).unwrap();
    assert_eq!(reason, "GateInconclusive", "{}", held["status"]);
    assert_eq!(held["status"]["stage"], "Held");
    let job = &stage(&held, "Gate")["jobs"][0];
    assert_eq!(job["verdict"], "Inconclusive", "{job}");
    let told = message(&held, "Stalled");
    for word in ["says-hello", "quota", "crmplatform.io/retry"] {
        assert!(told.contains(word), "{word:?} is not in {told}");
    }
    // It is said where to look, and there it stands.
    let refused = "--field-selector=involvedObject.kind=Job,reason=FailedCreate";
    let events = platform.kubectl(&["get", "events", refused]).unwrap();
    assert!(events.contains("exceeded quota: tight"), "{events}");
    assert!(platform.live_pods().unwrap().is_empty());

    platform
        .kubectl(&["delete", "resourcequota", "tight"])
        .unwrap();
    platform
        .annotate("crmplatform.io/retry", "ops: there is room now")
        .unwrap();
    platform.wait_ready(RELEASE).unwrap();
}
