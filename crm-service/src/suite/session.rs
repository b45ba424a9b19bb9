//! A caller of one service: requests with a token of the run, and the checks that every case needs.

mod expect;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};
use uuid::Uuid;

pub use self::expect::Expect;
use super::case::{Failure, Outcome};
use crate::auth::mint::Mint;
use crate::client::{Answer, Call, Client, told};
use crate::service::Service;

/// As whom a session talks.
#[derive(Clone)]
enum Caller {
    /// With a token of this role, made for each request: a run may take longer than a token lives.
    Role(&'static str, Option<Uuid>),
    /// With this very token.
    Token(String),
    /// Without a token.
    Nobody,
}

/// A way to talk to a service as somebody.
#[derive(Clone)]
pub struct Session {
    /// The service.
    pub service: Service,
    /// Makes tokens.
    pub mint: Mint,
    root: String,
    client: Client,
    caller: Caller,
    /// All runs that rows were made under, for the clean-up.
    runs: Arc<Mutex<Vec<Uuid>>>,
}

impl Session {
    /// A session of role `test`.
    pub fn new(service: Service, root: String, client: Client, mint: Mint, run: Uuid) -> Session {
        let runs = Arc::new(Mutex::new(vec![run]));
        Session {
            service,
            mint,
            root,
            client,
            caller: Caller::Role("test", Some(run)),
            runs,
        }
    }

    /// The same in a run of its own, so that lists and sums show the rows of one case only.
    pub fn apart(&self) -> Session {
        let run = Uuid::now_v7();
        self.runs
            .lock()
            .expect("nothing panics while it holds the lock")
            .push(run);
        self.in_run(run)
    }

    fn in_run(&self, run: Uuid) -> Session {
        self.by(Caller::Role("test", Some(run)))
    }

    /// The same with another token, or none.
    pub fn with_token(&self, token: Option<String>) -> Session {
        self.by(token.map_or(Caller::Nobody, Caller::Token))
    }

    /// The same with a role instead of `test`.
    pub fn with_role(&self, role: &'static str) -> Session {
        self.by(Caller::Role(role, None))
    }

    fn by(&self, caller: Caller) -> Session {
        Session {
            caller,
            ..self.clone()
        }
    }

    fn token(&self) -> Option<String> {
        match &self.caller {
            Caller::Role(role, run) => Some(self.mint.token("test-suite", &[role], *run)),
            Caller::Token(token) => Some(token.clone()),
            Caller::Nobody => None,
        }
    }

    /// Waits until somebody answers.
    pub async fn reach(&self, limit: Duration) -> Result<(), String> {
        let started = Instant::now();
        loop {
            let call = Call {
                method: Method::GET,
                address: format!("{}/livez", self.root),
                headers: Vec::new(),
                body: String::new(),
            };
            match self.client.send(call).await {
                Ok(_) => return Ok(()),
                Err(error) if started.elapsed() >= limit => {
                    return Err(format!(
                        "{} cannot be reached: {}",
                        self.service,
                        told(&error)
                    ));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    }

    /// Asks beside the API, as in `/livez`.
    pub async fn ask(&self, path: &str) -> Outcome<Answer> {
        self.send(
            Method::GET,
            format!("{}{path}", self.root),
            Vec::new(),
            String::new(),
        )
        .await
    }

    /// Any request to the API; `path` as in `/accounts`.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(header::HeaderName, &str)],
        body: &str,
    ) -> Outcome<Answer> {
        let address = format!("{}/api/{}/v1{path}", self.root, self.service);
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), (*value).to_owned()))
            .collect();
        self.send(method, address, headers, body.to_owned()).await
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Outcome<Answer> {
        self.call(Method::GET, path, &[], "").await
    }

    /// `POST` of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Outcome<Answer> {
        self.call(
            Method::POST,
            path,
            &[(header::CONTENT_TYPE, "application/json")],
            &body.to_string(),
        )
        .await
    }

    /// `PATCH` of the version in `record`.
    pub async fn patch(&self, path: &str, version: i64, body: &Value) -> Outcome<Answer> {
        let tag = format!("\"{version}\"");
        let headers = [
            (header::CONTENT_TYPE, "application/merge-patch+json"),
            (header::IF_MATCH, tag.as_str()),
        ];
        self.call(Method::PATCH, path, &headers, &body.to_string())
            .await
    }

    /// `POST` of a verb, as in `:move`, to the version in `record`.
    pub async fn act(&self, path: &str, version: i64, body: &Value) -> Outcome<Answer> {
        let tag = format!("\"{version}\"");
        let headers = [
            (header::CONTENT_TYPE, "application/json"),
            (header::IF_MATCH, tag.as_str()),
        ];
        self.call(Method::POST, path, &headers, &body.to_string())
            .await
    }

    /// `DELETE` of a version.
    pub async fn delete(&self, path: &str, version: i64) -> Outcome<Answer> {
        let tag = format!("\"{version}\"");
        self.call(
            Method::DELETE,
            path,
            &[(header::IF_MATCH, tag.as_str())],
            "",
        )
        .await
    }

    /// Makes a record that must be accepted.
    pub async fn create(&self, collection: &str, body: &Value) -> Outcome<Value> {
        Ok(self
            .post(&format!("/{collection}"), body)
            .await?
            .expect(StatusCode::CREATED)?
            .json())
    }

    /// Removes the rows of all runs; goes through all of them, and tells then which it could not.
    pub async fn remove_rows(&self) -> Outcome {
        let runs = self
            .runs
            .lock()
            .expect("nothing panics while it holds the lock")
            .clone();
        let mut failures = Vec::new();
        for run in &runs {
            if let Err(failure) = self.remove_rows_of(*run).await {
                failures.push((run, failure));
            }
        }
        let text: Vec<_> = failures
            .iter()
            .map(|(run, failure)| format!("run {run}: {failure}"))
            .collect();
        let text = format!(
            "rows of {} of {} runs are left: {}",
            text.len(),
            runs.len(),
            text.join("; ")
        );
        match failures.pop() {
            None => Ok(()),
            // Whether somebody is there still decides between a failure and an error.
            Some((_, Failure::Unreachable(_))) => Err(Failure::Unreachable(text)),
            Some((_, Failure::Failed(_))) => Err(Failure::Failed(text)),
        }
    }

    async fn remove_rows_of(&self, run: Uuid) -> Outcome {
        let session = self.in_run(run);
        let answer = session.call(Method::DELETE, "/synthetic-rows", &[], "");
        answer.await?.expect(StatusCode::NO_CONTENT)?;
        Ok(())
    }

    async fn send(
        &self,
        method: Method,
        address: String,
        mut headers: Vec<(header::HeaderName, String)>,
        body: String,
    ) -> Outcome<Answer> {
        if let Some(token) = self.token() {
            headers.push((header::AUTHORIZATION, format!("Bearer {token}")));
        }
        let answer = self
            .client
            .send(Call {
                method,
                address,
                headers,
                body,
            })
            .await;
        answer.map_err(|error| Failure::Unreachable(told(&error)))
    }
}

/// The address of a record below its collection.
pub fn path_of(collection: &str, record: &Value) -> String {
    format!(
        "/{collection}/{}",
        record["id"].as_str().unwrap_or_default()
    )
}

/// The version of a record.
pub fn version_of(record: &Value) -> i64 {
    record["version"].as_i64().unwrap_or_default()
}

/// A pipeline with three open stages of 10, 50 and 80 percent, one won and one lost.
pub async fn pipeline(session: &Session) -> Outcome<Value> {
    let stages = json!([
        {"name": "New", "kind": "open", "probability": 10},
        {"name": "Offer", "kind": "open", "probability": 50},
        {"name": "Signing", "kind": "open", "probability": 80},
        {"name": "Won", "kind": "won"},
        {"name": "Lost", "kind": "lost"},
    ]);
    session
        .create("pipelines", &json!({"name": "Test", "stages": stages}))
        .await
}

/// An opportunity of 1,000 in the first stage of a pipeline.
pub async fn opportunity(session: &Session, pipeline: &Value) -> Outcome<Value> {
    let body = json!({"name": "Deal", "pipeline_id": pipeline["id"], "amount": "1000.00", "currency": "EUR", "expected_close_date": "2027-03-15"});
    session.create("opportunities", &body).await
}

#[cfg(test)]
pub(super) mod tests;
