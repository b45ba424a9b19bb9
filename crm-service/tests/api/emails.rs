//! The addresses of contacts on every state of the schema that this release serves on: nothing copied yet, everything
//! copied, the old column gone.

use axum::http::{Method, StatusCode};
use crm_service::migrate::phase::Phase;
use crm_service::service::Service;
use serde_json::{Value, json};

use crate::platform::{Platform, Running};

/// Contacts as the release before left them: with an address in the column and none in the table.
const UNCOPIED: &str = "alter table customer.contact disable trigger contact_email_forward;
    insert into customer.contact (id, created_by, updated_by, owner_id, last_name, email)
      select ('00000000-0000-4000-8000-00000000000' || n)::uuid, 'old', 'old', 'old', 'Old ' || n, 'Old' || n || '@example.com'
      from generate_series(1, 6) as n;
    alter table customer.contact enable trigger contact_email_forward;";

fn path(number: u32) -> String {
    format!("/contacts/00000000-0000-4000-8000-00000000000{number}")
}

async fn read(running: &Running, path: &str) -> Value {
    let answer = running.api(Method::GET, path, None, &Value::Null).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.json());
    answer.json()
}

/// Changes a contact from `version`; what the change answers must be what is stored.
async fn change(running: &Running, number: u32, version: i64, body: Value) -> Value {
    let path = path(number);
    let answer = running
        .api(Method::PATCH, &path, Some(version), &body)
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.json());
    assert_eq!(answer.json()["version"], version + 1);
    assert_eq!(read(running, &path).await, answer.json());
    answer.json()
}

async fn found(running: &Running, address: &str) -> Vec<Value> {
    let page = read(running, &format!("/contacts?email={address}")).await;
    let items = page["items"].as_array().unwrap();
    items.iter().map(|item| item["last_name"].clone()).collect()
}

fn email(address: &str, primary: bool) -> Value {
    json!({"email": address, "label": "work", "primary": primary})
}

/// What must hold of two contacts that nobody has touched, whatever the schema's state.
async fn uses(running: &Running, [first, second]: [u32; 2]) {
    let [old, new] = [
        format!("Old{first}@example.com"),
        format!("new{first}@example.com"),
    ];
    let contact = read(running, &path(first)).await;
    assert_eq!(
        (&contact["email"], &contact["emails"]),
        (&json!(old), &json!([email(&old, true)]))
    );
    assert_eq!(
        found(running, &old.to_uppercase()).await,
        [format!("Old {first}")]
    );
    let contact = change(running, first, 1, json!({"phone": "1"})).await;
    assert_eq!(contact["emails"], json!([email(&old, true)]));
    let emails = json!([email(&new, true), email(&old, false)]);
    let contact = change(running, first, 2, json!({"emails": emails})).await;
    assert_eq!(
        (&contact["email"], &contact["emails"]),
        (&json!(new), &emails)
    );
    for address in [&old, &new] {
        assert_eq!(found(running, address).await, [format!("Old {first}")]);
    }

    // A caller who knows one address only, on a contact that was never written in between.
    let [old, new] = [
        format!("Old{second}@example.com"),
        format!("new{second}@example.com"),
    ];
    let contact = change(running, second, 1, json!({"email": new})).await;
    assert_eq!(contact["emails"], json!([email(&new, true)]));
    assert!(found(running, &old).await.is_empty());
    let contact = change(running, second, 2, json!({"email": null})).await;
    assert_eq!(
        (&contact["email"], &contact["emails"]),
        (&json!(null), &json!([]))
    );
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn addresses_work_before_the_backfill_after_it_and_after_the_contract() {
    let platform = Platform::migrated().await;
    platform.execute(UNCOPIED).await;
    let running = platform.serve(Service::Customer).await;
    uses(&running, [1, 2]).await;
    platform.migrate(Service::Customer, Phase::Backfill).await;
    uses(&running, [3, 4]).await;
    platform.migrate(Service::Customer, Phase::Contract).await;
    let column = "select count(*) from information_schema.columns where table_schema = 'customer' \
        and table_name = 'contact' and column_name = 'email'";
    assert_eq!(
        platform.count(column).await,
        0,
        "the contract dropped the column"
    );
    uses(&running, [5, 6]).await;
    running.stop().await;
    // And a process that starts on it.
    let running = platform.serve(Service::Customer).await;
    assert_eq!(found(&running, "NEW5@example.com").await, ["Old 5"]);
    running.stop().await;
    platform.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn the_release_before_and_this_one_read_what_the_other_writes() {
    let platform = Platform::migrated().await;
    platform.execute(UNCOPIED).await;
    let running = platform.serve(Service::Customer).await;
    let emails = json!([email("b@example.com", true), email("a@example.com", false)]);
    change(&running, 1, 1, json!({"emails": emails})).await;
    let column = "select count(*) from customer.contact where email = 'b@example.com'";
    assert_eq!(platform.count(column).await, 1);
    platform
        .execute("update customer.contact set version = version + 1, email = 'c@example.com' where email = 'b@example.com'")
        .await;
    let contact = read(&running, &path(1)).await;
    assert_eq!(
        contact["emails"],
        json!([email("c@example.com", true), email("a@example.com", false)])
    );
    assert_eq!(contact["version"], 3, "the triggers count no change");
    running.stop().await;
    platform.drop().await;
}

/// Whoever may read a list may write it back.
#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn a_list_without_a_primary_address_can_be_written_back_as_it_was_read() {
    let platform = Platform::migrated().await;
    platform.execute(UNCOPIED).await;
    let running = platform.serve(Service::Customer).await;
    let emails = json!([email("b@example.com", true), email("a@example.com", false)]);
    change(&running, 1, 1, json!({"emails": emails})).await;
    let contact = change(&running, 1, 2, json!({"email": null})).await;
    let left = json!([email("a@example.com", false)]);
    assert_eq!(
        (&contact["email"], &contact["emails"]),
        (&Value::Null, &left)
    );
    let again = json!({"email": contact["email"], "emails": contact["emails"]});
    let contact = change(&running, 1, 3, again).await;
    assert_eq!(contact["emails"], left);
    // Also one that takes the primary address away, of a contact that was not copied yet.
    let contact = change(&running, 2, 1, json!({"emails": left})).await;
    assert_eq!(
        (&contact["email"], &contact["emails"]),
        (&Value::Null, &left)
    );
    let column =
        "select count(*) from customer.contact where last_name = 'Old 2' and email is null";
    assert_eq!(platform.count(column).await, 1);
    running.stop().await;
    platform.drop().await;
}

/// Every contact that was not copied yet is behind the second half of a view.
#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn an_address_is_found_by_an_index_before_the_backfill_too() {
    let platform = Platform::migrated().await;
    let many = UNCOPIED
        .replace(
            "('00000000-0000-4000-8000-00000000000' || n)::uuid",
            "gen_random_uuid()",
        )
        .replace("(1, 6)", "(1, 5000)");
    platform.execute(&many).await;
    platform
        .execute("analyze customer.contact; analyze customer.contact_email")
        .await;
    let scanned = "select seq_tup_read from pg_stat_user_tables where relname = 'contact'";
    let before = platform.count(scanned).await;
    let running = platform.serve(Service::Customer).await;
    // More often than the server plans a statement anew for each value.
    for number in 1..=12 {
        let address = format!("OLD{number}@example.com");
        assert_eq!(found(&running, &address).await, [format!("Old {number}")]);
    }
    running.stop().await;
    let index = "select idx_scan from pg_stat_user_indexes where indexrelname = 'contact_by_email'";
    platform.wait(index, 12).await;
    assert_eq!(
        platform.count(scanned).await,
        before,
        "rows were read one after the other"
    );
    platform.drop().await;
}

/// The second writer waits for the first; it must not write back the addresses that were there when it began.
#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn a_change_that_waited_keeps_the_addresses_written_meanwhile() {
    let platform = Platform::migrated().await;
    platform.execute(UNCOPIED).await;
    let running = platform.serve(Service::Customer).await;
    let mut other = platform.connect().await;
    sqlx::raw_sql(
        "begin; update customer.contact set version = version + 1 where last_name = 'Old 1';
         insert into customer.contact_email (contact_id, email)
           select id, 'meanwhile@example.com' from customer.contact where last_name = 'Old 1'",
    )
    .execute(&mut other)
    .await
    .unwrap();
    let waiting = change(&running, 1, 2, json!({"email": "later@example.com"}));
    let finishing = async {
        let blocked = "select count(*) from pg_locks where not granted and pid in \
            (select pid from pg_stat_activity where datname = current_database())";
        while platform.count(blocked).await == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        sqlx::raw_sql("commit").execute(&mut other).await.unwrap();
    };
    let both = async { tokio::join!(waiting, finishing) };
    let limit = std::time::Duration::from_secs(20);
    let (contact, ()) = tokio::time::timeout(limit, both)
        .await
        .expect("it waits and ends");
    assert_eq!(
        contact["emails"],
        json!([
            email("later@example.com", true),
            email("meanwhile@example.com", false)
        ])
    );
    drop(other);
    running.stop().await;
    platform.drop().await;
}
