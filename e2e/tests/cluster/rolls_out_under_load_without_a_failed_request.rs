//! From one email to several, with the schema's expand, backfill and contract, while users work: no request fails, no row is lost.

use serde_json::json;

use crate::setting::{RELEASE, Setting};

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn rolls_out_under_load_without_a_failed_request() {
    let setting = Setting::new("rolls-out");
    let platform = &setting.platform;
    setting.installed(&setting.images.previous, |_| {});
    let load = platform.start_load(&setting.images.current, 30).unwrap();
    platform
        .patch(&json!({ "image": setting.images.current }))
        .unwrap();
    platform.wait_ready(RELEASE).unwrap();
    let contracted = platform
        .wait("contract on the live database", 240, |platform| {
            platform["status"]["stable"]["optimised"] == true
        })
        .unwrap();
    let traffic = load.stop().unwrap();
    assert_eq!(
        (traffic.failed, traffic.wrong),
        (0, 0),
        "{}",
        traffic.summary
    );
    assert!(
        traffic.requests >= 2000,
        "only {} requests",
        traffic.requests
    );
    let contract = contracted["status"]["schema"]
        .as_array()
        .unwrap()
        .iter()
        .find(|record| record["phase"] == "contract" && record["service"] == "customer");
    assert_eq!(
        contract.unwrap()["floor"],
        2,
        "{}",
        contracted["status"]["schema"]
    );
    let column = "select count(*) from information_schema.columns where table_schema = 'customer' and table_name = 'contact' and column_name = 'email'";
    assert_eq!(platform.sql(column).unwrap(), "0", "the old column is gone");
    println!("{}", traffic.summary);
}
