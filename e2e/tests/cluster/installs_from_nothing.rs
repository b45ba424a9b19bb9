//! One object makes a whole CRM: database, schemas, services; and its status tells how.

use crate::setting::{Setting, stage};

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn installs_from_nothing() {
    let setting = Setting::new("installs");
    let platform = setting.installed(&setting.images.current, |_| {});
    assert_eq!(
        setting.platform.live_pods().unwrap().len(),
        4,
        "two services of two pods"
    );
    for name in ["Rehearse", "Gate", "Migrate", "Rollout", "Verify"] {
        assert_eq!(
            stage(&platform, name)["verdict"],
            "Passed",
            "{name}: {}",
            platform["status"]
        );
    }
    assert!(
        platform["status"]["delivery"]["total"]["seconds"]
            .as_str()
            .unwrap()
            .parse::<f64>()
            .unwrap()
            > 0.0
    );
    assert!(
        platform["status"]["delivery"]["total"]["cost"]
            .as_str()
            .unwrap()
            .parse::<f64>()
            .unwrap()
            > 0.0
    );
    // The roles are apart: the services own nothing.
    let owners = setting.platform.sql("select distinct pg_get_userbyid(relowner) from pg_class c join pg_namespace n on n.oid = relnamespace where nspname in ('customer', 'sales') and relkind = 'r'");
    assert_eq!(owners.unwrap(), "crm_owner");
    // The scratch database and the candidate are gone.
    let name = "no candidate and no scratch database";
    setting
        .platform
        .watch(name, 120, |platform| {
            let databases = setting
                .platform
                .sql("select count(*) from pg_database where datname like 'scratch%'")?;
            let pods = setting.platform.list(
                "pods",
                "crmplatform.io/track=candidate,crmplatform.io/service",
            )?;
            Ok(databases == "0"
                && pods.iter().all(|pod| pod["status"]["phase"] != "Running")
                && platform["status"]["scratch"].is_null())
        })
        .unwrap();
}
