//! A loop of write, read back, change, read back, find, at a steady pace.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::record::Kind;
use super::user::{Counted, Step, User};

/// A user at work.
pub struct Worker {
    user: User,
    pipeline: Value,
    name: String,
    number: u64,
}

/// When a worker asks, and when it ends.
pub struct Pace {
    ticks: tokio::time::Interval,
    stopped: watch::Receiver<bool>,
}

impl Pace {
    /// A request per `period`, the first after `first`.
    pub fn new((first, period): (Duration, Duration), stopped: watch::Receiver<bool>) -> Pace {
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + first, period);
        // A slow answer must not be followed by a burst.
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        Pace { ticks, stopped }
    }
}

/// Why a round ended before its last request.
enum Broken {
    /// The load ends.
    Stopped,
    /// A request went wrong; it is counted.
    Counted,
}

impl From<Counted> for Broken {
    fn from(_: Counted) -> Broken {
        Broken::Counted
    }
}

impl Worker {
    /// A worker named `name`, which marks its records; `pipeline` is for opportunities.
    pub fn new(user: User, pipeline: Value, name: String) -> Worker {
        Worker {
            user,
            pipeline,
            name,
            number: 0,
        }
    }

    /// Works until stopped.
    pub async fn run(mut self, mut pace: Pace) {
        loop {
            self.number += 1;
            // After a request that went wrong the next round begins with a new record.
            if let Err(Broken::Stopped) = self.round(&mut pace).await {
                break;
            }
        }
    }

    async fn round(&mut self, pace: &mut Pace) -> Result<(), Broken> {
        let kind = Kind::of(self.user.target.service, self.number);
        let mark = format!("{}-{}", self.name, self.number);
        let mut written = kind.body(&mark, &self.pipeline);
        let create = Step::post(kind.collection(), &written);
        let made = kind.shown_by_all(self.request(pace, create).await?);
        let id = made["id"].as_str().unwrap_or_default();
        let path = format!("{}/{id}", kind.collection());
        self.request(pace, Step::get(&path, &made)).await?;

        let change = kind.change(&mark);
        for (name, value) in change.as_object().into_iter().flatten() {
            written[name] = value.clone();
        }
        let patch = Step::patch(&path, &change, &written);
        let changed = kind.shown_by_all(self.request(pace, patch).await?);
        self.request(pace, Step::get(&path, &changed)).await?;

        let page = json!({"items": [changed]});
        self.request(pace, Step::get(&kind.search(&mark), &page))
            .await?;
        Ok(())
    }

    /// One request at its time.
    async fn request(&mut self, pace: &mut Pace, step: Step<'_>) -> Result<Value, Broken> {
        pace.ticks.tick().await;
        if *pace.stopped.borrow() {
            return Err(Broken::Stopped);
        }
        Ok(self.user.ask(step).await?)
    }
}
