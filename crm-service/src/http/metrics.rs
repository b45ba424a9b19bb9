//! `/metrics` in the text format of Prometheus. Every label has a bound: routes are templates, statuses are classes.

use std::sync::Mutex;
use std::time::Duration;

use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::Shared;
use super::problem::Problem;
use crate::service::Service;

/// Upper bounds in seconds; the budget of a request and its timeouts lie on bounds.
const BUCKETS: [f64; 12] = [
    0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    method: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
    method: &'static str,
}

/// The counters of a process.
pub struct Metrics {
    registry: Mutex<Registry>,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram>,
    connections: Gauge,
    idle_connections: Gauge,
}

impl Metrics {
    /// Counters at zero.
    pub fn new(service: Service) -> Metrics {
        let requests = Family::default();
        let durations =
            Family::new_with_constructor((|| Histogram::new(BUCKETS)) as fn() -> Histogram);
        let (connections, idle_connections) = (Gauge::default(), Gauge::default());
        let mut registry = Registry::with_prefix("crm");
        registry.register("http_requests", "Requests answered", requests.clone());
        registry.register_with_unit(
            "http_request_duration",
            "Time to answer",
            Unit::Seconds,
            durations.clone(),
        );
        registry.register(
            "database_connections",
            "Open connections of the pool",
            connections.clone(),
        );
        registry.register(
            "database_idle_connections",
            "Idle connections of the pool",
            idle_connections.clone(),
        );
        let release = std::env::var("CRM_RELEASE").unwrap_or_default();
        let labels = [
            ("service", service.name().to_owned()),
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("release", release),
        ];
        registry.register("build", "What is running", Info::new(labels.to_vec()));
        Metrics {
            registry: Mutex::new(registry),
            requests,
            durations,
            connections,
            idle_connections,
        }
    }

    /// Counts an answer.
    pub fn record(&self, route: String, method: &Method, status: StatusCode, elapsed: Duration) {
        let method = known_method(method);
        let labels = RequestLabels {
            route: route.clone(),
            method,
            status: status_class(status),
        };
        self.requests.get_or_create(&labels).inc();
        self.durations
            .get_or_create(&RouteLabels { route, method })
            .observe(elapsed.as_secs_f64());
    }
}

/// `GET /metrics`.
pub async fn show(State(shared): State<Shared>) -> Result<Response, Problem> {
    let metrics = &shared.metrics;
    let pool = shared.database.pool();
    metrics.connections.set(i64::from(pool.size()));
    metrics
        .idle_connections
        .set(i64::try_from(pool.num_idle()).unwrap_or(i64::MAX));
    let mut text = String::new();
    let registry = metrics.registry.lock().map_err(|_| Problem::internal())?;
    encode(&mut text, &registry).map_err(|_| Problem::internal())?;
    let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, media_type)], text).into_response())
}

fn known_method(method: &Method) -> &'static str {
    const KNOWN: [(&Method, &str); 7] = [
        (&Method::GET, "GET"),
        (&Method::HEAD, "HEAD"),
        (&Method::POST, "POST"),
        (&Method::PATCH, "PATCH"),
        (&Method::PUT, "PUT"),
        (&Method::DELETE, "DELETE"),
        (&Method::OPTIONS, "OPTIONS"),
    ];
    KNOWN
        .iter()
        .find(|(known, _)| *known == method)
        .map_or("other", |(_, name)| name)
}

fn status_class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}
