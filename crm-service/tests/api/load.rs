//! The load generator: quiet when all is well, loud when one request fails.

use std::process::{Output, Stdio};

use crm_service::service::Service;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::platform::{Platform, Running};

fn load(platform: &Platform, customer: &Running, sales: &Running, seconds: u32) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crm-service"));
    command
        .env_clear()
        .env("CRM_JWKS", &platform.key_set)
        .env("CRM_SIGNING_KEY", &platform.private_key);
    command
        .env("CRM_CUSTOMER_URL", customer.url())
        .env("CRM_SALES_URL", sales.url());
    command.args(["load", "--rate", "100", "--seconds", &seconds.to_string()]);
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

fn summary(output: &Output) -> (Vec<Value>, Value) {
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let last = lines.pop().unwrap();
    (lines, last)
}

/// Ends a load as Kubernetes does: how long a slow machine needs to get to the trouble does not matter then.
async fn stop(load: Child) -> Output {
    let id = load.id().unwrap().to_string();
    let told = Command::new("kill").arg(id).status().await;
    assert!(told.unwrap().success());
    load.wait_with_output().await.unwrap()
}

async fn until_a_request_fails(load: &mut Child) {
    let mut lines = BufReader::new(load.stdout.as_mut().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        let second: Value = serde_json::from_str(&line).unwrap();
        if second["failed"].as_u64().unwrap() > 0 {
            return;
        }
    }
    panic!("the load ended before a request failed");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn traffic_on_a_healthy_platform_is_clean_and_keeps_its_rows() {
    let platform = Platform::migrated().await;
    let (customer, sales) = (
        platform.serve(Service::Customer).await,
        platform.serve(Service::Sales).await,
    );
    let output = load(&platform, &customer, &sales, 8)
        .output()
        .await
        .unwrap();
    let (lines, last) = summary(&output);
    assert_eq!(output.status.code(), Some(0), "{last}");
    // A loaded machine makes fewer than asked for; what counts is that none failed.
    assert!(last["requests"].as_u64().unwrap() > 20, "{last}");
    assert_eq!((&last["failed"], &last["wrong"]), (&0.into(), &0.into()));
    assert!(lines.len() >= 3, "a line a second");
    assert!(
        last["kinds"].is_object() && lines.iter().all(|line| line["kinds"].is_null()),
        "only the summary has kinds: {last}"
    );
    let contacts = "select count(*) from customer.contact where external_source = 'load'";
    assert!(platform.count(contacts).await > 300, "some are changed too");
    let changed = "select count(*) from customer.contact_email where email like 'Changed-%'";
    assert!(platform.count(changed).await > 0);
    assert!(platform.count("select count(*) from customer.account where external_source = 'load' and not synthetic").await > 3);
    customer.stop().await;
    sales.stop().await;
    platform.drop().await;
}

/// A migration runs beside the traffic, so the contacts that are only read at the end are what it may spoil.
#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn an_address_that_gets_lost_under_load_is_counted_as_wrong() {
    for loss in [
        "delete from customer.contact_email where contact_id = (select id from customer.contact where external_id like '%-kept-7')",
        "update customer.contact set updated_at = now() where external_id like '%-kept-7'",
    ] {
        let platform = Platform::migrated().await;
        let customer = platform.serve(Service::Customer).await;
        let mut command = load(&platform, &customer, &customer, 60);
        command.env_remove("CRM_SALES_URL");
        let running = command.spawn().unwrap();
        let traffic = "select count(*) from customer.contact where external_source = 'load' and external_id not like '%-kept-%'";
        platform.wait(traffic, 1).await;
        platform.execute(loss).await;
        let output = stop(running).await;
        let (_, last) = summary(&output);
        assert_eq!(output.status.code(), Some(1), "{last}");
        assert_eq!((&last["failed"], &last["wrong"]), (&0.into(), &1.into()));
        customer.stop().await;
        platform.drop().await;
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn a_load_that_cannot_make_its_contacts_does_not_begin() {
    let platform = Platform::migrated().await;
    let customer = platform.serve(Service::Customer).await;
    platform
        .execute("alter table customer.contact add check (last_name not like '%-kept-150')")
        .await;
    let mut command = load(&platform, &customer, &customer, 30);
    command.env_remove("CRM_SALES_URL");
    let output = command.output().await.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(
        errors.contains("a contact to begin with was not accepted"),
        "{errors}"
    );
    assert!(output.stdout.is_empty(), "no summary of nothing");
    customer.stop().await;
    platform.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn a_service_that_dies_under_load_is_counted() {
    let platform = Platform::migrated().await;
    let (customer, sales) = (
        platform.serve(Service::Customer).await,
        platform.serve(Service::Sales).await,
    );
    let mut running = load(&platform, &customer, &sales, 120).spawn().unwrap();
    platform
        .wait("select count(*) from sales.opportunity", 5)
        .await;
    sales.stop().await;
    until_a_request_fails(&mut running).await;
    let output = stop(running).await;
    let (_, last) = summary(&output);
    assert_eq!(output.status.code(), Some(1), "{last}");
    assert!(
        last["failed"].as_u64().unwrap() > 0
            && last["firstFailures"][0].as_str().unwrap().contains("sales"),
        "{last}"
    );
    customer.stop().await;
    platform.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn an_answer_that_is_not_what_was_written_is_counted_as_wrong() {
    let platform = Platform::migrated().await;
    let (customer, sales) = (
        platform.serve(Service::Customer).await,
        platform.serve(Service::Sales).await,
    );
    // The database keeps something else than it is told.
    platform
        .execute(
            "create function customer.forget() returns trigger language plpgsql as $$ begin new.name := old.name; return new; end $$;
             create trigger forget before update on customer.account for each row execute function customer.forget();",
        )
        .await;
    let running = load(&platform, &customer, &sales, 60).spawn().unwrap();
    platform
        .wait("select count(*) from customer.account where version > 1", 1)
        .await;
    let output = stop(running).await;
    let (_, last) = summary(&output);
    assert_eq!(output.status.code(), Some(1), "{last}");
    assert!(
        last["wrong"].as_u64().unwrap() > 0 && last["failed"] == 0,
        "{last}"
    );
    customer.stop().await;
    sales.stop().await;
    platform.drop().await;
}
