//! What happens around handlers, without a database.

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, StatusCode, header};
use axum::routing::{get, post};
use serde_json::json;
use sqlx::postgres::PgConnectOptions;

use super::health::Health;
use super::metrics::Metrics;
use super::{Context, Shared, layered, routed};
use crate::auth::Verifier;
use crate::client::{Answer, Call, Client};
use crate::database::Database;
use crate::resource::read_body;
use crate::service::Service;

/// A service with odd routes beside `/api`, so that no token is needed.
async fn start() -> (Shared, String) {
    let key_set = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": "x39RGXSLd4_seNEeZecALFjwqlwI4_g3I2uQVJoSdkQ"}]});
    let context = Arc::new(Context {
        service: Service::Sales,
        database: Database::new(PgConnectOptions::new().host("127.0.0.1").port(1), 1),
        verifier: Verifier::from_json(&key_set.to_string()).unwrap(),
        metrics: Metrics::new(Service::Sales),
        health: Health::default(),
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let odd = Router::new()
        .route("/panic", get(|| async { panic!("as asked") as StatusCode }))
        .route(
            "/body",
            post(|request| async {
                read_body(request, &["application/json"])
                    .await
                    .map(|_| StatusCode::OK)
            }),
        );
    let app = layered(context.clone(), routed(&context, Router::new()).merge(odd));
    tokio::spawn(axum::serve(listener, app).into_future());
    (context, address)
}

async fn send(method: Method, address: String, body: &str) -> Answer {
    let headers = vec![
        (header::CONTENT_TYPE, "application/json".to_owned()),
        ("x-request-id".parse().unwrap(), "r-1".to_owned()),
    ];
    Client::new(true)
        .send(Call {
            method,
            address,
            headers,
            body: body.to_owned(),
        })
        .await
        .unwrap()
}

#[tokio::test]
async fn a_panic_is_a_problem_with_the_id_of_the_request_and_the_service_goes_on() {
    let (_, address) = start().await;
    let answer = send(Method::GET, format!("{address}/panic"), "").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(
        answer.header(&header::CONTENT_TYPE),
        "application/problem+json"
    );
    assert_eq!(
        (&answer.json()["code"], &answer.json()["instance"]),
        (&json!("internal"), &json!("/requests/r-1"))
    );
    assert!(
        !answer.json().to_string().contains("as asked"),
        "the cause stays inside"
    );
    assert_eq!(
        send(Method::GET, format!("{address}/livez"), "")
            .await
            .status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_refused_body_closes_the_connection_that_it_may_still_be_on() {
    let (_, address) = start().await;
    let large = format!("{{\"x\":\"{}\"}}", "x".repeat(300 * 1024));
    let answer = send(Method::POST, format!("{address}/body"), &large).await;
    assert_eq!(
        (answer.status, answer.header(&header::CONNECTION)),
        (StatusCode::PAYLOAD_TOO_LARGE, "close")
    );
    let answer = send(Method::POST, format!("{address}/body"), "[]").await;
    assert_eq!(
        (answer.status, answer.header(&header::CONNECTION)),
        (StatusCode::BAD_REQUEST, "")
    );
}

#[tokio::test]
async fn every_address_below_api_asks_for_a_token_also_one_that_is_not_there() {
    let (_, address) = start().await;
    for path in ["/api/sales/v1/opportunities", "/api/sales/v1/nothing"] {
        assert_eq!(
            send(Method::GET, format!("{address}{path}"), "")
                .await
                .status,
            StatusCode::UNAUTHORIZED,
            "{path}"
        );
    }
    assert_eq!(
        send(Method::GET, format!("{address}/elsewhere"), "")
            .await
            .status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_draining_process_is_alive_but_not_ready_and_asks_to_reconnect() {
    let (context, address) = start().await;
    context.health.drain();
    let ready = send(Method::GET, format!("{address}/readyz"), "").await;
    assert_eq!(
        (ready.status, &ready.json()["code"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("draining"))
    );
    let live = send(Method::GET, format!("{address}/livez"), "").await;
    assert_eq!(
        (live.status, live.header(&header::CONNECTION)),
        (StatusCode::OK, "close")
    );
}
