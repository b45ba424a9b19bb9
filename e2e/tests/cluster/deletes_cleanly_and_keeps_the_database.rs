//! Deleting a platform removes all it made but the data; a platform of the same name takes the data up again.

use std::time::{Duration, Instant};

use crate::setting::{INSTALL, Setting};

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn deletes_cleanly_and_keeps_the_database() {
    let setting = Setting::new("deletes");
    let platform = &setting.platform;
    setting.installed(&setting.images.current, |_| {});
    platform
        .sql("create table public.keepsake as select 42 as answer")
        .unwrap();
    platform
        .kubectl(&["delete", "crmplatform", "acme", "--timeout=50s"])
        .unwrap();
    let kinds = "deployments,statefulsets,services,jobs,configmaps,controllerrevisions,pods";
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let left = platform
            .list(kinds, "crmplatform.io/platform=acme")
            .unwrap();
        if left.is_empty() {
            break;
        }
        let names: Vec<_> = left
            .iter()
            .map(|object| format!("{} {}", object["kind"], object["metadata"]["name"]))
            .collect();
        assert!(
            Instant::now() < deadline,
            "120 s after the platform was deleted these are left: {names:?}"
        );
        std::thread::sleep(Duration::from_secs(1));
    }
    assert!(
        platform
            .kubectl(&["get", "persistentvolumeclaim", "data-acme-postgres-0"])
            .is_ok(),
        "the volume stays"
    );
    assert!(
        platform
            .kubectl(&["get", "secret", "acme-db", "acme-db-app"])
            .is_ok(),
        "its passwords stay"
    );
    assert!(
        platform
            .kubectl(&["get", "secret", "acme-identity"])
            .is_err(),
        "the signing key does not"
    );

    platform
        .apply(&platform.sample(&setting.images.current).unwrap())
        .unwrap();
    platform.wait_ready(INSTALL).unwrap();
    assert_eq!(
        platform.sql("select answer from public.keepsake").unwrap(),
        "42",
        "the data is there again"
    );
}
