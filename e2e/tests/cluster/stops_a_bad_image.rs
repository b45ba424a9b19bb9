//! A bad image is stopped before anything live is touched: the same pods serve, on the same schema.

use serde_json::json;

use crate::setting::{RELEASE, Setting, stage};

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn stops_a_bad_image() {
    let setting = Setting::new("stops-bad");
    let platform = &setting.platform;
    let before = setting.installed(&setting.images.previous, |_| {});
    let pods = platform.live_pods().unwrap();
    let columns = "select string_agg(table_schema || '.' || table_name || '.' || column_name, ',' order by 1) from information_schema.columns where table_schema in ('customer', 'sales')";
    let schema = platform.sql(columns).unwrap();
    platform
        .patch(&json!({ "image": setting.images.faulty }))
        .unwrap();
    let (after, reason) = platform.wait_stalled(RELEASE).unwrap();
    assert_eq!(reason, "TestsFailed", "{}", after["status"]);
    let gate = stage(&after, "Gate");
    let failed = gate["jobs"]
        .as_array()
        .unwrap()
        .iter()
        .find(|job| job["step"] == "acceptance")
        .unwrap();
    assert_eq!(failed["verdict"], "Failed");
    assert!(failed["report"]["failed"].as_i64().unwrap() > 0, "{failed}");
    assert_eq!(
        after["status"]["stable"]["release"],
        before["status"]["stable"]["release"]
    );
    assert_eq!(
        platform.live_pods().unwrap(),
        pods,
        "stable's pods were touched"
    );
    assert_eq!(
        platform.sql(columns).unwrap(),
        schema,
        "the live schema was touched"
    );
}
