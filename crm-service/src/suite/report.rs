//! What a run found: verdicts in; JUnit, the termination message and the exit code out.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::migrate::settings::termination_log;
use crate::service::Service;

/// Greatest termination message that Kubernetes keeps, in bytes.
const MAXIMUM_SUMMARY: usize = 4096;
/// Most failures in the summary, and characters of each.
const FIRST_FAILURES: usize = 5;
const MESSAGE_LENGTH: usize = 400;

/// How a case ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As promised.
    Passed,
    /// The service answered wrongly.
    Failed(String),
    /// The service was gone.
    Errored(String),
}

/// The results of a run.
pub struct Report {
    suite: &'static str,
    run: Uuid,
    started: Instant,
    elapsed: Duration,
    cases: Vec<(Service, String, Verdict, Duration)>,
    reason: Option<String>,
    /// What a suite measured, for the summary.
    performance: Option<Value>,
}

impl Report {
    /// Nothing run yet.
    pub fn new(suite: &'static str, run: Uuid) -> Report {
        Report {
            suite,
            run,
            started: Instant::now(),
            elapsed: Duration::ZERO,
            cases: Vec::new(),
            reason: None,
            performance: None,
        }
    }

    /// Adds a case.
    pub fn add(&mut self, service: Service, name: String, verdict: Verdict, elapsed: Duration) {
        self.cases.push((service, name, verdict, elapsed));
    }

    /// What was measured.
    pub fn measured(&mut self, performance: Value) {
        self.performance = Some(performance);
    }

    /// The run could not even begin.
    pub fn could_not_run(&mut self, reason: String) {
        self.reason = Some(reason);
    }

    /// Whether a target is gone, so that going on would only wait.
    pub fn is_broken_off(&self) -> bool {
        self.cases
            .iter()
            .any(|(_, _, verdict, _)| matches!(verdict, Verdict::Errored(_)))
    }

    fn count(&self, wanted: impl Fn(&Verdict) -> bool) -> usize {
        self.cases
            .iter()
            .filter(|(_, _, verdict, _)| wanted(verdict))
            .count()
    }

    fn passed(&self) -> usize {
        self.count(|verdict| *verdict == Verdict::Passed)
    }

    fn failed(&self) -> usize {
        self.count(|verdict| matches!(verdict, Verdict::Failed(_)))
    }

    fn errored(&self) -> usize {
        self.count(|verdict| matches!(verdict, Verdict::Errored(_)))
    }

    /// 0 all passed, 1 a case failed, 2 the suite could not run (to its end).
    pub fn exit_code(&self) -> u8 {
        match (self.failed(), self.errored(), &self.reason) {
            (1.., _, _) => 1,
            (0, 0, None) if self.passed() > 0 => 0,
            _ => 2,
        }
    }

    fn message(&self) -> String {
        let suite = self.suite;
        match (self.exit_code(), &self.reason) {
            (_, Some(reason)) => format!("the suite {suite} could not run: {reason}"),
            (0, None) => format!("all {} cases of the suite {suite} passed", self.cases.len()),
            (1, None) => format!(
                "{} of {} cases of the suite {suite} failed",
                self.failed(),
                self.cases.len()
            ),
            _ => format!("the suite {suite} was broken off: a service could no longer be reached"),
        }
    }

    /// Stops the clock.
    pub fn finish(&mut self) {
        self.elapsed = self.started.elapsed();
    }

    /// The summary of the delivery contract, in one line of at most 4096 bytes.
    pub fn summary(&self) -> String {
        (0..=FIRST_FAILURES)
            .rev()
            .map(|failures| self.summary_with(failures))
            .find(|summary| summary.len() <= MAXIMUM_SUMMARY)
            .expect("without failures the summary is short")
    }

    fn summary_with(&self, failures: usize) -> String {
        let first: Vec<Value> = self
            .failures()
            .take(failures)
            .map(|(name, message)| json!({"name": name, "message": clipped(message)}))
            .collect();
        let mut summary = json!({
            "suite": self.suite,
            "passed": self.passed(),
            "failed": self.failed(),
            "skipped": 0,
            "errored": self.errored(),
            "tests": self.cases.len(),
            "firstFailures": first,
            "runId": self.run,
            "seconds": (self.elapsed.as_secs_f64() * 1000.0).round() / 1000.0,
            "message": clipped(&self.message()),
        });
        if let Some(performance) = &self.performance {
            summary["performance"] = performance.clone();
        }
        summary.to_string()
    }

    fn failures(&self) -> impl Iterator<Item = (&str, &str)> {
        self.cases
            .iter()
            .filter_map(|(_, name, verdict, _)| match verdict {
                Verdict::Failed(message) | Verdict::Errored(message) => {
                    Some((name.as_str(), message.as_str()))
                }
                Verdict::Passed => None,
            })
    }

    /// Leaves the JUnit report and the termination message where the operator looks for them.
    pub fn leave(&self) {
        if let Some(folder) = std::env::var_os("CRM_REPORT_DIR") {
            let path = PathBuf::from(folder).join(format!("{}.xml", self.suite));
            let written = self
                .junit()
                .map_err(std::io::Error::other)
                .and_then(|text| fs::write(&path, text));
            if let Err(error) = written {
                tracing::error!(path = %path.display(), %error, "failed to write the JUnit report");
            }
        }
        let path = termination_log();
        let named = std::env::var_os("CRM_TERMINATION_LOG").is_some();
        // Outside Kubernetes the path is not there, and must not appear.
        let file = fs::OpenOptions::new()
            .write(true)
            .truncate(true)
            .create(named)
            .open(&path);
        if let Err(error) = file.and_then(|mut file| file.write_all(self.summary().as_bytes())) {
            tracing::debug!(path = %path.display(), %error, "no termination message is kept");
        }
    }

    fn junit(&self) -> Result<String, quick_junit::SerializeError> {
        let mut report = quick_junit::Report::new("crm-service");
        report.set_time(self.elapsed);
        for service in Service::ALL {
            let mut suite = TestSuite::new(format!("{}.{service}", self.suite));
            for (of, name, verdict, elapsed) in &self.cases {
                if *of == service {
                    suite.add_test_case(self.case(service, name, verdict, *elapsed));
                }
            }
            if !suite.test_cases.is_empty() {
                report.add_test_suite(suite);
            }
        }
        if let Some(reason) = &self.reason {
            let mut suite = TestSuite::new(self.suite);
            suite.add_test_case(TestCase::new(
                "starts",
                non_success(NonSuccessKind::Error, reason),
            ));
            report.add_test_suite(suite);
        }
        report.to_string()
    }

    fn case(&self, service: Service, name: &str, verdict: &Verdict, elapsed: Duration) -> TestCase {
        let status = match verdict {
            Verdict::Passed => TestCaseStatus::success(),
            Verdict::Failed(message) => non_success(NonSuccessKind::Failure, message),
            Verdict::Errored(message) => non_success(NonSuccessKind::Error, message),
        };
        let mut case = TestCase::new(name, status);
        case.set_classname(format!("{}.{service}", self.suite))
            .set_time(elapsed);
        case
    }
}

fn non_success(kind: NonSuccessKind, message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(message);
    status
}

fn clipped(message: &str) -> String {
    match message.char_indices().nth(MESSAGE_LENGTH) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(verdicts: Vec<Verdict>) -> Report {
        let mut report = Report::new("smoke", Uuid::nil());
        for verdict in verdicts {
            report.add(
                Service::Sales,
                "a case".to_owned(),
                verdict,
                Duration::from_millis(3),
            );
        }
        report
    }

    #[test]
    fn failed_and_could_not_run_are_told_apart() {
        assert_eq!(report(vec![Verdict::Passed]).exit_code(), 0);
        assert_eq!(
            report(vec![Verdict::Passed, Verdict::Failed("x".into())]).exit_code(),
            1
        );
        assert_eq!(
            report(vec![Verdict::Passed, Verdict::Errored("x".into())]).exit_code(),
            2
        );
        assert_eq!(
            report(vec![
                Verdict::Failed("x".into()),
                Verdict::Errored("x".into())
            ])
            .exit_code(),
            1
        );
        assert_eq!(
            report(vec![]).exit_code(),
            2,
            "a run without a case proves nothing"
        );
        let mut unable = report(vec![]);
        unable.could_not_run("no key".into());
        assert_eq!(unable.exit_code(), 2);
    }

    #[test]
    fn the_summary_fits_into_a_termination_message_whatever_fails() {
        let hostile = "\u{1}\"\\ü".repeat(5000);
        let report = report((0..50).map(|_| Verdict::Failed(hostile.clone())).collect());
        let summary: Value = serde_json::from_str(&report.summary()).unwrap();
        assert!(report.summary().len() <= MAXIMUM_SUMMARY);
        assert_eq!(summary["failed"], 50);
    }

    #[test]
    fn junit_carries_every_case_with_its_verdict() {
        let report = report(vec![
            Verdict::Passed,
            Verdict::Failed("wrong <sum>".into()),
            Verdict::Errored("gone".into()),
        ]);
        let parsed = quick_junit::Report::deserialize_from_str(&report.junit().unwrap()).unwrap();
        let suite = &parsed.test_suites[0];
        assert_eq!((suite.tests, suite.failures, suite.errors), (3, 1, 1));
    }
}
