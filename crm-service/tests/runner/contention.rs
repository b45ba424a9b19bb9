//! Many at once: other runners, a long reader, a lock that is held.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crm_service::migrate::perform;
use crm_service::migrate::phase::Phase;
use crm_service::migrate::report::Outcome;
use crm_service::migrate::set::Set;

use crate::scratch::{Scratch, execute, until};
use crate::sets;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn eight_runners_apply_each_step_once() {
    let scratch = Scratch::new().await;
    let files = [
        "0001_base.expand",
        "0002_mail.expand",
        "0003_mail_once.expand",
    ];
    let runners: Vec<_> = (0..8)
        .map(|_| {
            let settings = scratch.settings();
            tokio::spawn(async move { perform(&sets::v2(), &settings, Phase::Expand).await })
        })
        .collect();
    let mut applied = Vec::new();
    for runner in runners {
        let report = runner.await.unwrap();
        let expected = if report.applied.is_empty() {
            Outcome::Nothing
        } else {
            Outcome::Done
        };
        assert_eq!(report.outcome, expected, "{}", report.message);
        applied.extend(report.applied);
    }
    assert_eq!(applied, files);
    let ledger = "select string_agg(number || phase || state, ' ' order by number) from customer.schema_migration";
    assert_eq!(
        scratch.text(ledger).await,
        "1expanddone 2expanddone 3expanddone"
    );
    let valid =
        "select indisvalid from pg_index where indexrelid = 'customer.person_mail_once'::regclass";
    assert_eq!(scratch.text(valid).await, "true");
    scratch.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn gives_up_when_another_run_holds_the_lock() {
    let scratch = Scratch::new().await;
    scratch.done(&sets::v1(), &[Phase::Expand]).await;
    // The first run waits for a table; the second for the first.
    let mut reader = scratch.connect().await;
    execute(&mut reader, "begin; select count(*) from customer.person").await;
    let mut settings = scratch.settings();
    let first = tokio::spawn(async move {
        perform(&blocked_by_readers("300ms"), &settings, Phase::Expand).await
    });
    until(&scratch, "select exists (select from pg_locks where relation = 'customer.person'::regclass and not granted)").await;
    settings = scratch.settings();
    settings.lock_deadline = Duration::from_secs(2);
    let begun = Instant::now();
    let report = perform(&sets::v2(), &settings, Phase::Expand).await;
    assert_eq!(report.outcome, Outcome::Locked, "{}", report.message);
    assert!(
        report
            .message
            .contains("another migration of service customer"),
        "{}",
        report.message
    );
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "waited {:?}",
        begun.elapsed()
    );
    execute(&mut reader, "commit").await;
    assert_eq!(first.await.unwrap().outcome, Outcome::Done);
    scratch.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn another_service_of_the_database_does_not_wait() {
    use crm_service::service::Service;
    let scratch = Scratch::new().await;
    let mut settings = scratch.settings();
    scratch.done(&sets::v1(), &[Phase::Expand]).await;
    let mut reader = scratch.connect().await;
    execute(&mut reader, "begin; select count(*) from customer.person").await;
    let first = tokio::spawn({
        let settings = settings.clone();
        async move { perform(&blocked_by_readers("300ms"), &settings, Phase::Expand).await }
    });
    until(&scratch, "select exists (select from pg_locks where relation = 'customer.person'::regclass and not granted)").await;
    let sales = "-- crm: phase=expand tx=yes lock_timeout=300ms statement_timeout=5s app_level=1\ncreate table sales.deal (id int);";
    let sales = Set::new(Service::Sales, 1, [("0001_deal.expand.sql", sales)]).unwrap();
    settings.lock_deadline = Duration::from_secs(1);
    let report = perform(&sales, &settings, Phase::Expand).await;
    assert_eq!(report.outcome, Outcome::Done, "{}", report.message);
    execute(&mut reader, "commit").await;
    assert_eq!(first.await.unwrap().outcome, Outcome::Done);
    scratch.drop().await;
}

/// An expand that has to wait for everybody who reads the table, twice: locks of a step add up.
fn blocked_by_readers(lock_timeout: &str) -> Set {
    let text = format!(
        "-- crm: phase=expand tx=yes lock_timeout={lock_timeout} statement_timeout=30s app_level=1
create table customer.quiet (id int primary key);
alter table customer.person add column extra text;
alter table customer.person add column more text;"
    );
    sets::first_and("0002_extra.expand.sql", &text)
}

/// Runs the expand behind a reader of four seconds; gives the longest that another session had to wait.
async fn stall(lock_timeout: &str) -> (Duration, Duration) {
    let scratch = Scratch::new().await;
    scratch.done(&sets::v1(), &[Phase::Expand]).await;
    let mut reader = scratch.connect().await;
    execute(&mut reader, "begin; select count(*) from customer.person").await;
    let over = Arc::new(AtomicBool::new(false));
    let probe = tokio::spawn({
        let (over, mut session) = (over.clone(), scratch.connect().await);
        async move {
            let mut longest = Duration::ZERO;
            while !over.load(Ordering::Relaxed) {
                let begun = Instant::now();
                execute(
                    &mut session,
                    "update customer.person set note = 'x' where id = 1",
                )
                .await;
                longest = longest.max(begun.elapsed());
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            longest
        }
    });
    let settings = scratch.settings();
    let set = blocked_by_readers(lock_timeout);
    let begun = Instant::now();
    let expand = tokio::spawn(async move { perform(&set, &settings, Phase::Expand).await });
    tokio::time::sleep(Duration::from_secs(4)).await;
    execute(&mut reader, "commit").await;
    let report = expand.await.unwrap();
    let took = begun.elapsed();
    over.store(true, Ordering::Relaxed);
    let longest = probe.await.unwrap();
    assert_eq!(report.outcome, Outcome::Done, "{}", report.message);
    scratch.drop().await;
    (longest, took)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn a_long_reader_stalls_others_for_less_than_half_a_second() {
    let (longest, took) = stall("300ms").await;
    println!("longest stall {longest:?}, expand took {took:?}");
    assert!(
        took >= Duration::from_millis(3900),
        "the expand did not wait for the reader: {took:?}"
    );
    assert!(
        longest < Duration::from_millis(500),
        "others waited for {longest:?}"
    );
}

/// What the test above would measure if the runner waited as long as it takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn without_a_short_wait_the_same_reader_stalls_everybody() {
    let (longest, _) = stall("20s").await;
    println!("longest stall {longest:?}");
    assert!(
        longest > Duration::from_secs(3),
        "the measurement does not see a stall: {longest:?}"
    );
}

/// A step that has locked one table and waits for another: who wants the first waits for the rest of one wait only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn the_locks_of_a_step_share_one_wait() {
    let scratch = Scratch::new().await;
    scratch.done(&sets::v1(), &[Phase::Expand]).await;
    scratch
        .execute("create table customer.other (id int)")
        .await;
    let mut reader = scratch.connect().await;
    execute(&mut reader, "begin; select count(*) from customer.person").await;
    let text = "-- crm: phase=expand tx=yes lock_timeout=300ms statement_timeout=30s app_level=1
alter table customer.other add column extra text;
select pg_sleep(0.25);
alter table customer.person add column extra text;";
    let settings = scratch.settings();
    let set = sets::first_and("0002_extra.expand.sql", text);
    let expand = tokio::spawn(async move { perform(&set, &settings, Phase::Expand).await });
    let mut longest = Duration::ZERO;
    let mut session = scratch.connect().await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(2) {
        let asked = Instant::now();
        execute(&mut session, "insert into customer.other (id) values (1)").await;
        longest = longest.max(asked.elapsed());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    execute(&mut reader, "commit").await;
    let report = expand.await.unwrap();
    assert_eq!(report.outcome, Outcome::Done, "{}", report.message);
    println!("longest stall {longest:?}");
    assert!(
        longest > Duration::from_millis(250),
        "the step was not met: {longest:?}"
    );
    assert!(
        longest < Duration::from_millis(450),
        "others waited for {longest:?}"
    );
    scratch.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn stops_at_its_deadline_and_keeps_nothing() {
    let scratch = Scratch::new().await;
    scratch.done(&sets::v1(), &[Phase::Expand]).await;
    let mut reader = scratch.connect().await;
    execute(&mut reader, "begin; select count(*) from customer.person").await;
    let mut settings = scratch.settings();
    settings.deadline = Duration::from_secs(1);
    let begun = Instant::now();
    let report = perform(&blocked_by_readers("300ms"), &settings, Phase::Expand).await;
    assert_eq!(report.outcome, Outcome::Inconclusive, "{}", report.message);
    assert_eq!(report.outcome.exit_code(), 20);
    assert!(report.message.contains("within 1 s"), "{}", report.message);
    assert!(begun.elapsed() < Duration::from_secs(3));
    execute(&mut reader, "commit").await;
    assert_eq!(
        scratch
            .text("select to_regclass('customer.quiet') is null")
            .await,
        "true"
    );
    scratch
        .done(&blocked_by_readers("300ms"), &[Phase::Expand])
        .await;
    scratch.drop().await;
}

/// The process of a dead runner may still be at work in the database while the next runner begins.
#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn waits_for_the_transaction_of_a_dead_runner() {
    let scratch = Scratch::new().await;
    scratch.done(&sets::v1(), &[Phase::Expand]).await;
    let mut reader = scratch.connect().await;
    execute(&mut reader, "begin; select count(*) from customer.person").await;
    let settings = scratch.settings();
    let text = blocked_by_readers("10s");
    let dead = tokio::spawn({
        let (settings, text) = (settings.clone(), text.clone());
        async move { perform(&text, &settings, Phase::Expand).await }
    });
    let waits = "select exists (select from pg_locks where relation = 'customer.person'::regclass and not granted)";
    until(&scratch, waits).await;
    // The sockets close, as they do when a process is killed; its server process still waits for the table.
    dead.abort();
    assert!(dead.await.unwrap_err().is_cancelled());
    assert_eq!(
        scratch.text(waits).await,
        "true",
        "the server process is gone already"
    );
    let next = tokio::spawn(async move { perform(&text, &settings, Phase::Expand).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    execute(&mut reader, "commit").await;
    let report = next.await.unwrap();
    assert_eq!(report.outcome, Outcome::Done, "{}", report.message);
    let ledger =
        "select string_agg(number || state, ' ' order by number) from customer.schema_migration";
    assert_eq!(scratch.text(ledger).await, "1done 2done");
    scratch.drop().await;
}

/// The lock's connection is lost while a step is at work; its runner notices only after the next runner has begun.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn two_runners_are_never_inside_a_step_at_once() {
    let scratch = Scratch::new().await;
    scratch.done(&sets::v1(), &[Phase::Expand]).await;
    let text = "-- crm: phase=expand tx=yes lock_timeout=10s statement_timeout=30s app_level=1
create table customer.quiet (id int);
insert into customer.quiet (id) values (1);
select pg_sleep(0.5);";
    let set = sets::first_and("0002_quiet.expand.sql", text);
    let first = tokio::spawn({
        let (settings, set) = (scratch.settings(), set.clone());
        async move { perform(&set, &settings, Phase::Expand).await }
    });
    let of_run = "from pg_stat_activity where application_name = 'crm-migrate/customer' and datname = current_database()";
    until(
        &scratch,
        &format!("select exists (select {of_run} and wait_event = 'PgSleep')"),
    )
    .await;
    scratch
        .execute(&format!(
            "select pg_terminate_backend(pid) {of_run} and wait_event is distinct from 'PgSleep'"
        ))
        .await;
    let second = scratch.run(&set, Phase::Expand).await;
    let first = first.await.unwrap();
    let ends = [first.outcome, second.outcome];
    assert!(
        ends == [Outcome::Done, Outcome::Nothing] || ends == [Outcome::Inconclusive, Outcome::Done],
        "{}; {}",
        first.message,
        second.message
    );
    assert_eq!(
        scratch.text("select count(*) from customer.quiet").await,
        "1"
    );
    scratch.drop().await;
}
