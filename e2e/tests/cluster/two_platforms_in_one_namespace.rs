//! Two platforms side by side in one namespace, with the same image at the same time: neither reads or touches what is the other's.

use e2e::scenario::Platform;
use serde_json::json;

use crate::setting::{INSTALL, RELEASE, Setting};

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn two_platforms_in_one_namespace() {
    let setting = Setting::new("two");
    let first = &setting.platform;
    let second = Platform {
        name: "acme-two".into(),
        ..first.clone()
    };
    first
        .apply(&first.sample(&setting.images.previous).unwrap())
        .unwrap();
    second
        .apply(&second.sample(&setting.images.previous).unwrap())
        .unwrap();
    let one = first.wait_ready(INSTALL).unwrap();
    let two = second.wait_ready(INSTALL).unwrap();
    assert_eq!(
        one["status"]["stable"]["release"], two["status"]["stable"]["release"],
        "the same inputs have the same id"
    );
    let pods = first.live_pods().unwrap();
    assert_eq!((pods.len(), second.live_pods().unwrap().len()), (4, 4));
    second
        .patch(&json!({ "image": setting.images.faulty }))
        .unwrap();
    let (_, reason) = second.wait_stalled(RELEASE).unwrap();
    assert_eq!(reason, "TestsFailed");
    let after = first.get().unwrap();
    assert!(
        after["status"]["candidate"].is_null() && after["status"]["rejected"].is_null(),
        "{}",
        after["status"]
    );
    assert_eq!(first.live_pods().unwrap(), pods);
}
