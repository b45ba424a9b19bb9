//! Deleting a platform removes all it made but the data; a platform of the same name takes the data up again, without what a rehearsal left behind long ago. With
//! `deletionPolicy: Delete` the data goes too.

use serde_json::json;

use crate::setting::{INSTALL, RELEASE, Setting, delete, wait_until_gone};

const LONG_AGO: &str = "scratch_0a1b2c3d_r0123456789";
const LATELY: &str = "scratch_0a1b2c3d_r9876543210";

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn deletes_cleanly_and_keeps_the_database() {
    let setting = Setting::new("deletes");
    let platform = &setting.platform;
    setting.installed(&setting.images.current, |_| {});
    platform
        .sql("create table public.keepsake as select 42 as answer")
        .unwrap();
    // As platforms leave them that are deleted in the middle of a rehearsal.
    for (name, made) in [(LONG_AGO, "2026-01-01"), (LATELY, "2999-01-01")] {
        platform
            .sql(&format!("create database {name} owner crm_owner"))
            .unwrap();
        let comment = format!("comment on database {name} is 'made {made}'");
        platform.sql(&comment).unwrap();
    }
    delete(platform);
    let kinds = "deployments,statefulsets,services,jobs,configmaps,controllerrevisions,pods";
    wait_until_gone(platform, kinds);
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
    let left =
        format!("select datname from pg_database where datname in ('{LONG_AGO}', '{LATELY}')");
    assert_eq!(platform.sql(&left).unwrap(), LATELY);

    platform
        .patch(&json!({ "deletionPolicy": "Delete" }))
        .unwrap();
    platform.wait_ready(RELEASE).unwrap();
    delete(platform);
    // The Secrets were made before, and are removed by hand.
    wait_until_gone(platform, &format!("{kinds},persistentvolumeclaims"));
}
