//! A quota of Jobs: the API server denies the Job itself, of which no event of a Job tells. It is told at once, the release is held with the words of the refusal, and goes on when there is room and a person asks.

use e2e::scenario::message;
use serde_json::json;

use crate::flask;
use crate::setting::{INSTALL, RELEASE, Setting};

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn holds_when_quota_forbids_a_job() {
    let setting = Setting::new("jobless");
    let platform = &setting.platform;
    let quota = json!({ "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "jobless", "namespace": platform.namespace },
        "spec": { "hard": { "count/jobs.batch": "0" } } });
    platform.apply(&quota).unwrap();
    let tests = json!([flask::test("says-hello", flask::SAYS_HELLO)]);
    let mut object = flask::platform(platform, &setting.images.flask, 1, &tests);
    object["spec"]["release"]["progressDeadlineSeconds"] = json!(20);
    platform.apply(&object).unwrap();
    let (held, reason) = platform.wait_stalled(INSTALL).unwrap();
    assert_eq!(reason, "RehearsalInconclusive", "{}", held["status"]);
    assert_eq!(held["status"]["stage"], "Held");
    let told = message(&held, "Stalled");
    for word in ["Job", "exceeded quota: jobless", "crmplatform.io/retry"] {
        assert!(told.contains(word), "{word:?} is not in {told}");
    }
    let refused = "--field-selector=involvedObject.kind=CrmPlatform,reason=ApplyFailed";
    let events = platform.kubectl(&["get", "events", refused]).unwrap();
    assert!(events.contains("exceeded quota: jobless"), "{events}");

    platform
        .kubectl(&["delete", "resourcequota", "jobless"])
        .unwrap();
    platform
        .annotate("crmplatform.io/retry", "ops: there is room now")
        .unwrap();
    platform.wait_ready(RELEASE).unwrap();
}
