//! The suite against two small services in this process.

use std::future::IntoFuture as _;

use axum::Router;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::*;
use crate::suite::session::tests::mint;

/// Ends as soon as there are enough requests.
const QUICK: Pace = Pace {
    warm_up: Duration::from_millis(20),
    measure: Duration::ZERO,
    samples: 40,
    limit: Duration::from_secs(20),
};

/// A service that takes so long for each request, and answers this to a new record.
async fn service(takes: Duration, made: StatusCode) -> Session {
    let app = Router::new().fallback(move |method: Method, uri: axum::http::Uri| async move {
        tokio::time::sleep(takes).await;
        let body = match uri.query() {
            Some(_) => json!({ "items": [{}] }),
            None => json!({ "id": "a", "version": 1 }),
        };
        let status = match method {
            Method::POST => made,
            Method::DELETE => StatusCode::NO_CONTENT,
            _ => StatusCode::OK,
        };
        (status, body.to_string())
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let root = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, app).into_future());
    Session::new(
        Service::Customer,
        root,
        Client::new(true),
        mint(),
        Uuid::now_v7(),
    )
}

async fn compared(stable: Session, candidate: Session) -> (u8, Value) {
    let mut report = Report::new("performance", Uuid::nil());
    let mut all = [Opponents::new(stable, candidate)];
    compare(&mut report, &mut all, (QUICK, 100)).await;
    report.finish();
    let summary = report.summary();
    assert!(summary.len() <= 4096);
    (report.exit_code(), serde_json::from_str(&summary).unwrap())
}

fn milliseconds(number: u64) -> Duration {
    Duration::from_millis(number)
}

const MADE: StatusCode = StatusCode::CREATED;

#[tokio::test]
async fn a_release_as_fast_as_the_other_passes_and_a_slow_one_fails() {
    let both = [3, 3].map(milliseconds);
    let (code, summary) =
        compared(service(both[0], MADE).await, service(both[1], MADE).await).await;
    assert_eq!(code, 0, "{summary}");
    let parts = &summary["performance"]["parts"];
    assert_eq!(parts[0]["name"], "customer");
    assert!(summary["performance"]["requests"].as_u64().unwrap() >= 80);

    let slow = service(milliseconds(40), MADE).await;
    let (code, summary) = compared(service(milliseconds(3), MADE).await, slow).await;
    assert_eq!(code, 1, "{summary}");
    let performance = &summary["performance"];
    let p95 = |side: &str| {
        performance[format!("{side}P95Milliseconds")]
            .as_f64()
            .unwrap()
    };
    assert!(
        p95("stable") < 40.0 && p95("candidate") >= 40.0,
        "{summary}"
    );
    assert_eq!(summary["failed"], 2, "customer, and all services");
}

#[tokio::test]
async fn what_goes_wrong_at_stable_is_no_failure_of_the_candidate() {
    let bad = StatusCode::INTERNAL_SERVER_ERROR;
    let quick = milliseconds(0);
    let (code, summary) = compared(service(quick, bad).await, service(quick, MADE).await).await;
    assert_eq!(code, 2, "{summary}");
    assert!(
        summary["message"].as_str().unwrap().contains("Stable"),
        "{summary}"
    );
    let (code, summary) = compared(service(quick, MADE).await, service(quick, bad).await).await;
    assert_eq!(code, 1, "{summary}");
    assert_eq!(summary["performance"], Value::Null);
}

#[tokio::test]
async fn too_few_requests_prove_nothing() {
    let mut report = Report::new("performance", Uuid::nil());
    let quick = milliseconds(0);
    let mut all = [Opponents::new(
        service(quick, MADE).await,
        service(quick, MADE).await,
    )];
    let pace = Pace {
        samples: usize::MAX,
        limit: Duration::from_millis(200),
        ..QUICK
    };
    compare(&mut report, &mut all, (pace, 100)).await;
    assert_eq!(report.exit_code(), 2);
    assert!(
        report.summary().contains("overloaded"),
        "{}",
        report.summary()
    );
}
