//! A small registry on loopback answers as real ones do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::get};
use serde_json::json;

use super::*;

const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

async fn manifest(
    State(asked): State<Arc<AtomicUsize>>,
    Path((repository, _tag)): Path<(String, String)>,
) -> Response {
    asked.fetch_add(1, Ordering::SeqCst);
    let envelope = |code: &str| Json(json!({ "errors": [{ "code": code, "message": "no" }] }));
    match repository.as_str() {
        "crm" => [("docker-content-digest", DIGEST)].into_response(),
        "private" => (StatusCode::FORBIDDEN, envelope("DENIED")).into_response(),
        _ => (StatusCode::NOT_FOUND, envelope("MANIFEST_UNKNOWN")).into_response(),
    }
}

async fn registry() -> (Registry, String, Arc<AtomicUsize>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let asked = Arc::new(AtomicUsize::new(0));
    let routes = Router::new()
        .route("/v2/", get(|| async {}))
        .route("/v2/{repository}/manifests/{tag}", get(manifest))
        .with_state(asked.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    tokio::spawn(axum::serve(listener, routes).into_future());
    (
        Registry::new(std::slice::from_ref(&host)).unwrap(),
        host,
        asked,
    )
}

#[tokio::test]
async fn a_tag_becomes_a_digest_in_the_same_repository() {
    let (registry, host, _) = registry().await;
    assert_eq!(
        registry.resolve(&format!("{host}/crm:1.0.0")).await,
        Ok(format!("{host}/crm@{DIGEST}"))
    );
    assert_eq!(
        registry.resolve(&format!("{host}/crm")).await,
        Ok(format!("{host}/crm@{DIGEST}"))
    );
}

#[tokio::test]
async fn what_is_missing_or_hidden_is_said_with_the_reference_and_the_remedy() {
    let (registry, host, _) = registry().await;
    let missing = registry
        .resolve(&format!("{host}/other:1"))
        .await
        .unwrap_err();
    assert!(
        missing.contains("/other:1\" is not in registry") && missing.contains("push it"),
        "{missing}"
    );
    let hidden = registry
        .resolve(&format!("{host}/private:1"))
        .await
        .unwrap_err();
    assert!(
        hidden.contains("/private:1\" without credentials"),
        "{hidden}"
    );
    let nonsense = registry.resolve("Not A Reference").await.unwrap_err();
    assert!(nonsense.contains("correct it in the spec"), "{nonsense}");
}

#[tokio::test]
async fn a_registry_that_is_down_is_named() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let registry = Registry::new(std::slice::from_ref(&closed)).unwrap();
    let words = registry
        .resolve(&format!("{closed}/crm:1"))
        .await
        .unwrap_err();
    assert!(
        words.starts_with(&format!("registry {closed} cannot be reached")),
        "{words}"
    );
    assert!(words.contains("refused"), "the cause is told: {words}");
}

#[tokio::test]
async fn a_failure_is_not_asked_again_at_once_but_a_success_is_not_remembered() {
    let (registry, host, asked) = registry().await;
    for _ in 0..3 {
        registry
            .resolve(&format!("{host}/other:1"))
            .await
            .unwrap_err();
    }
    let failures = asked.swap(0, Ordering::SeqCst);
    registry
        .resolve(&format!("{host}/other:2"))
        .await
        .unwrap_err();
    assert_eq!(
        asked.load(Ordering::SeqCst),
        failures,
        "three calls asked as often as one"
    );
}

#[test]
fn a_port_is_not_a_tag() {
    assert_eq!(
        repository("registry.example:5000/crm"),
        "registry.example:5000/crm"
    );
    assert_eq!(
        repository("registry.example:5000/team/crm:1.0"),
        "registry.example:5000/team/crm"
    );
    assert_eq!(repository("postgres:15"), "postgres");
}
