//! The document about restores is run as it stands, block by block: rows that were deleted are there again, and the platform goes on.

use std::process::Command;

use e2e::{command, paths};
use serde_json::json;

use crate::setting::{RELEASE, Setting};

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn restores_deleted_rows_as_the_document_says() {
    let setting = Setting::new("restore");
    let platform = &setting.platform;
    setting.installed(&setting.images.previous, |object| {
        object["spec"]["database"]["backup"] = json!({ "storage": "1Gi" });
        object["spec"]["database"]["rehearsal"] = json!({ "data": "Backup" });
    });
    let rows = "insert into customer.account (id, created_by, updated_by, owner_id, name, kind)
        select gen_random_uuid(), 'ops', 'ops', 'ops', 'Account ' || n, 'customer' from generate_series(1, 200) n";
    platform.sql(rows).unwrap();
    platform
        .patch(&json!({ "image": setting.images.current, "release": { "soakSeconds": 20 } }))
        .unwrap();
    platform
        .wait("contract on the live database", RELEASE, |platform| {
            platform["status"]["stable"]["optimised"] == true
                && platform["status"]["backups"].as_array().map(Vec::len) == Some(2)
        })
        .unwrap();
    let count = "select count(*) from customer.account where created_by = 'ops'";
    platform.sql("delete from customer.account").unwrap();
    assert_eq!(platform.sql(count).unwrap(), "0");

    let mut shell = Command::new("timeout");
    shell
        .args(["400", "bash", "-euxo", "pipefail", "-c", &blocks()])
        .current_dir(paths::checkout())
        .env("KUBECONFIG", &setting.cluster.kubeconfig)
        .env("NAMESPACE", &platform.namespace)
        .env("PLATFORM", &platform.name);
    command::output(&mut shell).unwrap();

    // The document also runs the smoke tests on what was restored.
    let after = platform.wait_ready(RELEASE).unwrap();
    assert_eq!(platform.sql(count).unwrap(), "200", "{}", after["status"]);
    // It is a platform like any other: its next release is rehearsed on what was restored.
    platform
        .patch(&json!({ "image": setting.images.previous }))
        .unwrap();
    let next = platform.wait_ready(RELEASE).unwrap();
    assert!(next["status"]["backups"][0]["restoredAt"].is_string());
    assert_eq!(platform.sql(count).unwrap(), "200");
}

/// The shell blocks of the document, in order.
fn blocks() -> String {
    let file = paths::checkout().join("docs/restore.md");
    let text = std::fs::read_to_string(file).unwrap();
    let parts = text.split("```sh\n").skip(1);
    let blocks: Vec<_> = parts.filter_map(|part| part.split("```").next()).collect();
    assert!(blocks.len() >= 9, "the document has its blocks");
    blocks.join("\n")
}
