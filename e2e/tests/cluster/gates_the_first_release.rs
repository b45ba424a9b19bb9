//! The first deployment passes the same gate: a bad first image serves nobody. And what is made with `deletionPolicy: Delete` goes whole.

use e2e::scenario::{Platform, message};

use crate::setting::{INSTALL, Setting, delete, wait_until_gone};

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn gates_the_first_release() {
    let setting = Setting::new("gates-first");
    let mut object = setting.platform.sample(&setting.images.faulty).unwrap();
    object["spec"]["deletionPolicy"] = "Delete".into();
    setting.platform.apply(&object).unwrap();
    let (platform, reason) = setting.platform.wait_stalled(INSTALL).unwrap();
    assert_eq!(reason, "TestsFailed", "{}", platform["status"]);
    assert!(
        message(&platform, "Ready").contains("forecast"),
        "the message names the failed case: {}",
        message(&platform, "Ready")
    );
    assert!(
        setting.platform.live_pods().unwrap().is_empty(),
        "nothing was rolled out"
    );
    let schemas = setting
        .platform
        .sql("select count(*) from pg_namespace where nspname in ('customer', 'sales')")
        .unwrap();
    assert_eq!(schemas, "0", "the live database was not touched");
    drops_what_was_in_use(&setting.platform);
    delete(&setting.platform);
    let kinds =
        "deployments,statefulsets,services,jobs,configmaps,pods,secrets,persistentvolumeclaims";
    wait_until_gone(&setting.platform, kinds);
}

/// The candidate's pods are connected to the scratch database when it is dropped, and that takes one pod only.
fn drops_what_was_in_use(platform: &Platform) {
    let left = "select count(*) from pg_database where datname like 'scratch%'";
    platform
        .watch(
            "no scratch database",
            60,
            |_| Ok(platform.sql(left)? == "0"),
        )
        .unwrap();
    let events = platform.kubectl(&[
        "get",
        "events",
        "--field-selector=reason=SuccessfulCreate,involvedObject.kind=Job",
        "--output=jsonpath={range .items[*]}{.message}{\"\\n\"}{end}",
    ]);
    let events = events.unwrap();
    let mut pods = events
        .lines()
        .filter(|line| line.contains("-remove-scratch-"));
    assert!(pods.next().is_some() && pods.next().is_none(), "{events}");
}
