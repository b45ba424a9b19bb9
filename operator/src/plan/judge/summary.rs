//! The words of a container: its termination message, of which every field may be missing. What is kept of them is bounded.

use serde::Deserialize;

use crate::api::status::Report;
use crate::report::{FailedCase, clipped};

/// Failed cases kept.
const FAILURES_KEPT: usize = 5;

/// Words of `offers` kept.
const OFFERS_KEPT: usize = 8;

/// Levels in the termination message of a migration.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct SchemaSummary {
    pub from: Option<i64>,
    pub to: Option<i64>,
    pub floor: Option<i64>,
}

/// The dump in the termination message of a backup.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct BackupSummary {
    pub bytes: i64,
    pub sha256: String,
}

impl BackupSummary {
    /// Whether it can be that of a dump.
    pub fn is_sound(&self) -> bool {
        let digits = self.sha256.bytes().all(|digit| digit.is_ascii_hexdigit());
        self.bytes > 0 && self.sha256.len() == 64 && digits
    }
}

/// The termination message of a test or migration; every field may be missing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Summary {
    pub message: Option<String>,
    tests: Option<i32>,
    passed: i32,
    failed: i32,
    skipped: i32,
    errored: i32,
    first_failures: Vec<FailedCase>,
    pub schema: Option<SchemaSummary>,
    pub app_level: Option<i64>,
    pub pending: Option<Vec<String>>,
    pub offers: Vec<String>,
    pub backup: Option<BackupSummary>,
    /// Read where it is asked for only: it must not spoil the rest.
    pub performance: Option<serde_json::Value>,
}

impl Summary {
    /// Reads a termination message; nothing when it is not one of the delivery contract.
    pub fn read(message: &str) -> Option<Self> {
        let mut summary: Self = serde_json::from_str(message.trim()).ok()?;
        summary.offers.truncate(OFFERS_KEPT);
        Some(summary)
    }

    /// The counts of a test.
    pub fn report(&self) -> Option<Report> {
        Some(Report {
            tests: self.tests?,
            passed: self.passed,
            failed: self.failed,
            skipped: self.skipped,
            errored: self.errored,
            duration_milliseconds: None,
            first_failures: told(&self.first_failures),
            performance: None,
        })
    }
}

/// Failed cases as the status keeps them.
pub(super) fn told(cases: &[FailedCase]) -> Vec<String> {
    let cases = cases.iter().take(FAILURES_KEPT);
    cases
        .map(|case| clipped(&format!("{}: {}", case.name, case.message), 160))
        .collect()
}
