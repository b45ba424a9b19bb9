//! How far live traffic has gone over from stable to a candidate. Live pods stand in one of two slots; a BlueGreen or Canary release is made in the one that stable
//! does not use.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// All requests, in percent.
pub const ALL: i32 = 100;

/// Where live pods stand. Their label `crmplatform.io/slot` has its name in lower case.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Slot {
    /// Deployments called `<platform>-<service>`.
    #[default]
    Blue,
    /// Deployments called `<platform>-<service>-green`.
    Green,
}

/// How far live traffic has gone over to a candidate: from one share of the requests to the next, which is reached when all its pods are ready.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Shift {
    /// Where the candidate's live pods stand.
    pub slot: Slot,
    /// Percent of the requests that it had before.
    pub from: i32,
    /// Percent that it gets next, or has since `readyAt`. At 100 all Services are switched.
    pub weight: i32,
    /// Seconds for which it serves that share before its tests are run.
    #[serde(default)]
    pub seconds: i32,
    /// When that share was begun.
    pub since: Time,
    /// When all its pods were ready for that share; later by the time in which they were not any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_at: Option<Time>,
    /// Since when some of its pods are not ready any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unready_since: Option<Time>,
    /// How often pods of this release had been started again before.
    #[serde(default)]
    pub restarts: i32,
    /// Whether the share is made by the weights of the HTTPRoute; else by the number of pods.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub routed: bool,
}

impl Slot {
    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Blue => Self::Green,
            Self::Green => Self::Blue,
        }
    }

    /// As labels have it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Blue => "blue",
            Self::Green => "green",
        }
    }

    /// The slot of a label; the first one where there is none.
    pub fn of_label(label: &str) -> Self {
        if label == Self::Green.label() {
            Self::Green
        } else {
            Self::Blue
        }
    }
}

impl Shift {
    /// The same once pods that were not ready are ready again: for that time nothing was shown.
    pub fn recovered(self, now: Timestamp) -> Self {
        let Some((ready, unready)) = self.ready_at.clone().zip(self.unready_since.clone()) else {
            return self;
        };
        let later = ready.0.saturating_add(now.duration_since(unready.0));
        Self {
            ready_at: Some(Time(later.unwrap_or(now))),
            unready_since: None,
            ..self
        }
    }

    /// Whether the Services send it anything yet.
    pub fn has_traffic(&self) -> bool {
        self.from > 0 || self.ready_at.is_some()
    }

    /// Percent of the requests that it has by now.
    pub fn share(&self) -> i32 {
        match self.ready_at {
            Some(_) => self.weight,
            None => self.from,
        }
    }

    /// Whether it has all requests.
    pub fn is_over(&self) -> bool {
        self.weight == ALL && self.ready_at.is_some()
    }
}
