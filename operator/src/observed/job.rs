//! The facts of a Job that a verdict may rest on: whose it is, what it runs, and its terminal condition (never its counters).

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::jiff::Timestamp;

use super::{controller, label};
use crate::desired::{fingerprint, labels};

/// A Job as seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobView {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// UID of the controlling owner.
    pub owner: String,
    /// Release label.
    pub release: String,
    /// Stage label.
    pub stage: String,
    /// Hash over what its containers run.
    pub fingerprint: String,
    /// Its terminal condition.
    pub end: Option<JobEnd>,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// When its terminal condition was set.
    pub ended: Option<Timestamp>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether it works on the live database, so that a newer spec must not stop it.
    pub live_migration: bool,
}

/// The terminal condition of a Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobEnd {
    /// `Complete=True`.
    Complete,
    /// `Failed=True` with reason and message.
    Failed {
        /// For example `BackoffLimitExceeded`, `DeadlineExceeded`, `PodFailurePolicy`.
        reason: String,
        /// Its controller's words.
        message: String,
    },
}

impl From<&Job> for JobView {
    fn from(job: &Job) -> Self {
        let metadata = &job.metadata;
        let terminal = job
            .status
            .iter()
            .flat_map(|status| status.conditions.iter().flatten())
            .find(|condition| {
                condition.status == "True"
                    && matches!(condition.type_.as_str(), "Complete" | "Failed")
            });
        Self {
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
            owner: controller(metadata),
            release: label(metadata, labels::RELEASE),
            stage: label(metadata, labels::STAGE),
            fingerprint: fingerprint(job),
            end: terminal.map(|condition| match condition.type_.as_str() {
                "Complete" => JobEnd::Complete,
                _ => JobEnd::Failed {
                    reason: condition.reason.clone().unwrap_or_default(),
                    message: condition.message.clone().unwrap_or_default(),
                },
            }),
            created: metadata.creation_timestamp.as_ref().map(|time| time.0),
            ended: terminal
                .and_then(|condition| condition.last_transition_time.as_ref())
                .map(|time| time.0),
            deleting: metadata.deletion_timestamp.is_some(),
            live_migration: label(metadata, labels::TRACK) == labels::LIVE_MIGRATION,
        }
    }
}
