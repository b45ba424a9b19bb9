//! The requests that are measured: a record goes through its life at both releases, step by step in turn, and which of the
//! two is asked first changes from step to step.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde_json::Value;
use uuid::Uuid;

use super::figures::Figures;
use super::{Side, Trouble};
use crate::load::record::Kind;
use crate::service::Service;
use crate::suite::case::{Failure, Outcome, ensure};
use crate::suite::session::{Expect as _, Session, path_of, pipeline};

/// How long a release may take to answer for the first time.
const REACH: Duration = Duration::from_secs(10);

/// One service of both releases.
pub struct Opponents {
    stable: Session,
    candidate: Session,
    /// Where opportunities stand, at each of the two.
    pipelines: [Value; 2],
    /// Keeps the records of this run apart from others.
    mark: Uuid,
}

/// Steps in the life of a record.
#[derive(Clone, Copy, Debug)]
enum Step {
    Create,
    Read,
    Change,
    Find,
}

const STEPS: [Step; 4] = [Step::Create, Step::Read, Step::Change, Step::Find];

/// A record at one of the two.
struct Record {
    mark: String,
    pipeline: Value,
    made: Value,
}

impl Opponents {
    /// Two sessions with the same service.
    pub fn new(stable: Session, candidate: Session) -> Opponents {
        Opponents {
            stable,
            candidate,
            pipelines: [Value::Null, Value::Null],
            mark: Uuid::now_v7(),
        }
    }

    /// Which service it is.
    pub fn service(&self) -> Service {
        self.candidate.service
    }

    /// Both.
    pub fn sessions(&self) -> [&Session; 2] {
        [&self.stable, &self.candidate]
    }

    fn session(&self, side: Side) -> &Session {
        match side {
            Side::Stable => &self.stable,
            Side::Candidate => &self.candidate,
        }
    }

    /// Waits until both answer, and makes what records need.
    pub async fn prepare(&mut self) -> Result<(), Trouble> {
        for side in [Side::Stable, Side::Candidate] {
            let session = self.session(side);
            let reached = session.reach(REACH).await;
            reached.map_err(|why| Trouble::CouldNotRun(format!("{side:?}: {why}")))?;
            if self.service() == Service::Sales {
                let made = pipeline(session).await;
                let made = made.map_err(|failure| self.trouble(side, "pipeline", failure))?;
                self.pipelines[side as usize] = made["id"].clone();
            }
        }
        Ok(())
    }

    /// One record at each, from its beginning to a list that shows it.
    pub async fn round(&self, number: u64, figures: &mut Figures) -> Result<(), Trouble> {
        let kind = Kind::of(self.service(), number);
        let mut records = [Side::Stable, Side::Candidate].map(|side| self.record(side, number));
        let [stable, candidate] = &mut records;
        let mut both = [(Side::Stable, stable), (Side::Candidate, candidate)];
        // Kinds change with every number: so that each comes first with each kind and step.
        if (number / 2).is_multiple_of(2) {
            both.reverse();
        }
        for step in STEPS {
            both.reverse();
            for (side, record) in &mut both {
                let started = Instant::now();
                let outcome = self.session(*side).take(step, kind, record).await;
                let elapsed = started.elapsed();
                outcome.map_err(|failure| {
                    self.trouble(*side, &format!("{step:?} {kind:?}"), failure)
                })?;
                figures.add(self.service(), *side, elapsed);
            }
        }
        Ok(())
    }

    fn record(&self, side: Side, number: u64) -> Record {
        Record {
            mark: format!("{side:?}-{}-{number}", self.mark).to_lowercase(),
            pipeline: self.pipelines[side as usize].clone(),
            made: Value::Null,
        }
    }

    /// What went wrong at stable says nothing about the candidate, and neither does one that is gone.
    fn trouble(&self, side: Side, what: &str, failure: Failure) -> Trouble {
        match (side, failure) {
            (Side::Candidate, Failure::Failed(message)) => {
                Trouble::Failed(self.service(), format!("{what}: {message}"))
            }
            (side, failure) => {
                Trouble::CouldNotRun(format!("{} of {side:?}: {what}: {failure}", self.service()))
            }
        }
    }
}

impl Session {
    async fn take(&self, step: Step, kind: Kind, record: &mut Record) -> Outcome {
        let path = path_of(kind.collection().trim_start_matches('/'), &record.made);
        match step {
            Step::Create => {
                let body = kind.body(&record.mark, &record.pipeline);
                let answer = self.post(kind.collection(), &body).await?;
                record.made = answer.expect(StatusCode::CREATED)?.json();
            }
            Step::Read => {
                self.get(&path).await?.expect(StatusCode::OK)?;
            }
            Step::Change => {
                let change = kind.change(&record.mark);
                self.patch(&path, 1, &change)
                    .await?
                    .expect(StatusCode::OK)?;
            }
            Step::Find => {
                let answer = self.get(&kind.search(&record.mark)).await?;
                let list = answer.expect(StatusCode::OK)?.json();
                let found = list["items"].as_array().map_or(0, Vec::len);
                ensure!(found == 1, "a list shows {found} records instead of 1");
            }
        }
        Ok(())
    }
}
