//! Before the first request: which database a release serves on, and which it refuses.

use axum::http::StatusCode;
use crm_service::schema;
use crm_service::serve::Error;
use crm_service::service::Service;
use sqlx::Executor as _;

use crate::platform::{Platform, Running};

async fn refusal(running: Running) -> (u8, String) {
    let error: Error = running.end().await.expect_err("it must refuse to serve");
    let mut text = error.to_string();
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(&error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    (error.exit_code(), text)
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn every_statement_is_accepted_by_the_schema_of_the_same_release() {
    let platform = Platform::migrated().await;
    for service in Service::ALL {
        let running = platform.serve(service).await;
        let version = running.ask("/version").await.json();
        assert_eq!(version["appLevel"], schema::of(service).app_level);
        assert_eq!(
            version["schema"]["level"],
            schema::of(service).min_schema_level
        );
        assert!(
            service.statements().len() > 20,
            "the inventory is not empty"
        );
        running.stop().await;
    }
    platform.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn it_refuses_a_database_that_was_never_migrated() {
    let platform = Platform::empty().await;
    let running = platform.start(platform.settings(Service::Customer)).await;
    let (code, text) = refusal(running).await;
    assert_eq!(code, 3);
    assert!(
        text.contains("is at level 0 and this build needs level"),
        "{text}"
    );
    platform.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn it_refuses_a_database_whose_floor_is_above_it() {
    let platform = Platform::migrated().await;
    platform
        .execute("update sales.schema_compat set min_app_level = 99")
        .await;
    let (code, text) = refusal(platform.start(platform.settings(Service::Sales)).await).await;
    assert_eq!(code, 3);
    assert!(text.contains("floor 99"), "{text}");
    let rows = platform.count("select count(*) from sales.instance").await;
    assert_eq!(rows, 0, "it said that it lives, and takes that back");
    platform.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn it_refuses_a_database_that_lacks_a_column_it_uses() {
    let platform = Platform::migrated().await;
    platform
        .execute("alter table customer.contact rename column title to position")
        .await;
    let (code, text) = refusal(platform.start(platform.settings(Service::Customer)).await).await;
    assert_eq!(code, 3);
    assert!(
        text.contains("from customer.contact") && text.contains("\"title\" does not exist"),
        "{text}"
    );
    platform.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn it_serves_on_a_newer_schema_and_is_unready_once_the_floor_passes_it() {
    let platform = Platform::migrated().await;
    platform
        .execute("update customer.schema_compat set schema_level = 99")
        .await;
    platform
        .execute("alter table customer.account add column later text not null default 'x'")
        .await;
    let running = platform.serve(Service::Customer).await;
    running.account("Works").await;
    platform
        .execute("update customer.schema_compat set min_app_level = 98")
        .await;
    let answer = running.ask("/readyz").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.json()["code"], "schema-mismatch");
    assert_eq!(
        running.ask("/livez").await.status,
        StatusCode::OK,
        "a restart would not help"
    );
    running.stop().await;
    platform.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn it_waits_for_a_database_that_is_not_there_yet() {
    let platform = Platform::migrated().await;
    let mut settings = platform.settings(Service::Customer);
    settings.database = settings.database.port(1);
    let mut running = platform.start(settings).await;
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    assert_eq!(running.ask("/livez").await.status, StatusCode::OK);
    let answer = running.ask("/readyz").await;
    assert_eq!(
        (answer.status, &answer.json()["code"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"starting".into())
    );
    running.tell_to_stop();
    running.end().await.unwrap();
    platform.drop().await;
}

/// A migration that raises the floor holds beats back and looks for pods below it: a pod that read the old floor before
/// it said that it lives would be missed.
#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn it_says_that_it_lives_before_it_reads_the_floor() {
    let platform = Platform::migrated().await;
    let mut other = platform.connect().await;
    other
        .execute("begin; lock table sales.schema_compat in access exclusive mode")
        .await
        .unwrap();
    let running = platform.start(platform.settings(Service::Sales)).await;
    platform
        .wait("select count(*) from sales.instance", 1)
        .await;
    other
        .execute("update sales.schema_compat set min_app_level = 99; commit")
        .await
        .unwrap();
    let (code, text) = refusal(running).await;
    assert_eq!(code, 3);
    assert!(text.contains("floor 99"), "{text}");
    platform.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn it_waits_for_a_table_that_somebody_holds() {
    let platform = Platform::migrated().await;
    let mut other = platform.connect().await;
    other
        .execute("begin; lock table customer.contact in access exclusive mode")
        .await
        .unwrap();
    let running = platform.start(platform.settings(Service::Customer)).await;
    // Longer than the service waits for a lock.
    tokio::time::sleep(std::time::Duration::from_millis(3000)).await;
    assert_eq!(running.ask("/livez").await.status, StatusCode::OK);
    other.execute("commit").await.unwrap();
    let running = running.ready().await;
    running.stop().await;
    platform.drop().await;
}
