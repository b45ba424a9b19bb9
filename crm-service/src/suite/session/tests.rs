//! Tokens of a session, and its clean-up against a service that does not always do it.

use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use super::*;
use crate::auth::Verifier;

/// A key of its own.
pub(in crate::suite) fn mint() -> Mint {
    let document = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(document.as_ref())
    );
    let public = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    let keys = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "test", "x": public}]});
    Mint::new(&pem, &Verifier::from_json(&keys.to_string()).unwrap()).unwrap()
}

/// A session with a service that answers every request as `answer` says, from its number and headers.
async fn session(
    answer: impl Fn(u32, HeaderMap) -> (StatusCode, String) + Clone + Send + Sync + 'static,
) -> Session {
    let count = Arc::new(AtomicU32::new(0));
    let app = Router::new().fallback(move |headers: HeaderMap| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let answer = answer(number, headers);
        async move { answer }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let root = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, app).into_future());
    let client = Client::new(true);
    Session::new(Service::Customer, root, client, mint(), Uuid::now_v7())
}

#[tokio::test]
async fn each_request_has_a_token_of_its_own() {
    let session = session(|_, headers| {
        let token = headers[header::AUTHORIZATION].to_str().unwrap().to_owned();
        (StatusCode::OK, token)
    })
    .await;
    let first = session.get("/accounts").await.unwrap().body;
    // Times in a token are whole seconds.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_ne!(session.get("/accounts").await.unwrap().body, first);
}

#[tokio::test]
async fn the_clean_up_goes_on_after_a_run_that_it_cannot_remove() {
    let asked = Arc::new(AtomicU32::new(0));
    let counter = asked.clone();
    let session = session(move |number, _| {
        counter.fetch_add(1, Ordering::Relaxed);
        match number {
            1 => (StatusCode::SERVICE_UNAVAILABLE, "busy".to_owned()),
            _ => (StatusCode::NO_CONTENT, String::new()),
        }
    })
    .await;
    let (second, _third) = (session.apart(), session.apart());
    let Caller::Role(_, Some(run)) = second.caller else {
        panic!("a session apart has a run")
    };
    let text = session.remove_rows().await.unwrap_err().to_string();
    assert_eq!(asked.load(Ordering::Relaxed), 3, "all runs were asked for");
    assert!(text.starts_with("rows of 1 of 3 runs are left"), "{text}");
    assert!(text.contains(&run.to_string()), "{text}");
}
