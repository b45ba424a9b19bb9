//! One caller of a service: sends a request once, with a token that is good, and counts how it went.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode, header};
use serde_json::Value;

use super::judge::judged;
use super::tally::Tally;
use super::target::Target;
use crate::auth::mint::Mint;
use crate::client::{Call, Client};

/// How long a token is used; it lives five minutes.
const TOKEN_USE: Duration = Duration::from_secs(120);

/// A caller of one service.
#[derive(Clone)]
pub struct User {
    /// Whom it calls.
    pub target: Target,
    client: Client,
    mint: Mint,
    token: Option<(String, Instant)>,
    tally: Arc<Mutex<Tally>>,
}

/// A request that went wrong, after it was counted; with its text.
#[derive(Debug)]
pub struct Counted(pub String);

/// A request, and the status and the fields that its answer must have.
pub struct Step<'a> {
    /// HTTP method.
    pub method: Method,
    /// Path below the service's API.
    pub path: &'a str,
    /// The version that is changed.
    pub version: Option<i64>,
    /// JSON to send.
    pub body: Option<&'a Value>,
    /// What must be answered.
    pub status: StatusCode,
    /// What the answer must have.
    pub expected: &'a Value,
}

impl<'a> Step<'a> {
    /// Reads.
    pub fn get(path: &'a str, expected: &'a Value) -> Step<'a> {
        Step {
            method: Method::GET,
            path,
            version: None,
            body: None,
            status: StatusCode::OK,
            expected,
        }
    }

    /// Makes a record.
    pub fn post(path: &'a str, record: &'a Value) -> Step<'a> {
        Step {
            method: Method::POST,
            body: Some(record),
            status: StatusCode::CREATED,
            ..Step::get(path, record)
        }
    }

    /// Changes the first version of a record.
    pub fn patch(path: &'a str, change: &'a Value, expected: &'a Value) -> Step<'a> {
        Step {
            method: Method::PATCH,
            version: Some(1),
            body: Some(change),
            ..Step::get(path, expected)
        }
    }
}

impl User {
    /// A caller who counts in `tally`.
    pub fn new(target: Target, client: Client, mint: Mint, tally: Arc<Mutex<Tally>>) -> User {
        User {
            target,
            client,
            mint,
            token: None,
            tally,
        }
    }

    /// One request: sent once, counted once.
    ///
    /// # Errors
    /// The answer did not come or was not right.
    pub async fn ask(&mut self, step: Step<'_>) -> Result<Value, Counted> {
        let call = self.call(&step);
        let started = Instant::now();
        let outcome = judged(self.client.send(call).await, step.status, step.expected);
        let elapsed = started.elapsed();
        let (value, trouble) = match outcome {
            Ok(value) => (Ok(value), None),
            Err((trouble, text)) => {
                let text = format!("{} {}: {text}", step.method, step.path);
                (Err(Counted(text.clone())), Some((trouble, text)))
            }
        };
        if let Ok(mut tally) = self.tally.lock() {
            tally.add(elapsed, trouble);
        }
        value
    }

    fn call(&mut self, step: &Step<'_>) -> Call {
        let mut headers = vec![(header::AUTHORIZATION, format!("Bearer {}", self.token()))];
        if step.body.is_some() {
            headers.push((header::CONTENT_TYPE, "application/json".to_owned()));
        }
        headers.extend(
            step.version
                .map(|version| (header::IF_MATCH, format!("\"{version}\""))),
        );
        let Target { service, address } = &self.target;
        Call {
            method: step.method.clone(),
            address: format!("{address}/api/{service}/v1{}", step.path),
            headers,
            body: step.body.map(Value::to_string).unwrap_or_default(),
        }
    }

    fn token(&mut self) -> String {
        match &self.token {
            Some((token, made)) if made.elapsed() < TOKEN_USE => token.clone(),
            _ => {
                let token = self.mint.token("load", &["rep"], None);
                self.token = Some((token.clone(), Instant::now()));
                token
            }
        }
    }
}
