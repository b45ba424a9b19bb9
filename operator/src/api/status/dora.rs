//! What the four figures of DORA are made of, and the figures. Definitions: `docs/delivery-metrics.md`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::VALUE_LIMIT;

/// A release that the spec asks for.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// Generation of the spec.
    pub generation: i64,
    /// Id of the release, once its images are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// When the spec was first seen to ask for it.
    pub at: Time,
    /// When its images were known; absent once it has begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<Time>,
    /// Since when `spec.paused` keeps it from beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_since: Option<Time>,
    /// The value of an annotation that asks to skip its gate and waits until it begins: it speaks of nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = VALUE_LIMIT))]
    pub skip_gate: Option<String>,
}

/// What was delivered on one day.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryDay {
    /// The day, in UTC, as `2026-01-31`.
    #[schemars(length(max = 10))]
    pub day: String,
    /// Releases that came to serve because the spec asked for them.
    #[serde(default, skip_serializing_if = "is_none")]
    pub deployments: i64,
    /// Sum of their lead times, in seconds.
    #[serde(default, skip_serializing_if = "is_none")]
    pub lead_seconds: i64,
    /// Releases that were taken back from their roll-out or verification.
    #[serde(default, skip_serializing_if = "is_none")]
    pub taken_back: i64,
    /// Releases that had served and that a person went back from.
    #[serde(default, skip_serializing_if = "is_none")]
    pub rolled_back: i64,
    /// Failures after which an earlier release served everything again.
    #[serde(default, skip_serializing_if = "is_none")]
    pub restored: i64,
    /// Sum of the times that this took, in seconds.
    #[serde(default, skip_serializing_if = "is_none")]
    pub restore_seconds: i64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_none(count: &i64) -> bool {
    *count == 0
}

/// The four figures. Those of which there is nothing to tell are absent.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Dora {
    /// Last day of the window, in UTC.
    #[schemars(length(max = 10))]
    pub through: String,
    /// Length of the window, in days.
    pub days: i64,
    /// Releases that came to serve because the spec asked for them.
    pub deployments: i64,
    /// The same for each day, decimal.
    pub deployments_per_day: String,
    /// Mean of the times from when the spec was first seen to ask for a release until it served, decimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lead_time_seconds: Option<String>,
    /// Share of the releases that met live traffic and were taken back or gone back from, decimal, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change_failure_rate: Option<String>,
    /// Mean of the times until an earlier release served everything again, decimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_to_restore_seconds: Option<String>,
}
