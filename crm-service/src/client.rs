//! A small HTTP client for the test suites and the load: one request, one answer, a deadline, and never a second try.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client as Pool, Error as PoolError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde_json::Value;

/// How long an answer may take.
pub const TIMEOUT: Duration = Duration::from_secs(5);
/// Shorter than the time that a leaving process goes on serving, so that no idle connection outlives its server.
const IDLE: Duration = Duration::from_secs(3);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens, or the name is unknown.
    #[error("no connection to {0}")]
    Connect(String, #[source] PoolError),
    /// The connection ended before the answer did.
    #[error("the connection broke before the answer of {0} was complete")]
    Broken(String, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// Nothing within the time limit.
    #[error("{0} did not answer within {TIMEOUT:?}")]
    TimedOut(String),
    /// The address is none.
    #[error("{0} is not an address of the form http://host:port/path")]
    Address(String),
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// A header as text; empty when absent.
    pub fn header(&self, name: &HeaderName) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

/// A request.
#[derive(Clone, Debug)]
pub struct Call {
    /// HTTP method.
    pub method: Method,
    /// Whole address.
    pub address: String,
    /// Headers beside the usual ones.
    pub headers: Vec<(HeaderName, String)>,
    /// Body; empty for none.
    pub body: String,
}

/// Sends requests.
#[derive(Clone)]
pub struct Client {
    pool: Pool<HttpConnector, Full<Bytes>>,
    keep_alive: bool,
}

impl Client {
    /// A client that keeps its connections, or one that opens a new one for each request.
    pub fn new(keep_alive: bool) -> Client {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(TIMEOUT));
        connector.set_nodelay(true);
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(if keep_alive { usize::MAX } else { 0 })
            .retry_canceled_requests(false)
            .build(connector);
        Client { pool, keep_alive }
    }

    /// Sends a request once.
    ///
    /// # Errors
    /// There is no complete answer in time.
    pub async fn send(&self, call: Call) -> Result<Answer, Error> {
        let address = call.address.clone();
        match tokio::time::timeout(TIMEOUT, self.exchange(call)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::TimedOut(address)),
        }
    }

    async fn exchange(&self, call: Call) -> Result<Answer, Error> {
        let address = call.address;
        let mut request = Request::builder().method(call.method).uri(&address);
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        if !self.keep_alive {
            request = request.header(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let request = request
            .body(Full::new(Bytes::from(call.body)))
            .map_err(|_| Error::Address(address.clone()))?;
        let response =
            self.pool
                .request(request)
                .await
                .map_err(|error| match error.is_connect() {
                    true => Error::Connect(address.clone(), error),
                    false => Error::Broken(address.clone(), error.into()),
                })?;
        let (parts, body) = response.into_parts();
        let body = body
            .collect()
            .await
            .map_err(|error| Error::Broken(address, error.into()))?;
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.to_bytes(),
        })
    }
}

/// An error with its causes in one line.
pub fn told(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
