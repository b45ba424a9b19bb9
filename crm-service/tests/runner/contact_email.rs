//! From one address for a contact to several, under the load of both releases: no statement of either may fail, and
//! what one writes the other reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crm_service::migrate::perform;
use crm_service::migrate::phase::Phase;
use crm_service::migrate::report::Outcome;
use crm_service::migrate::set::Set;
use crm_service::schema;
use crm_service::service::Service;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
use tokio::task::JoinHandle;

use crate::scratch::{Scratch, execute};

const CONTACTS: u64 = 8000;
/// Contacts that nobody writes: their versions show what the migration itself touched.
const QUIET: u64 = 500;
const WRITERS: u64 = 3;

fn release_1() -> Set {
    let files = schema::of(Service::Customer).files.iter().copied();
    Set::new(
        Service::Customer,
        1,
        files.filter(|(name, _)| name.starts_with("0001")),
    )
    .unwrap()
}

fn release_2() -> Set {
    Set::embedded(&schema::of(Service::Customer)).unwrap()
}

/// Id of a contact, in no order of time.
fn id(number: u64) -> String {
    format!(
        "{:08x}-0000-7000-8000-{number:012x}",
        number.wrapping_mul(2_654_435_761) & 0xffff_ffff
    )
}

async fn seeded() -> Scratch {
    let scratch = Scratch::new().await;
    scratch.done(&release_1(), &[Phase::Expand]).await;
    let mut session = scratch.connect().await;
    for first in (0..CONTACTS).step_by(1000) {
        let rows = (first..first + 1000).map(|number| {
            let email = match number % 10 {
                0 => "null".to_owned(),
                // Some are shared, as info@ is.
                1 => "'Info@example.org'".to_owned(),
                _ => format!("'c{number}@example.org'"),
            };
            let deleted = if number % 50 == 7 { "now()" } else { "null" };
            let run = if number % 40 == 3 {
                "'11111111-1111-4111-8111-111111111111'"
            } else {
                "default"
            };
            format!(
                "('{}', 'seed', 'seed', 'owner', 'Last', {email}, {deleted}, {run})",
                id(number)
            )
        });
        let rows: Vec<_> = rows.collect();
        let sql = format!(
            "insert into customer.contact (id, created_by, updated_by, owner_id, last_name, email, deleted_at, run_id) values {}",
            rows.join(", ")
        );
        execute(&mut session, &sql).await;
    }
    scratch
}

struct Load {
    stop: Arc<AtomicBool>,
    transactions: Arc<AtomicU64>,
    writers: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts writers of one release. Each has contacts of its own to check, and shares others with everybody.
    async fn start(scratch: &Scratch, release: u64) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let transactions = Arc::new(AtomicU64::new(0));
        let mut writers = Vec::new();
        for writer in 0..WRITERS {
            let mut session = scratch.options.connect().await.unwrap();
            let (stop, transactions) = (stop.clone(), transactions.clone());
            writers.push(tokio::spawn(async move {
                let mut round = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    round += 1;
                    // Most contacts are met by all writers of both releases.
                    let contact = QUIET
                        + (round.wrapping_mul(7919) + writer * 131 + release * 17)
                            % (CONTACTS - QUIET);
                    match release {
                        1 => write_1(&mut session, &id(contact), round).await,
                        _ => write_2(&mut session, &id(contact), round).await,
                    }
                    transactions.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(3)).await;
                }
            }));
        }
        Load {
            stop,
            transactions,
            writers,
        }
    }

    /// Ends the writers; a statement that failed has panicked its writer.
    async fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for writer in self.writers {
            writer.await.expect("a writer met an error");
        }
        self.transactions.load(Ordering::Relaxed)
    }
}

async fn texts(session: &mut PgConnection, sql: &str) -> Vec<Option<String>> {
    let rows = sqlx::query(AssertSqlSafe(sql.to_owned()))
        .fetch_all(session)
        .await;
    let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
    rows.iter().map(|row| row.get(0)).collect()
}

/// As release 1.0.0 works: one statement changes the record, the next reads it.
async fn write_1(session: &mut PgConnection, id: &str, round: u64) {
    let email = match round % 7 {
        0 => "null".to_owned(),
        1 => "'Info@example.org'".to_owned(),
        2 => "'INFO@example.org'".to_owned(),
        _ => format!("'one{round}@example.org'"),
    };
    execute(session, "begin").await;
    execute(session, &format!("update customer.contact set email = {email}, version = version + 1, updated_at = now() where id = '{id}'")).await;
    let read = texts(
        session,
        &format!("select quote_nullable(email) from customer.contact where id = '{id}'"),
    )
    .await;
    let email = if email == "null" {
        "NULL".to_owned()
    } else {
        email
    };
    assert_eq!(read, [Some(email)], "release 1 reads what it wrote");
    execute(session, "commit").await;
}

/// As release 1.1.0 works: the record first, then its addresses; read through the view. Also what only reads names the contact first: the contract locks it before
/// the addresses, and would find somebody who holds these and waits for that again and again.
async fn write_2(session: &mut PgConnection, id: &str, round: u64) {
    let primary = format!("two{round}@example.org");
    let second = format!("second{round}@example.org");
    let read = format!(
        "select email from customer.contact_emails where contact_id = '{id}' order by is_primary desc, email_norm"
    );
    execute(session, "begin").await;
    let primaries = "select count(*)::text from customer.contact_emails where contact_id = contact.id and is_primary";
    let before = format!("select ({primaries}) from customer.contact as contact where id = '{id}'");
    let before = texts(session, &before).await;
    assert!(
        before == [Some("0".to_owned())] || before == [Some("1".to_owned())],
        "{before:?} primary addresses"
    );
    execute(session, &format!("update customer.contact set version = version + 1, updated_at = now() where id = '{id}'")).await;
    // Held by the lock of the record from here on.
    let kept = texts(session, &read).await;
    match round % 3 {
        0 => {
            execute(
                session,
                &format!("delete from customer.contact_email where contact_id = '{id}'"),
            )
            .await;
            execute(session, &format!("insert into customer.contact_email (contact_id, email, is_primary) values ('{id}', '{primary}', true)")).await;
            assert_eq!(
                texts(session, &read).await,
                [Some(primary)],
                "release 2 reads what it wrote"
            );
        }
        1 => {
            execute(session, &format!("insert into customer.contact_email (contact_id, email) values ('{id}', '{second}')")).await;
            let now = texts(session, &read).await;
            assert!(
                now.contains(&Some(second)) && kept.iter().all(|email| now.contains(email)),
                "{kept:?} became {now:?}"
            );
        }
        _ => {
            execute(session, &format!("delete from customer.contact_email where contact_id = '{id}' and not is_primary")).await;
            assert!(texts(session, &read).await.len() <= 1);
        }
    }
    execute(session, "commit").await;
}

fn quiet_ids() -> String {
    let ids: Vec<_> = (0..QUIET)
        .map(|number| format!("'{}'", id(number)))
        .collect();
    ids.join(", ")
}

/// Version and time of change of the contacts that nobody writes.
async fn versions(scratch: &Scratch) -> String {
    let line = "format('%s %s %s', id, version, updated_at)";
    let sql = format!(
        "select md5(string_agg({line}, ' ' order by id)) from customer.contact where id in ({})",
        quiet_ids()
    );
    scratch.text(&sql).await
}

/// Addresses of the contacts that nobody writes.
async fn addresses(scratch: &Scratch, id: &str, table: &str) -> String {
    let line = format!("format('%s %s', {id}, email)");
    let which = format!("email is not null and {id} in ({})", quiet_ids());
    let sql = format!(
        "select count(*) || md5(string_agg({line}, ' ' order by {id})) from {table} where {which}"
    );
    scratch.text(&sql).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn contacts_get_several_addresses_under_the_load_of_both_releases() {
    let scratch = seeded().await;
    let untouched = versions(&scratch).await;
    let kept = addresses(&scratch, "id", "customer.contact").await;
    let old = Load::start(&scratch, 1).await;

    let mut reader = scratch.connect().await;
    execute(&mut reader, "begin; select count(*) from customer.contact").await;
    let settings = scratch.settings();
    let expand = tokio::spawn(async move { perform(&release_2(), &settings, Phase::Expand).await });
    tokio::time::sleep(Duration::from_secs(2)).await;
    execute(&mut reader, "commit").await;
    let report = expand.await.unwrap();
    assert_eq!(report.outcome, Outcome::Done, "{}", report.message);

    // Release 2 serves before anything was copied.
    let new = Load::start(&scratch, 2).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let waiting = "select count(*) > 1000 from customer.contact c where email is not null
                   and not exists (select from customer.contact_email e where e.contact_id = c.id)";
    assert_eq!(
        scratch.text(waiting).await,
        "true",
        "nothing is left to copy"
    );
    scratch
        .done(&release_2(), &[Phase::Backfill, Phase::Verify])
        .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    scratch.done(&release_2(), &[Phase::Verify]).await;
    assert_eq!(
        versions(&scratch).await,
        untouched,
        "the migration changed a version or a time of change"
    );

    // Release 1 ends; then nothing may know the column any more.
    scratch.execute("insert into customer.instance (id, app_level, release) values (gen_random_uuid(), 1, 'r1')").await;
    scratch
        .expect(&release_2(), Phase::Contract, Outcome::Refused)
        .await;
    let old = old.end().await;
    scratch.execute("delete from customer.instance").await;
    let report = scratch
        .expect(&release_2(), Phase::Contract, Outcome::Done)
        .await;
    assert_eq!((report.schema.to, report.schema.floor), (2, 2));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let new = new.end().await;
    assert_eq!(
        addresses(&scratch, "contact_id", "customer.contact_emails").await,
        kept,
        "an address got lost"
    );
    println!("{old} transactions of release 1 and {new} of release 2, none failed");
    assert!(old > 500 && new > 500, "too little load: {old} and {new}");
    scratch
        .expect(&release_1(), Phase::Expand, Outcome::Refused)
        .await;
    scratch.drop().await;
}

/// Without a lock of the contact's row first, or with one of the rules gone, an address gets lost; so each is tried
/// alone, at the worst moment: release 2 serves and nothing was copied.
#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn an_address_that_was_not_copied_yet_is_not_lost() {
    let scratch = seeded().await;
    scratch.done(&release_2(), &[Phase::Expand]).await;
    let mut session = scratch.connect().await;
    let contact = id(2);
    let emails = format!(
        "select string_agg(email, ' ' order by is_primary desc) from customer.contact_emails where contact_id = '{contact}'"
    );
    let column = format!("select email from customer.contact where id = '{contact}'");
    assert_eq!(scratch.text(&emails).await, "c2@example.org");
    // Even by a writer that forgets the record.
    execute(&mut session, &format!("insert into customer.contact_email (contact_id, email) values ('{contact}', 'b@example.org')")).await;
    assert_eq!(scratch.text(&column).await, "c2@example.org");
    assert_eq!(scratch.text(&emails).await, "c2@example.org b@example.org");
    execute(
        &mut session,
        &format!("update customer.contact set version = version + 1 where id = '{contact}'"),
    )
    .await;
    let copied = format!(
        "select string_agg(email, ' ' order by is_primary desc) from customer.contact_email where contact_id = '{contact}'"
    );
    assert_eq!(scratch.text(&copied).await, "c2@example.org b@example.org");
    // Another becomes primary, and release 1 sees it; then release 1 takes it away, and the other one stays.
    execute(&mut session, &format!("begin; update customer.contact_email set is_primary = false where contact_id = '{contact}' and is_primary; update customer.contact_email set is_primary = true where contact_id = '{contact}' and email = 'b@example.org'; commit")).await;
    assert_eq!(scratch.text(&column).await, "b@example.org");
    execute(
        &mut session,
        &format!("update customer.contact set email = null where id = '{contact}'"),
    )
    .await;
    assert_eq!(scratch.text(&emails).await, "c2@example.org");
    // A contact that is deleted for good takes its addresses along.
    execute(
        &mut session,
        &format!("delete from customer.contact where id = '{contact}'"),
    )
    .await;
    assert_eq!(scratch.text(&copied).await, "");
    scratch
        .done(&release_2(), &[Phase::Backfill, Phase::Verify])
        .await;
    scratch.drop().await;
}
