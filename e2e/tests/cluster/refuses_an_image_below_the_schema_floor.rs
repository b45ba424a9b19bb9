//! Once old columns are dropped, an image that needs them is refused, and the message says why.

use e2e::scenario::message;
use serde_json::json;

use crate::setting::{RELEASE, Setting};

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn refuses_an_image_below_the_schema_floor() {
    let setting = Setting::new("floor");
    let platform = &setting.platform;
    setting.installed(&setting.images.current, |object| {
        object["spec"]["release"]["soakSeconds"] = json!(10)
    });
    platform
        .wait("contract on the live database", 240, |platform| {
            platform["status"]["stable"]["optimised"] == true
        })
        .unwrap();
    assert_eq!(
        platform
            .sql("select min_app_level from customer.schema_compat")
            .unwrap(),
        "2"
    );
    let pods = platform.live_pods().unwrap();
    platform
        .patch(&json!({ "image": setting.images.previous }))
        .unwrap();
    let (after, reason) = platform.wait_stalled(RELEASE).unwrap();
    assert_eq!(reason, "BelowSchemaFloor", "{}", after["status"]);
    assert!(
        message(&after, "Stalled").contains("serves on"),
        "{}",
        message(&after, "Stalled")
    );
    assert_eq!(platform.live_pods().unwrap(), pods);
}
