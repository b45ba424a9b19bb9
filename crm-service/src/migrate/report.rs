//! What a run tells the operator: an exit code and one JSON object, at most 4096 bytes, on standard output and in the
//! termination message.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::ledger::Known;
use super::phase::Phase;
use super::set::Set;

/// The most that Kubernetes keeps of a termination message, in bytes.
const LIMIT: usize = 4096;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Something was applied.
    Done,
    /// Everything was applied before.
    Nothing,
    /// Another runner holds the lock.
    Locked,
    /// The run could not find out whether the files are good: the database was away, or the run was ended. What was not
    /// committed is rolled back, and running again is safe.
    Inconclusive,
    /// Policy forbids it; nothing was executed.
    Refused,
    /// A statement of the files failed; what was not committed is rolled back, and running again is safe.
    Failed,
    /// It failed, and a person has to look.
    Attention,
}

impl Outcome {
    /// The exit code of the delivery contract.
    pub const fn exit_code(self) -> u8 {
        match self {
            Outcome::Done => 0,
            Outcome::Nothing => 10,
            Outcome::Locked | Outcome::Inconclusive => 20,
            Outcome::Refused => 30,
            Outcome::Failed => 40,
            Outcome::Attention => 50,
        }
    }
}

/// The schema level before and after, and the floor after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Levels {
    /// Schema level at the start.
    pub from: i32,
    /// Schema level at the end.
    pub to: i32,
    /// The lowest app level that may serve.
    pub floor: i32,
}

/// The summary of one run.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The service.
    pub service: &'static str,
    /// The phase that was asked for.
    pub phase: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// Levels of the database.
    pub schema: Levels,
    /// What this build relies on.
    pub app_level: i32,
    /// Labels of the files that this run applied.
    pub applied: Vec<String>,
    /// Later phases with files of this build that are not applied.
    pub pending: Vec<&'static str>,
    /// Phases that an image need not have and this one has; told by `plan` and `expand`.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub offers: &'static [&'static str],
    /// Rows that a mask changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub masked_rows: Option<u64>,
    /// One sentence for people.
    pub message: String,
    /// What `plan` and `status` print instead of the summary.
    #[serde(skip)]
    pub detail: Option<Value>,
}

impl Report {
    /// The summary of a run of which nothing is known yet.
    pub fn new(set: &Set, phase: Phase) -> Report {
        Report {
            service: set.service.name(),
            phase: phase.name(),
            outcome: Outcome::Nothing,
            schema: Levels::default(),
            app_level: set.app_level,
            applied: Vec::new(),
            pending: Vec::new(),
            offers: match phase {
                Phase::Plan | Phase::Expand => &Phase::OFFERED,
                _ => &[],
            },
            masked_rows: None,
            message: String::new(),
            detail: None,
        }
    }

    /// Notes what was found at the start; `None` when there is no ledger yet.
    pub(super) fn start(&mut self, known: Option<&Known>) {
        let window = known.map(|known| known.window).unwrap_or_default();
        self.schema = Levels {
            from: window.schema_level,
            to: window.schema_level,
            floor: window.min_app_level,
        };
    }

    /// Notes a file as applied.
    pub fn applied(&mut self, label: String) {
        tracing::info!(file = label, "applied");
        self.applied.push(label);
        self.outcome = Outcome::Done;
    }

    /// Notes how many rows a mask changed.
    pub(super) fn masked(&mut self, rows: u64) {
        self.masked_rows = Some(rows);
        if rows > 0 {
            self.outcome = Outcome::Done;
        }
    }

    /// What a run without an error says to people.
    pub(super) fn good_news(&self) -> String {
        let Levels { from, to, floor } = self.schema;
        let (service, phase) = (self.service, self.phase);
        match self.masked_rows {
            Some(0) => {
                return format!(
                    "nothing to do: {service} holds no personal data that is not masked"
                );
            }
            Some(rows) => return format!("masked personal data in {rows} row(s) of {service}"),
            None => {}
        }
        match self.applied.len() {
            0 => format!(
                "nothing to do: phase {phase} of {service} is complete at schema level {to}, floor {floor}"
            ),
            count => format!(
                "applied {count} file(s) of phase {phase} of {service}: schema level {from} to {to}, floor {floor}"
            ),
        }
    }

    /// What goes to standard output: the detail of a phase that only looks, else the summary.
    pub fn printed(&self) -> String {
        match &self.detail {
            Some(detail) => format!("{detail:#}"),
            None => self.summary(),
        }
    }

    /// The summary as JSON that fits into a termination message: the sentence is cut first, then the list of files.
    pub fn summary(&self) -> String {
        let mut short = self.clone();
        loop {
            let text =
                serde_json::to_string(&short).expect("a report has only strings and numbers");
            if text.len() <= LIMIT {
                return text;
            }
            if short.message.chars().count() > 500 {
                short.message = short.message.chars().take(499).chain(['…']).collect();
            } else if short.applied.pop().is_none() {
                short.message.clear();
            }
        }
    }

    /// Writes the summary where Kubernetes looks for it: into a file that is there. In `/dev` of a machine none is made.
    pub fn leave(&self, path: &Path) {
        let file = OpenOptions::new()
            .write(true)
            .truncate(true)
            .create(!path.starts_with("/dev"))
            .open(path);
        if let Err(error) = file.and_then(|mut file| file.write_all(self.summary().as_bytes())) {
            tracing::debug!(path = %path.display(), %error, "no termination message is kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Service;

    fn report() -> Report {
        let set = Set {
            service: Service::Customer,
            app_level: 2,
            migrations: Vec::new(),
        };
        let mut report = Report::new(&set, Phase::Expand);
        report.applied("0002_contact_email.expand".to_owned());
        report.pending = vec!["backfill"];
        report
    }

    #[test]
    fn says_what_the_delivery_contract_asks_for() {
        let mut report = report();
        report.message = "done".to_owned();
        assert_eq!(
            report.summary(),
            r#"{"service":"customer","phase":"expand","outcome":"done","schema":{"from":0,"to":0,"floor":0},"appLevel":2,"applied":["0002_contact_email.expand"],"pending":["backfill"],"offers":["mask"],"message":"done"}"#
        );
    }

    #[test]
    fn fits_into_a_termination_message_whatever_happened() {
        let mut report = report();
        report.message = "ü\"".repeat(5000);
        report.applied = vec!["0001_a_long_name.expand".to_owned(); 500];
        let summary = report.summary();
        assert!(summary.len() <= LIMIT, "{} bytes", summary.len());
        let read: Value = serde_json::from_str(&summary).unwrap();
        assert_eq!(read["pending"][0], "backfill");
        assert!(read["message"].as_str().unwrap().starts_with("ü\""));
    }
}
