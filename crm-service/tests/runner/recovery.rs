//! What a run does with what an earlier one, or a person, left behind.

use crm_service::migrate::perform;
use crm_service::migrate::phase::Phase;
use crm_service::migrate::report::Outcome;

use crate::scratch::{Scratch, execute, until};
use crate::sets;

const VALID: &str =
    "select indisvalid from pg_index where indexrelid = to_regclass('customer.person_mail_once')";
const INTENT: &str = "insert into customer.schema_migration
  select 3, 'mail_once', 'expand', checksum, now(), 0, 'x', 'running' from (select $$CHECKSUM$$::text as checksum) as c";

/// The first two steps, and two rows that the index of the third cannot hold.
async fn before_the_index() -> Scratch {
    let scratch = Scratch::new().await;
    let mut files = sets::second();
    files.retain(|(name, _)| !name.starts_with("0003"));
    scratch.done(&sets::set(2, &files), &[Phase::Expand]).await;
    let rows = "insert into customer.person_mail values (1, 'same'), (3, 'same')";
    scratch.execute(rows).await;
    scratch
}

/// Leaves an invalid index, as a build that broke off does.
async fn break_the_index(scratch: &Scratch) {
    let mut connection = scratch.connect().await;
    let build = "create unique index concurrently person_mail_once on customer.person_mail (mail)";
    sqlx::raw_sql(build)
        .execute(&mut connection)
        .await
        .unwrap_err();
    assert_eq!(scratch.text(VALID).await, "false");
}

fn checksum() -> String {
    let set = sets::v2();
    let file = set.files(Phase::Expand).find(|file| file.number == 3);
    file.unwrap().checksum.clone()
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn an_invalid_index_is_dropped_and_built_again() {
    for intent in [true, false] {
        let scratch = before_the_index().await;
        break_the_index(&scratch).await;
        if intent {
            scratch
                .execute(&INTENT.replace("CHECKSUM", &checksum()))
                .await;
        }
        scratch
            .execute("update customer.person_mail set mail = 'other' where person_id = 3")
            .await;
        let report = scratch
            .expect(&sets::v2(), Phase::Expand, Outcome::Done)
            .await;
        assert_eq!(report.applied, ["0003_mail_once.expand"]);
        assert_eq!(scratch.text(VALID).await, "true");
        scratch.drop().await;
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn an_index_that_cannot_be_built_is_cleaned_up_and_built_when_the_rows_allow_it() {
    let scratch = before_the_index().await;
    let report = scratch
        .expect(&sets::v2(), Phase::Expand, Outcome::Failed)
        .await;
    assert!(
        report.message.contains("0003_mail_once.expand"),
        "{}",
        report.message
    );
    assert!(
        !report.message.contains("same"),
        "a row's value is in: {}",
        report.message
    );
    assert_eq!(report.schema.to, 2);
    assert_eq!(
        scratch
            .text("select to_regclass('customer.person_mail_once') is null")
            .await,
        "true"
    );
    assert_eq!(
        scratch
            .text("select count(*) from customer.schema_migration where number = 3")
            .await,
        "0"
    );
    scratch
        .execute("update customer.person_mail set mail = 'other' where person_id = 3")
        .await;
    scratch
        .expect(&sets::v2(), Phase::Expand, Outcome::Done)
        .await;
    assert_eq!(scratch.text(VALID).await, "true");
    scratch.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn an_index_that_a_dead_runner_finished_is_kept() {
    let scratch = before_the_index().await;
    scratch
        .execute("update customer.person_mail set mail = 'other' where person_id = 3")
        .await;
    scratch
        .execute(&INTENT.replace("CHECKSUM", &checksum()))
        .await;
    scratch
        .execute("create unique index person_mail_once on customer.person_mail (mail)")
        .await;
    let before = scratch
        .text("select 'customer.person_mail_once'::regclass::oid")
        .await;
    scratch.done(&sets::v2(), &[Phase::Expand]).await;
    assert_eq!(
        scratch
            .text("select 'customer.person_mail_once'::regclass::oid")
            .await,
        before
    );
    assert_eq!(
        scratch
            .text("select state from customer.schema_migration where number = 3")
            .await,
        "done"
    );
    scratch.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn a_foreign_index_of_the_same_name_is_not_taken_for_ours() {
    let scratch = before_the_index().await;
    scratch
        .execute("create index person_mail_once on customer.person (note)")
        .await;
    let report = scratch
        .expect(&sets::v2(), Phase::Expand, Outcome::Failed)
        .await;
    assert!(report.message.contains("(42P07)"), "{}", report.message);
    assert_eq!(
        scratch.text(VALID).await,
        "true",
        "the foreign index is gone"
    );
    scratch.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn asks_for_a_person_when_a_step_outside_of_a_transaction_cannot_be_judged() {
    let scratch = Scratch::new().await;
    let text = "-- crm: phase=expand tx=no lock_timeout=300ms statement_timeout=5s app_level=1\nvacuum customer.person;";
    let set = sets::first_and("0002_vacuum.expand.sql", text);
    scratch.done(&set, &[Phase::Expand]).await;
    scratch
        .execute("update customer.schema_migration set state = 'running' where number = 2")
        .await;
    let report = scratch
        .expect(&set, Phase::Expand, Outcome::Attention)
        .await;
    assert_eq!(report.outcome.exit_code(), 50);
    assert!(
        report
            .message
            .contains("0002_vacuum.expand is left half done"),
        "{}",
        report.message
    );
    assert!(report.message.contains("state"), "{}", report.message);
    scratch.drop().await;
}

/// The database ends one connection of a run while it works.
async fn end_connection_of_a_run(which: &str, words: &str) {
    let scratch = Scratch::new().await;
    scratch.done(&sets::v1(), &[Phase::Expand]).await;
    let mut reader = scratch.connect().await;
    execute(&mut reader, "begin; select count(*) from customer.person").await;
    let text = "-- crm: phase=expand tx=yes lock_timeout=10s statement_timeout=30s app_level=1
create table customer.quiet (id int);
alter table customer.person add column extra text;";
    let set = sets::first_and("0002_extra.expand.sql", text);
    let run = tokio::spawn({
        let (settings, set) = (scratch.settings(), set.clone());
        async move { perform(&set, &settings, Phase::Expand).await }
    });
    let waits = "select exists (select from pg_locks where relation = 'customer.person'::regclass and not granted)";
    until(&scratch, waits).await;
    let end = format!(
        "select pg_terminate_backend(a.pid) from pg_stat_activity a where application_name = 'crm-migrate/customer'
           and datname = current_database()
           and {which} exists (select from pg_locks l where l.pid = a.pid and not l.granted)"
    );
    scratch.execute(&end).await;
    let report = run.await.unwrap();
    assert_eq!(report.outcome, Outcome::Inconclusive, "{}", report.message);
    assert!(report.message.contains(words), "{}", report.message);
    execute(&mut reader, "commit").await;
    until(&scratch, "select not exists (select from pg_stat_activity where application_name = 'crm-migrate/customer' and datname = current_database())").await;
    assert_eq!(
        scratch
            .text("select to_regclass('customer.quiet') is null")
            .await,
        "true"
    );
    scratch.done(&set, &[Phase::Expand]).await;
    scratch.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn stops_when_the_connection_of_the_lock_is_lost() {
    end_connection_of_a_run("not", "holds the migration lock was lost").await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn rolls_back_when_the_connection_of_the_work_is_lost() {
    end_connection_of_a_run("", "apply 0002_extra.expand, line 3").await;
}
