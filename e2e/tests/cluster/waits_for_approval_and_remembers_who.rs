//! With `approval: Manual` a tested release waits, and nothing live is touched, until a person approves it; who did it and why is kept.

use e2e::scenario::reason;
use serde_json::json;

use crate::setting::{RELEASE, Setting, newest, stage};

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn waits_for_approval_and_remembers_who() {
    let setting = Setting::new("approval");
    let platform = &setting.platform;
    setting.installed(&setting.images.previous, |_| {});
    let pods = platform.live_pods().unwrap();
    platform
        .patch(&json!({ "image": setting.images.current, "release": { "approval": "Manual" } }))
        .unwrap();
    let waits = |platform: &serde_json::Value| reason(platform, "Ready") == "WaitingForApproval";
    let waiting = platform.wait("approval", RELEASE, waits).unwrap();
    assert_eq!(stage(&waiting, "Gate")["verdict"], "Passed");
    assert!(
        stage(&waiting, "Migrate").is_null(),
        "{}",
        waiting["status"]
    );
    assert_eq!(platform.live_pods().unwrap(), pods);
    platform
        .annotate("crmplatform.io/approve", "ops: checked by hand")
        .unwrap();
    let served = platform.wait_ready(RELEASE).unwrap();
    let by = &newest(&served)["interventions"][0];
    assert_eq!(
        (&by["actor"], &by["reason"]),
        (&json!("ops"), &json!("checked by hand"))
    );
    assert!(stage(&served, "Approve")["humanWaitSeconds"].is_i64());
    assert_eq!(
        served["status"]["lastHandledApprove"]["value"],
        "ops: checked by hand"
    );
}
