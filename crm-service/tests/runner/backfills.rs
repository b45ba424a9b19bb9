//! Backfills beside writers, broken off, and not to be proven.

use std::time::Duration;

use crm_service::migrate::perform;
use crm_service::migrate::phase::Phase;
use crm_service::migrate::report::Outcome;

use crate::scratch::{Scratch, execute, until};
use crate::sets;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn copies_every_row_while_writers_change_them() {
    let scratch = Scratch::new().await;
    scratch.done(&sets::v1(), &[Phase::Expand]).await;
    scratch
        .execute("insert into customer.person (id, name, mail) select g, 'n', 'm' || g from generate_series(10, 3000) g")
        .await;
    scratch.done(&sets::v2(), &[Phase::Expand]).await;
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let options = scratch.options.clone();
            tokio::spawn(async move {
                use sqlx::ConnectOptions;
                let mut session = options.connect().await.unwrap();
                for round in 0.. {
                    let id = 10 + (round * 7919 + writer) % 2990;
                    let sql = format!(
                        "update customer.person set mail = 'w{writer}.{round}' where id = {id}"
                    );
                    execute(&mut session, &sql).await;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            })
        })
        .collect();
    let mut files = sets::second();
    for (name, text) in &mut files {
        if name.ends_with("backfill.sql") {
            *text = text.replace("batch=2 ", "batch=100 ");
        }
    }
    let report = scratch
        .expect(&sets::set(2, &files), Phase::Backfill, Outcome::Done)
        .await;
    assert_eq!(report.applied, ["0002_mail.backfill"]);
    for writer in writers {
        // A writer that failed has panicked; one that was aborted has not.
        writer.abort();
        assert!(
            writer.await.unwrap_err().is_cancelled(),
            "a writer met an error"
        );
    }
    scratch
        .expect(&sets::set(2, &files), Phase::Verify, Outcome::Done)
        .await;
    let progress =
        "select state || ' ' || (done >= 2990) || ' ' || (total = done) from customer.backfill";
    assert_eq!(scratch.text(progress).await, "done true true");
    let statistics = "select count(*) > 0 from pg_stats where schemaname = 'customer' and tablename = 'person_mail'";
    assert_eq!(scratch.text(statistics).await, "true");
    scratch.drop().await;
}

/// The rows of a batch are locked before they are read: a writer in between waits, and nothing collides.
#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn waits_for_a_writer_of_a_row_and_takes_its_value() {
    let scratch = Scratch::new().await;
    scratch.done(&sets::v1(), &[Phase::Expand]).await;
    scratch.done(&sets::v2(), &[Phase::Expand]).await;
    let mut writer = scratch.connect().await;
    execute(
        &mut writer,
        "begin; update customer.person set mail = 'new' where id = 1",
    )
    .await;
    let settings = scratch.settings();
    let run = tokio::spawn(async move { perform(&sets::v2(), &settings, Phase::Backfill).await });
    until(&scratch, "select exists (select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database())").await;
    execute(&mut writer, "commit").await;
    let report = run.await.unwrap();
    assert_eq!(report.outcome, Outcome::Done, "{}", report.message);
    let mails = "select string_agg(mail, ' ' order by person_id) from customer.person_mail";
    assert_eq!(scratch.text(mails).await, "new c@example.org");
    scratch.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn goes_on_from_its_checkpoint() {
    let scratch = Scratch::new().await;
    scratch.done(&sets::v2(), &[Phase::Expand]).await;
    scratch.execute("insert into customer.backfill values ('mail', '2', 2, 3, 'running'); insert into customer.person_mail values (1, 'a@example.org')").await;
    scratch.done(&sets::v2(), &[Phase::Backfill]).await;
    assert_eq!(
        scratch.text("select done from customer.backfill").await,
        "3"
    );
    scratch.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn is_not_done_before_its_assertions_hold_and_then_starts_over() {
    let scratch = Scratch::new().await;
    scratch.done(&sets::v2(), &[Phase::Expand]).await;
    // A checkpoint that lies: the first row was never copied.
    scratch
        .execute("insert into customer.backfill values ('mail', '1', 1, 3, 'running')")
        .await;
    let report = scratch
        .expect(&sets::v2(), Phase::Backfill, Outcome::Failed)
        .await;
    assert!(
        report
            .message
            .contains("every mail of a person is in person_mail"),
        "{}",
        report.message
    );
    assert_eq!(report.pending, ["backfill", "contract"]);
    scratch
        .expect(&sets::v2(), Phase::Verify, Outcome::Refused)
        .await;
    scratch.done(&sets::v2(), &[Phase::Backfill]).await;
    scratch.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn verify_fails_while_a_row_is_missing() {
    let scratch = Scratch::new().await;
    scratch
        .done(&sets::v2(), &[Phase::Expand, Phase::Backfill])
        .await;
    scratch.execute("delete from customer.person_mail").await;
    let report = scratch
        .expect(&sets::v2(), Phase::Verify, Outcome::Failed)
        .await;
    assert!(
        report.message.contains("found 2 row(s)"),
        "{}",
        report.message
    );
    assert!(
        !report.message.contains("example.org"),
        "{}",
        report.message
    );
    scratch.drop().await;
}
