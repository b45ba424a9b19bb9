//! The phase as the operator meets it: exit codes and termination messages of the real program, a kill in its middle, and
//! the roles of an embedded database.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crm_service::migrate::perform;
use crm_service::migrate::phase::Phase;
use crm_service::migrate::report::Outcome;
use crm_service::service::Service;
use serde_json::{Value, json};

use super::{first, rehearsal, rows, whole};
use crate::reports;
use crate::scratch::{Scratch, execute, until};

fn program(scratch: &Scratch, log: &Path) -> Command {
    let mut command = reports::program(scratch, "mask", log);
    command.env("CRM_REHEARSAL", "true").stdout(Stdio::null());
    command
}

fn ended(mut command: Command, log: &Path) -> (i32, Value) {
    let code = command.status().unwrap().code().unwrap();
    let left = serde_json::from_slice(&std::fs::read(log).unwrap()).unwrap();
    (code, left)
}

fn log(scratch: &Scratch) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.json", scratch.name))
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn the_program_masks_only_when_it_is_told_of_a_rehearsal() {
    let scratch = first(Service::Customer, rows::CUSTOMER).await;
    let log = log(&scratch);
    for told in [None, Some("false")] {
        let mut live = program(&scratch, &log);
        match told {
            Some(value) => live.env("CRM_REHEARSAL", value),
            None => live.env_remove("CRM_REHEARSAL"),
        };
        let (code, left) = ended(live, &log);
        assert_eq!((code, &left["outcome"]), (30, &json!("refused")));
        assert_eq!(left.get("maskedRows"), None);
    }
    let (code, left) = ended(program(&scratch, &log), &log);
    assert_eq!((code, &left["outcome"]), (0, &json!("done")), "{left}");
    assert_eq!(
        (&left["phase"], &left["maskedRows"]),
        (&json!("mask"), &json!(15))
    );
    assert_eq!(left["schema"], json!({"from": 1, "to": 1, "floor": 1}));
    let (code, left) = ended(program(&scratch, &log), &log);
    assert_eq!((code, &left["maskedRows"]), (10, &json!(0)), "{left}");
    scratch.execute("drop schema customer cascade").await;
    let (code, left) = ended(program(&scratch, &log), &log);
    assert_eq!((code, &left["outcome"]), (10, &json!("nothing")), "{left}");
    std::fs::remove_file(log).unwrap();
    scratch.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn a_failed_or_killed_mask_leaves_all_as_it_was_and_may_be_run_again() {
    let scratch = first(Service::Customer, rows::CUSTOMER).await;
    let log = log(&scratch);
    let all = "select string_agg(c::text, ' ' order by id) from customer.contact c";
    let before = scratch.text(all).await;
    // Of all tables, notes come last.
    scratch
        .execute("alter table customer.note add constraint secret check (body like 'geheim%')")
        .await;
    let (code, left) = ended(program(&scratch, &log), &log);
    assert_eq!((code, &left["outcome"]), (40, &json!("failed")), "{left}");
    assert_eq!(scratch.text(all).await, before);
    scratch
        .execute("alter table customer.note drop constraint secret")
        .await;

    let mut holder = scratch.connect().await;
    execute(&mut holder, "begin; lock table customer.note").await;
    let mut child = program(&scratch, &log).spawn().unwrap();
    let waits = "select exists (select from pg_locks where not granted and relation = 'customer.note'::regclass)";
    until(&scratch, waits).await;
    child.kill().unwrap();
    child.wait().unwrap();
    execute(&mut holder, "commit").await;
    assert_eq!(scratch.text(all).await, before);
    let (code, left) = ended(program(&scratch, &log), &log);
    assert_eq!((code, &left["maskedRows"]), (0, &json!(15)), "{left}");
    let (marked, _) = rows::marked(&scratch, Service::Customer).await;
    assert_eq!(marked, [""; 0]);
    std::fs::remove_file(log).unwrap();
    scratch.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn a_mask_waits_for_the_lock_of_other_phases() {
    let scratch = first(Service::Customer, rows::CUSTOMER).await;
    let mut holder = scratch.connect().await;
    let mut settings = rehearsal(&scratch);
    settings.lock_deadline = std::time::Duration::from_secs(1);
    // An expand that is stopped in its middle keeps the lock.
    execute(&mut holder, "begin; lock table customer.contact").await;
    let expanding = rehearsal(&scratch);
    let expand =
        tokio::spawn(
            async move { perform(&whole(Service::Customer), &expanding, Phase::Expand).await },
        );
    let waits = "select exists (select from pg_locks where not granted and relation = 'customer.contact'::regclass)";
    until(&scratch, waits).await;
    let report = perform(&whole(Service::Customer), &settings, Phase::Mask).await;
    assert_eq!(report.outcome, Outcome::Locked, "{}", report.message);
    execute(&mut holder, "commit").await;
    let report = expand.await.unwrap();
    assert_eq!(report.outcome, Outcome::Done, "{}", report.message);
    scratch.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn the_owner_masks_without_being_a_superuser() {
    let scratch = Scratch::of_a_rehearsal("template1").await;
    let [owner, migrator] = ["owner", "migrator"].map(|role| format!("{}_{role}", scratch.name));
    scratch
        .execute(&format!(
            "create role {owner}; create role {migrator} login in role {owner}; alter database {} owner to {owner}",
            scratch.name
        ))
        .await;
    let mut settings = rehearsal(&scratch);
    settings.database = settings.database.username(&migrator);
    settings.owner_role = Some(owner.clone());
    let set = whole(Service::Customer);
    let report = perform(&set, &settings, Phase::Expand).await;
    assert_eq!(report.outcome, Outcome::Done, "{}", report.message);
    scratch.execute(rows::CUSTOMER).await;
    let report = perform(&set, &settings, Phase::Mask).await;
    assert_eq!(report.outcome, Outcome::Done, "{}", report.message);
    scratch.drop().await;
    let admin = Scratch::new().await;
    admin
        .execute(&format!("drop role {migrator}, {owner}"))
        .await;
    admin.drop().await;
}
