//! The operator's own HTTP: `/livez`, `/readyz` and `/metrics`.
//!
//! In: a listening socket and what the watches have seen. Out: answers. Ready means that every kind was listed once, so that reconciles run
//! as soon as this process leads: a standby is ready too.

use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::metrics::Metrics;
use crate::observe::Stores;

/// What Prometheus asks for by name since its version 2.5.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone)]
struct Shared {
    stores: Arc<Stores>,
    metrics: Arc<Metrics>,
}

/// Serves until `stop`.
///
/// # Errors
/// When the socket fails.
pub async fn serve(
    listener: TcpListener,
    (stores, metrics): (Arc<Stores>, Arc<Metrics>),
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, routes(stores, metrics))
        .with_graceful_shutdown(stop)
        .await
}

fn routes(stores: Arc<Stores>, metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(text))
        .with_state(Shared { stores, metrics })
}

async fn ready(State(shared): State<Shared>) -> Response {
    let missing = shared.stores.missing();
    if missing.is_empty() {
        return "ok\n".into_response();
    }
    (
        StatusCode::SERVICE_UNAVAILABLE,
        format!(
            "not listed yet: {}; see the log for watches that broke\n",
            missing.join(", ")
        ),
    )
        .into_response()
}

async fn text(State(shared): State<Shared>) -> Response {
    match shared.metrics.text(&shared.stores) {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
