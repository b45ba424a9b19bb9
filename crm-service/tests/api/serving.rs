//! While it serves: heartbeats, migrations beneath it, a database that is busy, and the way out.

use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode, header};
use crm_service::service::Service;
use serde_json::{Value, json};
use sqlx::Executor as _;

use crate::platform::Platform;

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn it_says_that_it_lives_and_takes_that_back_when_it_leaves() {
    let platform = Platform::migrated().await;
    platform.execute("insert into customer.instance (id, app_level, release, started_at, seen_at) values (gen_random_uuid(), 1, 'dead', now() - interval '3 days', now() - interval '2 days')").await;
    let running = platform.serve(Service::Customer).await;
    let alive = "select count(*) from customer.instance where seen_at > now() - interval '10 s'";
    let started = Instant::now();
    while platform.count(alive).await != 1 {
        assert!(started.elapsed() < Duration::from_secs(5), "no heartbeat");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    running.stop().await;
    assert_eq!(
        platform
            .count("select count(*) from customer.instance")
            .await,
        0,
        "its row and those of the dead are gone"
    );
    platform.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn a_changed_column_type_fails_no_request() {
    let platform = Platform::migrated().await;
    let running = platform.serve(Service::Customer).await;
    let account = running.account("Before").await;
    let path = format!("/accounts/{}", account["id"].as_str().unwrap());
    for (round, kind) in ["varchar(300)", "text", "varchar(200)"]
        .into_iter()
        .enumerate()
    {
        // Several connections hold the statements that go stale.
        let reads = (0..20).map(|_| running.api(Method::GET, &path, None, &Value::Null));
        for answer in futures::future::join_all(reads).await {
            assert_eq!(answer.status, StatusCode::OK, "round {round}");
        }
        platform
            .execute(&format!(
                "alter table customer.account alter column name type {kind}"
            ))
            .await;
        let changed = running
            .api(
                Method::PATCH,
                &path,
                Some(round as i64 + 1),
                &json!({"name": format!("Round {round}")}),
            )
            .await;
        assert_eq!(
            changed.status,
            StatusCode::OK,
            "round {round}: {}",
            changed.json()
        );
    }
    running.stop().await;
    platform.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn a_locked_row_ends_in_a_clear_answer_and_not_in_a_hanging_request() {
    let platform = Platform::migrated().await;
    let running = platform.serve(Service::Customer).await;
    let account = running.account("Locked").await;
    let path = format!("/accounts/{}", account["id"].as_str().unwrap());
    let mut other = platform.connect().await;
    other
        .execute("begin; select id from customer.account for update")
        .await
        .unwrap();
    let started = Instant::now();
    let answer = running
        .api(Method::PATCH, &path, Some(1), &json!({"name": "Changed"}))
        .await;
    assert_eq!(
        (answer.status, &answer.json()["code"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"database-timeout".into())
    );
    assert_eq!(answer.header(&header::RETRY_AFTER), "1");
    assert!(
        started.elapsed() < Duration::from_secs(4),
        "the lock timeout is two seconds"
    );
    running.stop().await;
    platform.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn when_no_connection_is_free_callers_are_told_to_come_back() {
    let platform = Platform::migrated().await;
    let mut settings = platform.settings(Service::Customer);
    settings.pool_size = 1;
    let running = platform.start(settings).await.ready().await;
    let account = running.account("Busy").await;
    let path = format!("/accounts/{}", account["id"].as_str().unwrap());
    let mut other = platform.connect().await;
    other
        .execute("begin; lock table customer.account in access exclusive mode")
        .await
        .unwrap();
    let first = running.api(Method::GET, &path, None, &Value::Null);
    let second = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        running.api(Method::GET, "/notes", None, &Value::Null).await
    };
    let (first, second) = futures::join!(first, second);
    let codes = [first, second].map(|answer| {
        (
            answer.status.as_u16(),
            answer.json()["code"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        )
    });
    assert_eq!(codes[0], (503, "database-timeout".to_owned()));
    assert!(
        codes[1] == (503, "database-busy".to_owned()) || codes[1].0 == 200,
        "{codes:?}"
    );
    running.stop().await;
    platform.drop().await;
}

/// A process that is busy is not dead: a contract must not take its tables away.
#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn it_says_that_it_lives_also_when_requests_take_every_connection() {
    let platform = Platform::migrated().await;
    let mut settings = platform.settings(Service::Customer);
    settings.pool_size = 1;
    let running = platform.start(settings).await.ready().await;
    let mut other = platform.connect().await;
    other
        .execute("begin; lock table customer.account in access exclusive mode")
        .await
        .unwrap();
    let busy = async {
        loop {
            let all = (0..8).map(|_| running.api(Method::GET, "/accounts", None, &Value::Null));
            futures::future::join_all(all).await;
        }
    };
    let watched = async {
        for _ in 0..14 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let alive =
                "select count(*) from customer.instance where seen_at > now() - interval '7 s'";
            assert_eq!(platform.count(alive).await, 1, "it looks dead");
        }
    };
    tokio::select! {
        () = busy => {}
        () = watched => {}
    }
    other.execute("commit").await.unwrap();
    running.stop().await;
    platform.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn a_leaving_process_serves_on_asks_to_reconnect_and_finishes_what_it_has() {
    let platform = Platform::migrated().await;
    let mut settings = platform.settings(Service::Customer);
    settings.drain_delay = Duration::from_millis(800);
    let mut running = platform.start(settings).await.ready().await;
    let account = running.account("Leaving").await;
    let path = format!("/accounts/{}", account["id"].as_str().unwrap());
    assert_eq!(
        running.ask("/livez").await.header(&header::CONNECTION),
        "",
        "no hint before it leaves"
    );
    running.tell_to_stop();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let ready = running.ask("/readyz").await;
    assert_eq!(
        (ready.status, &ready.json()["code"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"draining".into())
    );
    let answer = running.api(Method::GET, &path, None, &Value::Null).await;
    assert_eq!(
        (answer.status, answer.header(&header::CONNECTION)),
        (StatusCode::OK, "close")
    );

    // A request that is in flight when the process stops accepting is finished.
    let mut other = platform.connect().await;
    other
        .execute("begin; select id from customer.account for update")
        .await
        .unwrap();
    let change = json!({"name": "In flight"});
    let in_flight = running.api(Method::PATCH, &path, Some(1), &change);
    let release = async {
        tokio::time::sleep(Duration::from_millis(1300)).await;
        let refused = running.send(Method::GET, "/livez", &[], &Value::Null).await;
        assert!(refused.is_err(), "it accepts no more by now");
        other.execute("commit").await.unwrap();
    };
    let (answer, ()) = futures::join!(in_flight, release);
    assert_eq!(answer.status, StatusCode::OK);
    running.end().await.unwrap();
    assert_eq!(
        platform
            .count("select count(*) from customer.account where name = 'In flight'")
            .await,
        1
    );
    platform.drop().await;
}
