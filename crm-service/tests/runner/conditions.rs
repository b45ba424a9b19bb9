//! A contract waits for each of its conditions, and says which one is missing.

use std::time::Duration;

use crm_service::migrate::perform;
use crm_service::migrate::phase::Phase;
use crm_service::migrate::report::Outcome;
use crm_service::migrate::settings::Settings;

use crate::scratch::{Scratch, until};
use crate::sets;

async fn refused(scratch: &Scratch, settings: &Settings, words: &[&str]) {
    let report = perform(&sets::v2(), settings, Phase::Contract).await;
    assert_eq!(report.outcome, Outcome::Refused, "{}", report.message);
    for word in words {
        assert!(
            report.message.contains(word),
            "{word:?} is not in: {}",
            report.message
        );
    }
    assert_eq!(
        (report.schema.floor, report.pending.contains(&"contract")),
        (1, true)
    );
    let column = "select count(*) from pg_attribute where attrelid = 'customer.person'::regclass and attname = 'mail'";
    assert_eq!(scratch.text(column).await, "1", "the column is gone");
}

async fn passes(scratch: Scratch, settings: &Settings) {
    let report = perform(&sets::v2(), settings, Phase::Contract).await;
    assert_eq!(report.outcome, Outcome::Done, "{}", report.message);
    assert_eq!(report.schema.floor, 2);
    scratch.drop().await;
}

async fn ready() -> Scratch {
    let scratch = Scratch::new().await;
    scratch
        .done(&sets::v2(), &[Phase::Expand, Phase::Backfill])
        .await;
    scratch
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn a_contract_waits_for_the_backfill() {
    let scratch = Scratch::new().await;
    scratch.done(&sets::v2(), &[Phase::Expand]).await;
    // Also when there happens to be nothing to copy.
    scratch
        .execute("update customer.person set mail = null")
        .await;
    let mut settings = scratch.settings();
    refused(
        &scratch,
        &settings,
        &["backfill mail", "run phase backfill"],
    )
    .await;
    settings.rehearsal = true;
    refused(&scratch, &settings, &["backfill mail"]).await;
    scratch.done(&sets::v2(), &[Phase::Backfill]).await;
    passes(scratch, &settings).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn a_contract_waits_for_a_backfill_of_another_migration() {
    let scratch = ready().await;
    scratch
        .execute("update customer.backfill set state = 'running'")
        .await;
    refused(&scratch, &scratch.settings(), &["backfill mail"]).await;
    scratch
        .execute("update customer.backfill set state = 'done'")
        .await;
    let settings = scratch.settings();
    passes(scratch, &settings).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn a_contract_checks_the_assertions_again() {
    let scratch = ready().await;
    scratch
        .execute("delete from customer.person_mail where person_id = 3")
        .await;
    let mut settings = scratch.settings();
    refused(
        &scratch,
        &settings,
        &["1 row(s)", "every mail of a person is in person_mail"],
    )
    .await;
    settings.rehearsal = true;
    refused(&scratch, &settings, &["1 row(s)"]).await;
    scratch
        .execute("insert into customer.person_mail values (3, 'c@example.org')")
        .await;
    passes(scratch, &settings).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn a_contract_waits_for_the_soak() {
    let scratch = ready().await;
    let mut settings = scratch.settings();
    settings.soaked = None;
    refused(&scratch, &settings, &["CRM_SOAKED_SECONDS"]).await;
    settings.soaked = Some(Duration::from_secs(59));
    refused(
        &scratch,
        &settings,
        &["soak of 60 s", "served 59 s", "later"],
    )
    .await;
    settings.soaked = Some(Duration::from_secs(60));
    passes(scratch, &settings).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn a_contract_waits_until_no_older_instance_lives() {
    let scratch = ready().await;
    let beat = "insert into customer.instance (id, app_level, release, seen_at)
                values (gen_random_uuid(), 1, 'r-old', now() - interval '25 seconds'), (gen_random_uuid(), 2, 'r-new', now())";
    scratch.execute(beat).await;
    refused(
        &scratch,
        &scratch.settings(),
        &["app level 2", "1 instance(s)", "r-old", "end them"],
    )
    .await;
    scratch.execute("update customer.instance set seen_at = now() - interval '31 seconds' where app_level = 1").await;
    let settings = scratch.settings();
    passes(scratch, &settings).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn a_rehearsal_waits_neither_for_a_soak_nor_for_instances() {
    let scratch = ready().await;
    let beat = "insert into customer.instance (id, app_level, release) values (gen_random_uuid(), 1, 'r-old')";
    scratch.execute(beat).await;
    let mut settings = scratch.settings();
    settings.soaked = None;
    settings.rehearsal = true;
    passes(scratch, &settings).await;
}

/// The older pod has written its first heartbeat, but its transaction is still open when the contract looks.
#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn an_instance_that_starts_during_the_contract_is_seen() {
    let scratch = ready().await;
    let mut pod = scratch.connect().await;
    let beat = "begin; insert into customer.instance (id, app_level, release) values (gen_random_uuid(), 1, 'r-old')";
    crate::scratch::execute(&mut pod, beat).await;
    let settings = scratch.settings();
    let contract =
        tokio::spawn(async move { perform(&sets::v2(), &settings, Phase::Contract).await });
    let waits = "select exists (select from pg_locks where relation = 'customer.instance'::regclass and not granted)";
    until(&scratch, waits).await;
    crate::scratch::execute(&mut pod, "commit").await;
    let report = contract.await.unwrap();
    assert_eq!(report.outcome, Outcome::Refused, "{}", report.message);
    assert!(report.message.contains("r-old"), "{}", report.message);
    scratch.drop().await;
}
