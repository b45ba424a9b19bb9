//! What people and the operator read: plan, status, exit codes and the termination message of the real program.

use std::process::Command;

use crm_service::migrate::phase::Phase;
use crm_service::migrate::report::Outcome;
use serde_json::{Value, json};

use crate::scratch::Scratch;
use crate::sets;

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn a_plan_names_locks_rows_and_risks_and_writes_nothing() {
    let scratch = Scratch::new().await;
    scratch.done(&sets::v1(), &[Phase::Expand]).await;
    scratch.execute("analyze customer.person").await;
    let before = scratch.fingerprint().await;
    let report = scratch
        .expect(&sets::v2(), Phase::Plan, Outcome::Done)
        .await;
    assert_eq!(report.pending, ["expand", "backfill", "contract"]);
    let plan = report.detail.unwrap();
    assert_eq!(plan["schema"], json!({"level": 1, "floor": 1, "head": 3}));
    let steps = plan["steps"].as_array().unwrap();
    let files: Vec<_> = steps
        .iter()
        .map(|step| step["file"].as_str().unwrap())
        .collect();
    assert_eq!(
        files,
        [
            "0002_mail.expand",
            "0003_mail_once.expand",
            "0002_mail.backfill",
            "0002_mail.verify",
            "0002_mail.contract"
        ]
    );
    let person = |lock: &str| json!({"table": "customer.person", "lock": lock, "rows": 3});
    assert_eq!(steps[0]["tables"][0], person("ShareRowExclusive"));
    assert_eq!(
        (&steps[0]["destructive"], &steps[0]["reversible"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(steps[1]["tables"][0]["lock"], "ShareUpdateExclusive");
    assert_eq!(steps[1]["transactional"], false);
    assert_eq!(steps[4]["tables"][0], person("AccessExclusive"));
    assert_eq!(
        (&steps[4]["destructive"], &steps[4]["reversible"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(scratch.fingerprint().await, before);
    scratch
        .expect(&sets::v1(), Phase::Plan, Outcome::Nothing)
        .await;
    scratch.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn a_status_shows_levels_ledger_and_backfills() {
    let scratch = Scratch::new().await;
    let empty = scratch
        .expect(&sets::v2(), Phase::Status, Outcome::Done)
        .await
        .detail
        .unwrap();
    assert_eq!(empty["ledger"], json!([]));
    scratch
        .done(&sets::v2(), &[Phase::Expand, Phase::Backfill])
        .await;
    let status = scratch
        .expect(&sets::v2(), Phase::Status, Outcome::Done)
        .await
        .detail
        .unwrap();
    assert_eq!(status["schema"], json!({"level": 3, "floor": 1, "head": 3}));
    assert_eq!(status["pending"], json!(["contract"]));
    assert_eq!(status["ledger"].as_array().unwrap().len(), 4);
    assert_eq!(
        status["backfills"],
        json!([{"name": "mail", "state": "done", "done": 3, "total": 3}])
    );
    scratch.drop().await;
}

pub fn program(scratch: &Scratch, phase: &str, termination_log: &std::path::Path) -> Command {
    let options = &scratch.options;
    let mut command = Command::new(env!("CARGO_BIN_EXE_crm-service"));
    command
        .args([
            "migrate",
            "--service",
            "customer",
            "--lock-deadline-seconds",
            "1",
        ])
        .env("PGHOST", options.get_host())
        .env("PGPORT", options.get_port().to_string())
        .env("PGUSER", options.get_username())
        .env("PGDATABASE", &scratch.name)
        .env("CRM_PHASE", phase)
        .env("CRM_RELEASE", "rabcdefghij")
        .env("CRM_TERMINATION_LOG", termination_log);
    command
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn the_program_speaks_in_exit_codes_and_termination_messages() {
    let scratch = Scratch::new().await;
    let directory = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let log = directory.join(format!("{}.json", scratch.name));
    let run = |phase: &str| {
        let output = program(&scratch, phase, &log).output().unwrap();
        let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
        let left: Value = serde_json::from_slice(&std::fs::read(&log).unwrap()).unwrap();
        (output.status.code().unwrap(), printed, left)
    };
    let (code, printed, left) = run("expand");
    assert_eq!((code, &left["outcome"]), (0, &json!("done")));
    assert_eq!(printed, left);
    assert_eq!(left["schema"]["from"], 0);
    assert_eq!(left["offers"], json!(["mask"]));
    let release = scratch
        .text("select app_version from customer.schema_migration where number = 1")
        .await;
    assert!(release.ends_with(" rabcdefghij"), "{release}");
    let (code, _, left) = run("expand");
    assert_eq!((code, &left["outcome"]), (10, &json!("nothing")));
    let (code, printed, left) = run("status");
    assert_eq!((code, &printed["ledger"][0]["number"]), (0, &json!(1)));
    assert_eq!(left["phase"], "status");
    let (code, printed, left) = run("plan");
    assert_eq!((code, &printed["offers"]), (0, &json!(["mask"])));
    assert_eq!(left["offers"], json!(["mask"]));
    scratch
        .execute("update customer.schema_compat set min_app_level = 99")
        .await;
    let (code, _, left) = run("expand");
    assert_eq!((code, &left["outcome"]), (30, &json!("refused")));
    assert!(
        left["message"].as_str().unwrap().contains("floor 99"),
        "{left}"
    );
    assert_eq!(
        left["schema"],
        json!({"from": 2, "to": 2, "floor": 99}),
        "a refusal tells the levels too"
    );
    scratch.execute("alter table customer.schema_compat rename to gone; drop table customer.schema_migration; create view customer.schema_migration as select 1 as one").await;
    let (code, _, left) = run("expand");
    assert_eq!((code, &left["outcome"]), (40, &json!("failed")));
    std::fs::remove_file(log).unwrap();
    scratch.drop().await;
}

/// None of these says a word about the release, so none may end it.
#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn trouble_that_is_not_of_the_files_is_inconclusive() {
    let scratch = Scratch::new().await;
    let directory = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let log = directory.join(format!("{}.json", scratch.name));
    for (variable, value) in [
        ("PGPORT", "1"),
        ("PGDATABASE", "no_such_database"),
        ("PGUSER", "no_such_user"),
    ] {
        let mut command = program(&scratch, "expand", &log);
        let output = command.env(variable, value).output().unwrap();
        let left: Value = serde_json::from_slice(&std::fs::read(&log).unwrap()).unwrap();
        assert_eq!(
            (output.status.code(), &left["outcome"]),
            (Some(20), &json!("inconclusive")),
            "{variable}: {left}"
        );
    }
    // The program waits for a table, and is told to end.
    assert!(
        program(&scratch, "expand", &log)
            .status()
            .unwrap()
            .success()
    );
    scratch
        .execute("delete from customer.schema_migration where number = 2; begin; lock table customer.contact; drop view customer.contact_emails; drop table customer.contact_email; drop function customer.contact_email_from_contact() cascade; drop function customer.contact_from_contact_email() cascade; commit")
        .await;
    let mut holder = scratch.connect().await;
    crate::scratch::execute(
        &mut holder,
        "begin; lock table customer.contact in row exclusive mode",
    )
    .await;
    let mut child = program(&scratch, "expand", &log)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let waits = "select exists (select from pg_locks where not granted and relation = 'customer.contact'::regclass)";
    crate::scratch::until(&scratch, waits).await;
    let told = Command::new("kill").arg(child.id().to_string()).status();
    assert!(told.unwrap().success());
    let code = child.wait().unwrap().code();
    let left: Value = serde_json::from_slice(&std::fs::read(&log).unwrap()).unwrap();
    assert_eq!((code, &left["outcome"]), (Some(20), &json!("inconclusive")));
    std::fs::remove_file(log).unwrap();
    scratch.drop().await;
}
