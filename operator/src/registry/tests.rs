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
        "slow" => {
            tokio::time::sleep(3 * PATIENCE).await;
            [("docker-content-digest", DIGEST)].into_response()
        }
        "liar" => [("docker-content-digest", "sha256:../other@sha256:aa")].into_response(),
        "private" => (StatusCode::FORBIDDEN, envelope("DENIED")).into_response(),
        _ => (StatusCode::NOT_FOUND, envelope("MANIFEST_UNKNOWN")).into_response(),
    }
}

/// The answer where no signature is asked for.
fn image(host: &str, repository: &str) -> Resolution {
    Resolution {
        image: format!("{host}/{repository}@{DIGEST}"),
        signed_by: None,
    }
}

/// The words of a refusal, or of a registry that cannot be asked.
async fn refused(registry: &Registry, reference: &str) -> String {
    match registry.resolve(reference).await {
        Some(Err(Unresolved::Refused(words))) => words,
        other => panic!("{reference}: {other:?}"),
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
        Registry::new(std::slice::from_ref(&host), None).unwrap(),
        host,
        asked,
    )
}

#[tokio::test]
async fn a_tag_becomes_a_digest_in_the_same_repository() {
    let (registry, host, _) = registry().await;
    assert_eq!(
        registry.resolve(&format!("{host}/crm:1.0.0")).await,
        Some(Ok(image(&host, "crm")))
    );
    assert_eq!(
        registry.resolve(&format!("{host}/crm")).await,
        Some(Ok(image(&host, "crm")))
    );
}

#[tokio::test]
async fn what_is_missing_or_hidden_is_said_with_the_reference_and_the_remedy() {
    let (registry, host, _) = registry().await;
    let missing = refused(&registry, &format!("{host}/other:1")).await;
    assert!(
        missing.contains("/other:1\" is not in registry") && missing.contains("push it"),
        "{missing}"
    );
    let hidden = refused(&registry, &format!("{host}/private:1")).await;
    assert!(
        hidden.contains("/private:1\" without credentials"),
        "{hidden}"
    );
    let lie = refused(&registry, &format!("{host}/liar:1")).await;
    assert!(lie.contains("no sha256 digest"), "{lie}");
    let nonsense = refused(&registry, "Not A Reference").await;
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
    let registry = Registry::new(std::slice::from_ref(&closed), None).unwrap();
    let answer = registry.resolve(&format!("{closed}/crm:1")).await;
    let Some(Err(Unresolved::OutOfReach(words))) = answer else {
        panic!("{answer:?}");
    };
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
        refused(&registry, &format!("{host}/other:1")).await;
    }
    let failures = asked.swap(0, Ordering::SeqCst);
    refused(&registry, &format!("{host}/other:2")).await;
    assert_eq!(
        asked.load(Ordering::SeqCst),
        failures,
        "three calls asked as often as one"
    );
}

#[tokio::test]
async fn a_registry_that_takes_its_time_holds_up_nobody_and_its_answer_is_found_later() {
    let (registry, host, asked) = registry().await;
    let slow = format!("{host}/slow:1");
    assert_eq!(registry.resolve(&slow).await, None);
    let mut answer = None;
    for _ in 0..20 {
        let asked = Instant::now();
        answer = registry.resolve(&slow).await;
        assert!(
            asked.elapsed() < PATIENCE,
            "one wait for a question, not one for each look"
        );
        if answer.is_some() {
            break;
        }
        tokio::time::sleep(PATIENCE / 2).await;
    }
    assert_eq!(answer, Some(Ok(image(&host, "slow"))));
    assert_eq!(
        asked.load(Ordering::SeqCst),
        1,
        "one question for all looks"
    );
}

#[tokio::test]
async fn a_registry_that_stays_away_needs_a_person_in_the_end() {
    let (registry, host, _) = registry().await;
    let reference = format!("{host}/crm:1");
    let away = || Err(Unresolved::OutOfReach("it is down".to_owned()));
    drop(registry.ask(&reference));
    assert_eq!(registry.told(&reference, away()), away());
    let long_ago = Instant::now().checked_sub(AWAY).unwrap();
    if let Some(asked) = registry.lock().get_mut(&reference) {
        (asked.away_since, asked.told) = (Some(long_ago), None);
    }
    let refused = Err(Unresolved::Refused("it is down".to_owned()));
    assert_eq!(registry.told(&reference, away()), refused);
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
