//! Around every request: its id, its log span, its counters, the wording of its failure, the rest of its body, and the
//! hint to reconnect while the process is leaving.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;
use uuid::Uuid;

use super::Shared;
use super::problem::Problem;
use super::remainder::Remainder;

/// Header of the request's id, taken over from the caller when it is short and plain.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The outermost layer.
pub async fn observe(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(request.headers());
    let method = request.method().clone();
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned());
    // The address as the caller wrote it never becomes a label: it has no bound.
    let route = path.unwrap_or_else(|| "unknown".to_owned());
    let span = tracing::info_span!("request", request_id = %id, %method, %route);
    let (request, remainder) = Remainder::of(request);
    let mut response = next.run(request).instrument(span.clone()).await;
    let failed = response.status().is_client_error() || response.status().is_server_error();
    if failed {
        response = worded(response, &id);
    }
    let read = match remainder {
        Some(remainder) => remainder.discard().await,
        None => true,
    };
    let headers = response.headers_mut();
    headers.insert(
        REQUEST_ID,
        HeaderValue::from_str(&id).expect("a request id is plain ASCII"),
    );
    // Behind a body that was not read to its end the connection cannot carry another request.
    if shared.health.is_draining() || !read {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let (status, elapsed) = (response.status(), started.elapsed());
    span.in_scope(|| {
        tracing::debug!(
            status = status.as_u16(),
            milliseconds = elapsed.as_secs_f64() * 1e3,
            "answered"
        )
    });
    shared.metrics.record(route, &method, status, elapsed);
    response
}

/// Writes the problem document of a failure, also of one that no handler of ours made.
fn worded(mut response: Response, id: &str) -> Response {
    let status = response.status();
    let problem = response
        .extensions_mut()
        .remove::<Problem>()
        .unwrap_or_else(|| Problem::of_status(status));
    let allow = response.headers().get(header::ALLOW).cloned();
    let mut worded = problem.render(id);
    if let Some(allow) = allow {
        worded.headers_mut().insert(header::ALLOW, allow);
    }
    worded
}

fn request_id(headers: &HeaderMap) -> String {
    let given = headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok());
    let plain = |id: &&str| {
        (1..=64).contains(&id.len())
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    given
        .filter(plain)
        .map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_request_id_is_kept_and_any_other_replaced() {
        let with = |value: &'static str| {
            HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_static(value))])
        };
        assert_eq!(request_id(&with("abc-1.2_X")), "abc-1.2_X");
        for bad in ["", "a b", "{\"x\":1}"] {
            assert!(request_id(&with(bad)).parse::<Uuid>().is_ok(), "{bad}");
        }
    }
}
