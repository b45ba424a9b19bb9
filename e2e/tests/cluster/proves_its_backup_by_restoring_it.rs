//! With `rehearsal.data: Backup` each release dumps the live database, restores the dump, migrates the real rows there, masks them, and only then shows them to
//! its candidate. The scratch database goes away, the dump stays.

use e2e::scenario::Platform;
use serde_json::{Value, json};

use crate::setting::{RELEASE, Setting, newest, stage};

/// Rows of customers as a release finds them, with an address that no mask would make.
const ROWS: &str = "insert into customer.contact (id, created_by, updated_by, owner_id, last_name, email)
    select gen_random_uuid(), 'ops', 'ops', 'ops', 'Contact ' || n, 'contact' || n || '@kunde.example' from generate_series(1, 300) n";

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn proves_its_backup_by_restoring_it() {
    let setting = Setting::new("backup");
    let platform = &setting.platform;
    let first = setting.installed(&setting.images.previous, ask_for_backups);
    assert_proven(&first);
    platform.sql(ROWS).unwrap();
    platform
        .patch(&json!({ "image": setting.images.current }))
        .unwrap();
    platform
        .wait("the gate of the second release", RELEASE, |platform| {
            platform["status"]["candidate"]["stage"] == "Gate"
        })
        .unwrap();
    let scratch = databases(platform);
    assert!(scratch.starts_with("scratch_"), "{scratch}");
    let count = "select count(*) from customer.contact where run_id = '00000000-0000-0000-0000-000000000000'";
    assert_eq!(platform.sql_in(&scratch, count).unwrap(), "300");
    let real = "select count(*) from customer.contact_email where email like '%kunde%'";
    assert_eq!(
        platform.sql_in(&scratch, real).unwrap(),
        "0",
        "the candidate sees real addresses"
    );

    let second = platform
        .wait("contract on the live database", RELEASE, |platform| {
            platform["status"]["stable"]["release"] == newest(platform)["release"]
                && platform["status"]["stable"]["optimised"] == true
                && newest(platform)["generation"] == platform["metadata"]["generation"]
        })
        .unwrap();
    assert_proven(&second);
    assert_eq!(stage(&second, "Backup")["verdict"], "Passed");
    let backups = &second["status"]["backups"];
    assert_eq!(backups.as_array().map(Vec::len), Some(2), "{backups}");
    assert_eq!(backups[0]["levels"][0]["level"], 1, "{backups}");
    assert_eq!(
        platform.sql(real).unwrap(),
        "300",
        "live rows are as they were"
    );
    platform
        .watch("the scratch database to be dropped", 60, |_| {
            Ok(databases(platform).is_empty())
        })
        .unwrap();
}

fn ask_for_backups(object: &mut Value) {
    object["spec"]["database"]["backup"] = json!({ "storage": "1Gi" });
    object["spec"]["database"]["rehearsal"] = json!({ "data": "Backup" });
    object["spec"]["release"]["soakSeconds"] = json!(10);
}

fn assert_proven(platform: &Value) {
    let backup = &platform["status"]["backups"][0];
    assert_eq!(backup["release"], newest(platform)["release"], "{backup}");
    assert!(backup["restoredAt"].is_string(), "{backup}");
    assert!(
        backup["bytes"].as_i64().is_some_and(|bytes| bytes > 500),
        "{backup}"
    );
    assert_eq!(
        backup["sha256"].as_str().map(str::len),
        Some(64),
        "{backup}"
    );
}

fn databases(platform: &Platform) -> String {
    let statement = "select datname from pg_database where datname like 'scratch%'";
    platform.sql(statement).unwrap()
}
