//! How a release proceeds: deadlines, the soak, and who or what may hold it back.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::StrategySpec;

/// How a release proceeds.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseSpec {
    /// Seconds a release must have served before old columns and tables are dropped (`contract`); 600 when left out.
    #[serde(default = "default_soak")]
    #[schemars(range(min = 0, max = 2_592_000))]
    pub soak_seconds: i32,
    /// Seconds within which the pods of a service must become ready; after that the release has failed. What the API server denies (a quota, a policy of the cluster) is tried for as long; then the release is held, or taken back. 600 when left out.
    #[serde(default = "default_progress_deadline")]
    #[schemars(range(min = 10, max = 86_400))]
    pub progress_deadline_seconds: i32,
    /// `Automatic` (when left out): a release whose tests have passed goes on by itself. `Manual`: it waits for the annotation `crmplatform.io/approve`.
    #[serde(default)]
    pub approval: Approval,
    /// Windows in which nothing live is changed: a release is rehearsed and tested, and then waits for the end of the window or for the annotation
    /// `crmplatform.io/approve`, which counts for the window in which it is given. A stage that has begun is finished, and a roll-out is verified.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub freeze: Vec<FreezeSpec>,
    /// How live traffic goes over to a new release. It is no part of the release: another type counts from the next
    /// roll-out on, other steps from the next step on.
    #[serde(default)]
    pub strategy: StrategySpec,
}

/// Who lets a tested release go on.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Approval {
    /// Nobody has to.
    #[default]
    Automatic,
    /// A person.
    Manual,
}

/// A time in which nothing live is changed.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct FreezeSpec {
    /// When it begins, five fields of cron: minute, hour, day of month, month, day of week. For example `0 18 * * 5`, Fridays at six in the evening.
    #[schemars(length(min = 9, max = 100))]
    pub schedule: String,
    /// How long it lasts, in minutes.
    #[schemars(range(min = 1, max = 44_640))]
    pub duration_minutes: i32,
    /// Time zone of the schedule, a name of the IANA database; UTC when left out.
    #[serde(default = "default_time_zone")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: String,
    /// Why; told to everybody who waits.
    #[schemars(length(min = 1, max = 200))]
    pub reason: String,
}

impl Default for ReleaseSpec {
    fn default() -> Self {
        Self {
            soak_seconds: default_soak(),
            progress_deadline_seconds: default_progress_deadline(),
            approval: Approval::default(),
            freeze: Vec::new(),
            strategy: StrategySpec::default(),
        }
    }
}

fn default_soak() -> i32 {
    600
}
fn default_progress_deadline() -> i32 {
    600
}
fn default_time_zone() -> String {
    "UTC".to_owned()
}
