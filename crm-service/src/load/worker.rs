//! One user: a loop of write, read back, change, read back, find.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::tally::{Tally, Trouble};
use super::target::{Setting, Target};
use crate::auth::mint::Mint;
use crate::client::{Answer, Call, Client, Error, told};
use crate::service::Service;

/// How long a token is used; it lives five minutes.
const TOKEN_USE: Duration = Duration::from_secs(120);

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

/// When a worker asks, where it counts, and when it ends.
pub struct Pace {
    ticks: tokio::time::Interval,
    tally: Arc<Mutex<Tally>>,
    stopped: watch::Receiver<bool>,
}

impl Pace {
    /// A request per `period`, the first after `first`.
    pub fn new(
        (first, period): (Duration, Duration),
        tally: Arc<Mutex<Tally>>,
        stopped: watch::Receiver<bool>,
    ) -> Pace {
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + first, period);
        // A slow answer must not be followed by a burst.
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        Pace {
            ticks,
            tally,
            stopped,
        }
    }
}

/// A request, and the status and the fields that its answer must have.
struct Step<'a> {
    method: Method,
    path: &'a str,
    version: Option<i64>,
    body: Option<&'a Value>,
    status: StatusCode,
    expected: &'a Value,
}

impl<'a> Step<'a> {
    fn get(path: &'a str, expected: &'a Value) -> Step<'a> {
        Step {
            method: Method::GET,
            path,
            version: None,
            body: None,
            status: StatusCode::OK,
            expected,
        }
    }
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

    /// Works until stopped.
    pub async fn run(mut self, mut pace: Pace) {
        while !*pace.stopped.borrow() {
            self.number += 1;
            // A request that went wrong is counted already; the next round begins with a new record.
            let _ = self.round(&mut pace).await;
        }
    }

    async fn round(&mut self, pace: &mut Pace) -> Result<(), Counted> {
        let collection = match self.target.service {
            Service::Customer => "/accounts",
            Service::Sales => "/opportunities",
        };
        let mark = format!("{}-{}", self.name, self.number);
        let mut written = self.record(&mark);
        let create = Step {
            method: Method::POST,
            path: collection,
            version: None,
            body: Some(&written),
            status: StatusCode::CREATED,
            expected: &written,
        };
        let made = self.request(pace, create).await?;
        let path = format!("{collection}/{}", made["id"].as_str().unwrap_or_default());
        self.request(pace, Step::get(&path, &made)).await?;

        let change = json!({"name": format!("Changed {mark}")});
        written["name"] = change["name"].clone();
        let patch = Step {
            method: Method::PATCH,
            version: Some(1),
            body: Some(&change),
            ..Step::get(&path, &written)
        };
        let changed = self.request(pace, patch).await?;
        self.request(pace, Step::get(&path, &changed)).await?;

        let list = format!("{collection}?external_source=load&external_id={mark}&limit=2");
        let page = json!({"items": [changed]});
        self.request(pace, Step::get(&list, &page)).await?;
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

    /// One request at its time: sent once, counted once.
    async fn request(&mut self, pace: &mut Pace, step: Step<'_>) -> Result<Value, Counted> {
        pace.ticks.tick().await;
        if *pace.stopped.borrow() {
            return Err(Counted);
        }
        let call = self.call(&step);
        let started = Instant::now();
        let outcome = judged(self.client.send(call).await, step.status, step.expected);
        let elapsed = started.elapsed();
        let (value, trouble) = match outcome {
            Ok(value) => (Ok(value), None),
            Err((trouble, text)) => (
                Err(Counted),
                Some((trouble, format!("{} {}: {text}", step.method, step.path))),
            ),
        };
        if let Ok(mut tally) = pace.tally.lock() {
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
        let address = format!("{address}/api/{service}/v1{}", step.path);
        let body = step.body.map(Value::to_string).unwrap_or_default();
        Call {
            method: step.method.clone(),
            address,
            headers,
            body,
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
    status: StatusCode,
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
    if answer.status != status {
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
        let ok = StatusCode::OK;
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
