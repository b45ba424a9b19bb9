//! A registry on loopback lists tags, well and badly. It asks for a token, as the big ones do of everybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::get};
use futures::StreamExt;
use serde_json::json;

use super::*;
use crate::registry::Registry;

#[derive(Clone, Deserialize)]
struct Question {
    last: Option<String>,
}

type Asked = Arc<AtomicUsize>;

async fn challenge(headers: HeaderMap) -> Response {
    let host = headers["host"].to_str().unwrap();
    let how = format!("Bearer realm=\"http://{host}/token\",service=\"registry\"");
    (StatusCode::UNAUTHORIZED, [("www-authenticate", how)]).into_response()
}

async fn list(
    State(asked): State<Asked>,
    Path(repository): Path<String>,
    Query(question): Query<Question>,
    headers: HeaderMap,
) -> Response {
    asked.fetch_add(1, Ordering::SeqCst);
    if headers
        .get("authorization")
        .is_none_or(|token| token != "Bearer anybody")
    {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let last = question.last.unwrap_or_default();
    let link = |target: String| [("link", format!("<{target}>; rel=\"next\""))];
    let here = format!("/v2/{repository}/tags/list");
    let page = |tags: &[&str]| Json(json!({ "name": repository, "tags": tags }));
    match repository.as_str() {
        "crm" if last.is_empty() => (
            link(format!("{here}?last=b&n=2")),
            page(&["1.0.0", "latest"]),
        )
            .into_response(),
        "crm" => page(&["1.10.0", "1.9.0", "v1.10.0", "not a tag"]).into_response(),
        "none" => Json(json!({ "name": "none", "tags": null })).into_response(),
        "loop" => (link(format!("{here}?n={PAGE}")), page(&["1.0.0"])).into_response(),
        "endless" => (link(format!("{here}?last={last}a")), page(&["1.0.0"])).into_response(),
        "elsewhere" => (
            link("http://169.254.169.254/v2/elsewhere/tags/list".into()),
            page(&["1.0.0"]),
        )
            .into_response(),
        "beside" => (link("/v2/crm/tags/list".into()), page(&["1.0.0"])).into_response(),
        "moved" => (
            StatusCode::TEMPORARY_REDIRECT,
            [("location", "/v2/crm/tags/list")],
        )
            .into_response(),
        "huge" => page(&["1.0.0", &"9".repeat(BYTES)]).into_response(),
        "many" => page(&vec!["1.0.0"; TAGS + 1]).into_response(),
        "nonsense" => "tags, tags, tags".into_response(),
        "deep" => "[".repeat(100_000).into_response(),
        "private" => StatusCode::FORBIDDEN.into_response(),
        "long" => page(&vec!["1.0.0"; SHORT / 8]).into_response(),
        "trickling" => {
            let begin = "[".repeat(SHORT + 1);
            let first = futures::stream::once(async { Ok::<_, std::io::Error>(begin) });
            axum::body::Body::from_stream(first.chain(futures::stream::pending())).into_response()
        }
        slow if slow.starts_with("slow") => {
            tokio::time::sleep(Duration::from_millis(200)).await;
            page(&["1.0.0"]).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn registry() -> (Registry, String, Asked) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let asked = Asked::default();
    let routes = Router::new()
        .route("/v2/", get(challenge))
        .route(
            "/token",
            get(|| async { Json(json!({ "token": "anybody" })) }),
        )
        .route("/v2/{repository}/tags/list", get(list))
        .with_state(asked.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    tokio::spawn(axum::serve(listener, routes).into_future());
    let registry = Registry::new(std::slice::from_ref(&host), None).unwrap();
    (registry, host, asked)
}

async fn listed(repository: &str) -> Result<Tags, Unresolved> {
    let (registry, host, _) = registry().await;
    registry
        .lister
        .list(&format!("{host}/{repository}:1.0.0"))
        .await
}

async fn refused(repository: &str) -> String {
    match listed(repository).await {
        Err(Unresolved::Refused(words)) => words,
        other => panic!("{repository}: {other:?}"),
    }
}

#[tokio::test]
async fn all_pages_are_read_and_what_is_no_version_is_left_out() {
    let tags = listed("crm").await.unwrap();
    let versions = ["1.0.0", "1.9.0", "1.10.0"].map(str::to_owned);
    assert_eq!(tags, Tags::of(versions));
    assert_eq!(listed("none").await.unwrap(), Tags::default());
}

#[tokio::test]
async fn a_list_that_is_not_whole_is_none() {
    for repository in ["loop", "endless"] {
        let words = refused(repository).await;
        assert!(words.contains("does not come to an end"), "{words}");
    }
    for repository in ["huge", "many"] {
        assert!(refused(repository).await.contains("lists more than"));
    }
    for repository in ["nonsense", "deep"] {
        let answer = listed(repository).await;
        assert!(
            matches!(answer, Err(Unresolved::OutOfReach(_))),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn nobody_else_is_asked_for_more_pages() {
    for repository in ["elsewhere", "beside", "moved"] {
        let words = refused(repository).await;
        assert!(words.contains("another place"), "{words}");
    }
}

#[tokio::test]
async fn what_is_missing_or_hidden_is_said_with_the_repository() {
    assert!(
        refused("private")
            .await
            .contains("/private\" without credentials")
    );
    assert!(
        refused("other")
            .await
            .contains("/other\" is not in registry")
    );
}

#[tokio::test]
async fn one_question_at_a_time_for_all_who_follow_a_repository_and_none_before_its_time() {
    let (registry, host, asked) = registry().await;
    let look = |tag: &str| registry.tags(&format!("{host}/slow:{tag}"), Duration::from_secs(60));
    for _ in 0..20 {
        assert!(look("1.0.0").answer.is_none(), "nobody waits for it");
    }
    while look("2.0.0").answer.is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for _ in 0..20 {
        let listing = look("1.0.0");
        assert!(listing.answer.unwrap().is_ok());
        assert!(listing.again_in > Duration::from_secs(50));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_old_answer_stays_until_there_is_another() {
    let (registry, host, asked) = registry().await;
    let image = format!("{host}/slow:1.0.0");
    while registry
        .tags(&image, Duration::from_secs(60))
        .answer
        .is_none()
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let listing = registry.tags(&image, Duration::ZERO);
    assert!(listing.answer.unwrap().is_ok() && listing.again_in <= Duration::from_secs(1));
    let again = async {
        while asked.load(Ordering::SeqCst) < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let asked_again = tokio::time::timeout(Duration::from_secs(30), again).await;
    asked_again.expect("the registry is asked again");
}

#[tokio::test]
async fn a_registry_is_asked_for_few_lists_at_a_time_and_keeps_nobody_else_waiting() {
    let (registry, host, asked) = registry().await;
    let (_, other, _) = self::registry().await;
    let interval = Duration::from_secs(60);
    let look = |host: &str, name: &str| registry.tags(&format!("{host}/{name}:1.0.0"), interval);
    for name in ["slow-1", "slow-2"] {
        assert!(look(&host, name).again_in < Duration::from_secs(2));
    }
    let third = look(&host, "slow-3");
    assert!(third.answer.is_none());
    assert_eq!(third.again_in, Duration::from_secs(5), "it has to wait");
    let elsewhere = look(&other, "slow-1");
    assert!(elsewhere.again_in < Duration::from_secs(2), "asked at once");
    while look(&host, "slow-1").answer.is_none() || look(&host, "slow-2").answer.is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    while look(&host, "slow-3").answer.is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn of_long_lists_only_some_are_in_memory_at_a_time() {
    let (registry, host, _) = registry().await;
    let list = async |name: &str| registry.lister.list(&format!("{host}/{name}:1.0.0")).await;
    assert!(list("long").await.is_ok());
    let others = u32::try_from(LONG_ONES).unwrap();
    let others = registry.lister.long.try_acquire_many(others).unwrap();
    let answer = list("long").await;
    assert!(
        matches!(answer, Err(Unresolved::OutOfReach(_))),
        "{answer:?}"
    );
    assert!(list("crm").await.is_ok(), "a short one waits for nobody");
    drop(others);
    assert!(list("long").await.is_ok());
}

#[tokio::test]
async fn a_long_list_that_comes_slowly_gives_its_room_back() {
    let (registry, host, _) = registry().await;
    let began = std::time::Instant::now();
    let answer = registry
        .lister
        .list(&format!("{host}/trickling:1.0.0"))
        .await;
    assert!(
        matches!(&answer, Err(Unresolved::OutOfReach(why)) if why.contains("within 4 seconds")),
        "{answer:?}"
    );
    assert!(began.elapsed() < DEADLINE / 2);
    assert_eq!(registry.lister.long.available_permits(), LONG_ONES);
}
