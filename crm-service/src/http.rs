//! The HTTP side: everything that happens to a request before and after its handler.
//!
//! A request gets an id, passes authentication when it is below `/api`, and every answer that is not a success leaves as
//! a problem document. Routes of a service come from its module.

pub mod conditional;
pub mod fields;
pub mod health;
pub mod metrics;
pub mod observe;
pub mod problem;
mod remainder;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use crate::auth::Verifier;
use crate::database::Database;
use crate::http::problem::Problem;
use crate::service::Service;

/// Greatest body, in bytes.
pub const BODY_LIMIT: u64 = 256 * 1024;

/// Longest time for a whole request; statements have shorter limits of their own, so this ends bodies that do not come.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// What every handler can reach.
pub type Shared = Arc<Context>;

/// What a serving process holds.
pub struct Context {
    /// Which service this is.
    pub service: Service,
    /// Its database.
    pub database: Database,
    /// The keys whose tokens are accepted.
    pub verifier: Verifier,
    /// Counters for `/metrics`.
    pub metrics: metrics::Metrics,
    /// Whether it is about to stop, and the like.
    pub health: health::Health,
}

/// The whole application of a service.
pub fn router(context: Shared, routes: Router<Shared>) -> Router {
    let routed = routed(&context, routes);
    layered(context, routed)
}

fn routed(context: &Shared, routes: Router<Shared>) -> Router<Shared> {
    let api = routes
        .fallback(unknown)
        .layer(from_fn_with_state(context.clone(), authenticate));
    Router::new()
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/version", get(health::version))
        .route("/metrics", get(metrics::show))
        .route("/openapi.json", get(document))
        .nest(&format!("/api/{}/v1", context.service), api)
        .fallback(unknown)
}

/// What surrounds every handler; the outermost comes last.
fn layered(context: Shared, routed: Router<Shared>) -> Router {
    let body_limit = usize::try_from(BODY_LIMIT).expect("256 KiB fit");
    routed
        .layer(DefaultBodyLimit::max(body_limit))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::SERVICE_UNAVAILABLE,
            REQUEST_TIMEOUT,
        ))
        .layer(from_fn_with_state(context.clone(), observe::observe))
        .with_state(context)
}

async fn authenticate(
    State(shared): State<Shared>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let principal = shared.verifier.principal(request.headers())?;
    request.extensions_mut().insert(principal);
    Ok(next.run(request).await)
}

async fn unknown() -> Problem {
    Problem::of_status(StatusCode::NOT_FOUND)
}

async fn document(State(shared): State<Shared>) -> Response {
    Json(crate::openapi::document(shared.service)).into_response()
}

fn panicked(cause: Box<dyn std::any::Any + Send>) -> Response {
    let message = cause
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| cause.downcast_ref::<&str>().copied());
    tracing::error!(
        panic = message.unwrap_or("without a message"),
        "a handler panicked"
    );
    Problem::internal().into_response()
}

#[cfg(test)]
mod tests;
