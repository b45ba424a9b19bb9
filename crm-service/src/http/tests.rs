//! What happens around handlers, without a database.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{Method, StatusCode, header};
use axum::routing::{get, post};
use serde_json::json;
use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

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

/// Sends as it stands; the answer up to the end of its head.
async fn exchange(stream: &mut TcpStream, head: &str, body: &[u8]) -> String {
    let head = format!(
        "{head}\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    answered(stream).await
}

async fn answered(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut length = None;
    let read = async {
        while length.is_none_or(|length| text.len() < length) {
            let mut chunk = [0; 4096];
            let count = stream.read(&mut chunk).await.unwrap();
            assert!(count > 0, "the connection ended before the answer");
            text.extend_from_slice(&chunk[..count]);
            let so_far = String::from_utf8_lossy(&text).into_owned();
            let Some((head, _)) = so_far.split_once("\r\n\r\n") else {
                continue;
            };
            let body = head
                .split("\r\n")
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |value| value.parse::<usize>().unwrap());
            length = Some(head.len() + 4 + body);
        }
    };
    tokio::time::timeout(Duration::from_secs(10), read)
        .await
        .expect("it answers");
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn a_refused_body_is_read_to_its_end_and_the_connection_stays() {
    let (_, address) = start().await;
    let mut stream = TcpStream::connect(address.trim_start_matches("http://"))
        .await
        .unwrap();
    let json = "content-type: application/json";
    let large = vec![b'x'; 1024 * 1024];
    for (head, body, status) in [
        (format!("POST /body HTTP/1.1\r\n{json}"), &large[..], 413),
        (format!("POST /body HTTP/1.1\r\n{json}"), b"[]", 400),
        (
            "POST /body HTTP/1.1\r\ncontent-type: text/plain".to_owned(),
            &large,
            415,
        ),
        (
            "POST /api/sales/v1/opportunities HTTP/1.1".to_owned(),
            &large,
            401,
        ),
        ("POST /elsewhere HTTP/1.1".to_owned(), &large, 404),
        ("GET /livez HTTP/1.1".to_owned(), &large, 200),
    ] {
        let answer = exchange(&mut stream, &head, body).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{head}: {answer}"
        );
        assert!(!answer.contains("connection: close"), "{head}: {answer}");
    }
}

#[tokio::test]
async fn a_refused_body_that_does_not_come_or_waits_to_be_asked_for_closes_the_connection() {
    let (_, address) = start().await;
    for extra in ["", "\r\nexpect: 100-continue"] {
        let mut stream = TcpStream::connect(address.trim_start_matches("http://"))
            .await
            .unwrap();
        let head = format!(
            "POST /body HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 900000{extra}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = answered(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
}

#[tokio::test]
async fn a_body_beyond_what_is_worth_reading_closes_the_connection() {
    let (_, address) = start().await;
    let mut stream = TcpStream::connect(address.trim_start_matches("http://"))
        .await
        .unwrap();
    let head = format!(
        "POST /body HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        1024 * 1024 + 1
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
        .write_all(&vec![b'x'; 1024 * 1024 + 1])
        .await
        .unwrap();
    let answer = answered(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
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
