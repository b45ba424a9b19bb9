//! One user: a loop of write, read back, change, read back, find.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::watch;
use uuid::Uuid;

use super::tally::{Tally, Trouble};
use crate::auth::mint::Mint;
use crate::client::{Answer, Call, Client, Error, told};
use crate::service::Service;

/// How long a token is used; it lives five minutes.
const TOKEN_USE: Duration = Duration::from_secs(120);

/// A service under load.
#[derive(Clone)]
pub struct Target {
    /// The service.
    pub service: Service,
    /// Its address, without a final slash.
    pub address: String,
}

/// What the records of a service need to exist.
#[derive(Clone)]
pub struct Setting {
    pipeline: Value,
}

impl Setting {
    /// Makes a pipeline for the opportunities of this run.
    ///
    /// # Errors
    /// The service does not accept it.
    pub async fn prepare(target: &Target, client: &Client, mint: &Mint) -> Result<Setting, String> {
        if target.service != Service::Sales {
            return Ok(Setting {
                pipeline: Value::Null,
            });
        }
        let stages = json!([
            {"name": "Open", "kind": "open", "probability": 50}, {"name": "Won", "kind": "won"}, {"name": "Lost", "kind": "lost"},
        ]);
        let body = json!({"name": "Load", "external_source": "load", "external_id": Uuid::now_v7(), "stages": stages});
        let call = Call {
            method: Method::POST,
            address: format!("{}/api/sales/v1/pipelines", target.address),
            headers: vec![
                (
                    header::AUTHORIZATION,
                    format!("Bearer {}", mint.token("load", &["manager"], None)),
                ),
                (header::CONTENT_TYPE, "application/json".to_owned()),
            ],
            body: body.to_string(),
        };
        let answer = client.send(call).await.map_err(|error| told(&error))?;
        match answer.status {
            StatusCode::CREATED => Ok(Setting {
                pipeline: answer.json()["id"].clone(),
            }),
            status => Err(format!(
                "a pipeline was answered with {status}: {}",
                String::from_utf8_lossy(&answer.body)
            )),
        }
    }
}

/// A user of one service.
pub struct Worker {
    target: Target,
    setting: Setting,
    client: Client,
    mint: Mint,
    token: Option<(String, Instant)>,
    name: String,
    number: u64,
}

/// A request that went wrong, after it was counted.
struct Counted;

/// The pace of a worker and where it counts.
struct Pace {
    ticks: tokio::time::Interval,
    tally: Arc<Mutex<Tally>>,
    stopped: watch::Receiver<bool>,
}

impl Worker {
    /// A user named `name`, which marks its records.
    pub fn new(
        target: Target,
        setting: Setting,
        (client, mint): (Client, Mint),
        name: String,
    ) -> Worker {
        Worker {
            target,
            setting,
            client,
            mint,
            token: None,
            name,
            number: 0,
        }
    }

    /// Works until stopped, a request per `period`, the first after `first`.
    pub async fn run(
        mut self,
        first: Duration,
        period: Duration,
        tally: Arc<Mutex<Tally>>,
        stopped: watch::Receiver<bool>,
    ) {
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + first, period);
        // A slow answer must not be followed by a burst.
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut pace = Pace {
            ticks,
            tally,
            stopped,
        };
        while !*pace.stopped.borrow() {
            self.number += 1;
            // A request that went wrong is counted already; the next round begins with a new record.
            let _ = self.round(&mut pace).await;
        }
    }

    async fn round(&mut self, pace: &mut Pace) -> Result<(), Counted> {
        let collection = match self.target.service {
            Service::Customer => "accounts",
            Service::Sales => "opportunities",
        };
        let mark = format!("{}-{}", self.name, self.number);
        let mut written = self.record(&mark);
        let made = self
            .request(
                pace,
                (Method::POST, format!("/{collection}"), None),
                &written,
                &[StatusCode::CREATED],
                &written,
            )
            .await?;
        let path = format!("/{collection}/{}", made["id"].as_str().unwrap_or_default());
        self.request(
            pace,
            (Method::GET, path.clone(), None),
            &Value::Null,
            &[StatusCode::OK],
            &made,
        )
        .await?;
        let name = json!(format!("Changed {mark}"));
        let change = json!({"name": name});
        written["name"] = name;
        let changed = self
            .request(
                pace,
                (Method::PATCH, path.clone(), Some(1)),
                &change,
                &[StatusCode::OK],
                &written,
            )
            .await?;
        self.request(
            pace,
            (Method::GET, path, None),
            &Value::Null,
            &[StatusCode::OK],
            &changed,
        )
        .await?;
        let list = format!("/{collection}?external_source=load&external_id={mark}&limit=2");
        self.request(
            pace,
            (Method::GET, list, None),
            &Value::Null,
            &[StatusCode::OK],
            &json!({"items": [changed]}),
        )
        .await?;
        Ok(())
    }

    fn record(&self, mark: &str) -> Value {
        let name = format!("Load {mark}");
        match self.target.service {
            Service::Customer => {
                json!({"name": name, "external_source": "load", "external_id": mark})
            }
            Service::Sales => json!({
                "name": name, "external_source": "load", "external_id": mark, "pipeline_id": self.setting.pipeline,
                "amount": "100.0000", "currency": "EUR", "expected_close_date": "2027-06-30",
            }),
        }
    }

    /// One request at its time: sent once, counted once. The answer must have the status and every field of `expected`.
    async fn request(
        &mut self,
        pace: &mut Pace,
        (method, path, version): (Method, String, Option<i64>),
        body: &Value,
        statuses: &[StatusCode],
        expected: &Value,
    ) -> Result<Value, Counted> {
        pace.ticks.tick().await;
        if *pace.stopped.borrow() {
            return Err(Counted);
        }
        let call = self.call(method.clone(), &path, version, body);
        let started = Instant::now();
        let outcome = judged(self.client.send(call).await, statuses, expected);
        let elapsed = started.elapsed();
        let (value, trouble) = match outcome {
            Ok(value) => (Ok(value), None),
            Err((trouble, text)) => (
                Err(Counted),
                Some((trouble, format!("{method} {path}: {text}"))),
            ),
        };
        if let Ok(mut tally) = pace.tally.lock() {
            tally.add(elapsed, trouble);
        }
        value
    }

    fn call(&mut self, method: Method, path: &str, version: Option<i64>, body: &Value) -> Call {
        let mut headers = vec![(header::AUTHORIZATION, format!("Bearer {}", self.token()))];
        if !body.is_null() {
            headers.push((header::CONTENT_TYPE, "application/json".to_owned()));
        }
        if let Some(version) = version {
            headers.push((header::IF_MATCH, format!("\"{version}\"")));
        }
        let address = format!(
            "{}/api/{}/v1{path}",
            self.target.address, self.target.service
        );
        Call {
            method,
            address,
            headers,
            body: if body.is_null() {
                String::new()
            } else {
                body.to_string()
            },
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

fn judged(
    answer: Result<Answer, Error>,
    statuses: &[StatusCode],
    expected: &Value,
) -> Result<Value, (Trouble, String)> {
    let answer = answer.map_err(|error| {
        let trouble = match error {
            Error::Connect(..) | Error::Address(_) => Trouble::Connect,
            Error::Broken(..) => Trouble::Broken,
            Error::TimedOut(_) => Trouble::TimedOut,
        };
        (trouble, told(&error))
    })?;
    if answer.status.is_server_error() {
        return Err((
            Trouble::ServerError,
            format!(
                "{}: {}",
                answer.status,
                String::from_utf8_lossy(&answer.body)
            ),
        ));
    }
    let value = answer.json();
    if !statuses.contains(&answer.status) {
        return Err((Trouble::Wrong, format!("{}: {value}", answer.status)));
    }
    let differs = expected
        .as_object()
        .into_iter()
        .flatten()
        .find(|(name, wanted)| value[name.as_str()] != **wanted);
    match differs {
        Some((name, wanted)) => Err((
            Trouble::Wrong,
            format!("{name} is {} instead of {wanted}", value[name.as_str()]),
        )),
        None => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: StatusCode, body: &Value) -> Result<Answer, Error> {
        Ok(Answer {
            status,
            headers: axum::http::HeaderMap::new(),
            body: body.to_string().into(),
        })
    }

    #[test]
    fn an_answer_that_is_not_what_was_written_is_wrong() {
        let expected = json!({"name": "a"});
        let ok = &[StatusCode::OK];
        assert!(
            judged(
                answer(StatusCode::OK, &json!({"name": "a", "more": 1})),
                ok,
                &expected
            )
            .is_ok()
        );
        let trouble = |answer| judged(answer, ok, &expected).unwrap_err().0;
        assert_eq!(
            trouble(answer(StatusCode::OK, &json!({"name": "b"}))),
            Trouble::Wrong
        );
        assert_eq!(
            trouble(answer(StatusCode::NOT_FOUND, &json!({"name": "a"}))),
            Trouble::Wrong
        );
        assert_eq!(
            trouble(answer(StatusCode::SERVICE_UNAVAILABLE, &json!({}))),
            Trouble::ServerError
        );
        assert_eq!(
            trouble(Err(Error::TimedOut(String::new()))),
            Trouble::TimedOut
        );
    }
}
