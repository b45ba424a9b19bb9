//! How a test ended: its exit code, the counts of its report, and its own last words.
//!
//! In: a pod whose test has ended. Out: an [`Ending`]. What the JUnit files say counts before what the test says of itself; where both speak, a failure in either is one.

use super::performance;
use super::summary::Summary;
use super::{Ending, said, tail};
use crate::api::status::{Report, Verdict};
use crate::desired::job::UNCLEAR;
use crate::desired::report::CONTAINER;
use crate::observed::{ContainerState, PodView};
use crate::report::Collected;

/// What is asked of a test.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// Whether a report is declared.
    pub report: bool,
    /// Fewest tests in it.
    pub min_tests: i32,
    /// Percent by which the candidate may be slower than stable, of a test that compares them.
    pub budget: Option<i32>,
}

/// Judges a test that ended with `code` and these last words.
pub(super) fn ended(pod: &PodView, (code, words): (i32, &str), asked: Asked) -> Ending {
    let summary = Summary::read(words);
    let told = summary.as_ref().and_then(Summary::report);
    let otherwise = match (summary.is_none(), words.trim().is_empty()) {
        (true, false) => format!(": {}", tail(words)),
        _ => String::new(),
    };
    if UNCLEAR.contains(&code) {
        let otherwise = match otherwise.as_str() {
            "" => format!("exit code {code}: it could not run, see its log"),
            words => format!("exit code {code}{words}"),
        };
        return Ending {
            report: told,
            ..Ending::inconclusive(said(summary.as_ref(), otherwise))
        };
    }
    let collected = match asked.report.then(|| collected(pod)).transpose() {
        Ok(collected) => collected,
        Err(why) => {
            return Ending {
                report: told,
                ..Ending::inconclusive(format!("exit code {code}, but {why}"))
            };
        }
    };
    if let Some(why) = collected.as_ref().and_then(|all| all.unreadable.as_ref()) {
        let message = format!("exit code {code}, but its report cannot be read: {why}");
        return Ending {
            report: collected.as_ref().map(Collected::report),
            ..Ending::new(Verdict::Failed, message)
        };
    }
    // No file at all: an image may tell its counts in its termination message.
    let collected = collected.filter(|all| all.files > 0);
    let report = match (collected.as_ref().map(Collected::report), told) {
        (Some(counted), Some(told)) if told.fails() && !counted.fails() => Some(told),
        (Some(counted), _) => Some(counted),
        (None, told) => told,
    };
    let ending = counted(code, report, (asked, &otherwise));
    match asked.budget {
        Some(budget) => {
            let told = summary.and_then(|summary| summary.performance);
            performance::judged(ending, told, budget)
        }
        None => ending,
    }
}

/// Judges exit code and counts.
fn counted(code: i32, report: Option<Report>, (asked, otherwise): (Asked, &str)) -> Ending {
    let failed = |message: String| Ending::new(Verdict::Failed, message);
    let least = asked.min_tests.max(1);
    let mut ending = match (code, &report) {
        (0, None) if asked.report => failed(format!(
            "exit code 0, but no report: neither files in $CRM_REPORT_DIR nor counts in its termination message{otherwise}"
        )),
        (0, Some(report)) if !report.adds_up() => failed(format!(
            "exit code 0, but its report does not add up: {report:?}"
        )),
        (0, Some(report)) if report.fails() => {
            failed(format!("exit code 0, but {}", report.failures()))
        }
        (0, Some(report)) if report.passed < least => failed(format!(
            "exit code 0, but only {} of {} tests passed, at least {least} are asked for",
            report.passed, report.tests,
        )),
        (0, Some(report)) => Ending::new(
            Verdict::Passed,
            format!("{} of {} tests passed", report.passed, report.tests),
        ),
        (0, None) => Ending::new(Verdict::Passed, "exit code 0".to_owned()),
        (_, Some(report)) if report.fails() => failed(report.failures()),
        (code, Some(report)) => failed(format!(
            "exit code {code}, although its report tells of no failure in {} tests{otherwise}",
            report.tests
        )),
        (code, None) => failed(format!("exit code {code}{otherwise}")),
    };
    ending.report = report;
    ending
}

/// What the container beside the test has collected, or why it has not.
fn collected(pod: &PodView) -> Result<Collected, String> {
    let why = match &pod.collector {
        ContainerState::Terminated {
            exit_code: 0,
            message,
            ..
        } => match Collected::read(message) {
            Some(collected) => return Ok(collected),
            None => "left no summary".to_owned(),
        },
        ContainerState::Terminated {
            exit_code,
            reason,
            message,
            ..
        } => {
            let why = [reason.as_str(), tail(message)].join(" ");
            format!("ended with exit code {exit_code}: {}", why.trim())
        }
        ContainerState::Waiting { reason, message } => format!("does not run: {reason}: {message}"),
        ContainerState::Running => "has not ended".to_owned(),
        ContainerState::Unknown => "was not seen".to_owned(),
    };
    Err(format!(
        "the container {CONTAINER}, which reads its report, {why}"
    ))
}

impl Collected {
    /// The counts as the status keeps them.
    fn report(&self) -> Report {
        Report {
            tests: self.tests,
            passed: self.passed,
            failed: self.failed,
            skipped: self.skipped,
            errored: self.errored,
            duration_milliseconds: Some(self.duration_milliseconds),
            first_failures: super::summary::told(&self.first_failures),
            performance: None,
        }
    }
}

impl Report {
    /// Whether a case did not pass.
    fn fails(&self) -> bool {
        self.failed > 0 || self.errored > 0
    }

    fn failures(&self) -> String {
        format!(
            "{} of {} tests did not pass: {}",
            self.failed.saturating_add(self.errored),
            self.tests,
            self.first_failures.join("; ")
        )
    }

    /// Whether its counts can be those of a run.
    fn adds_up(&self) -> bool {
        let parts = [self.passed, self.failed, self.skipped, self.errored];
        let sum: i64 = parts.iter().map(|part| i64::from(*part)).sum();
        parts.iter().all(|part| *part >= 0) && sum <= i64::from(self.tests)
    }
}
