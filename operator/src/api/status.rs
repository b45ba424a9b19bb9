//! What the operator tells about a platform, and all it remembers between two looks at it.
//!
//! The fields of [`Memory`] are the release machine's state: they are written before the actions that rest on them are taken, so that an operator
//! killed at any moment goes on where it was. Must not hold anything secret.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod backup;
mod delivery;
mod dora;
mod history;
mod image_update;
mod shift;
mod size;
mod token;

pub use backup::{BackupRecord, ServiceLevel};
pub use delivery::{Amount, BuildDelivery, Delivery, DeliverySums, DeployDelivery, TestDelivery};
pub use dora::{Asked, DeliveryDay, Dora};
pub use history::{
    JobRecord, Performance, PerformancePart, Rejected, ReleaseRecord, Report, SchemaRecord,
    StageRecord,
};
pub use image_update::ImageUpdate;
pub use shift::{ALL, Shift, Slot};
#[cfg(test)]
pub use size::size;
pub use size::{STATUS_LIMIT, fits, shortened};
pub use token::{
    ACTOR_LIMIT, HandledToken, Intervention, LastHandled, REASON_LIMIT, Token, VALUE_LIMIT,
};

/// Longest message of a finding, in characters.
const MESSAGE_LIMIT: usize = 1024;

/// State of a `CrmPlatform`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CrmPlatformStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What the operator is doing: a stage of the candidate, `Held` or `Returning`; without a candidate `Resolve` (nothing serves yet), `Optimise`, `Serving` or
    /// `Rejected`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// `Ready` (summary), `Reconciling` and `Stalled` (only while true), `TestsPassed`, `Migrated`, `Available`, and `Exposed` with
    /// `spec.exposure`.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The release machine's memory.
    #[serde(flatten)]
    pub memory: Memory,
    /// Seconds and money of the release that serves, by the formulas `T = T_build + T_test + T_deploy` and `C = C_build + C_test + C_deploy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
    /// The four figures of DORA for this platform, over the 30 days up to the last one on which a release was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dora: Option<Dora>,
}

/// What the release machine must not forget.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// The release that serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable: Option<Stable>,
    /// The release that is being tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Candidate>,
    /// Tags of the spec and the digests they were resolved to, once; where images must be signed, also digests of the spec and who signed them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ResolvedImage>,
    /// The image that stands for `spec.image`, where `spec.imageUpdate` follows its tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_update: Option<ImageUpdate>,
    /// The last releases, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub releases: Vec<ReleaseRecord>,
    /// The migrations applied to the live database, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schema: Vec<SchemaRecord>,
    /// The dumps of the live database that are kept, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backups: Vec<BackupRecord>,
    /// Releases that failed and are not tried again by themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<Rejected>,
    /// Releases whose scratch database is still to be dropped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scratch: Vec<String>,
    /// What the spec asks for that does not serve yet, and since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
    /// What was delivered on the last days on which anything was, newest first. `dora` is made of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delivery_days: Vec<DeliveryDay>,
    /// The last annotation of each kind that was acted on; it acts once.
    #[serde(flatten)]
    pub last_handled: LastHandled,
}

/// The release that serves.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Stable {
    /// Release id.
    pub release: String,
    /// When it passed verification.
    pub since: Time,
    /// Image digest per service.
    pub images: Vec<ServiceImage>,
    /// Whether the stage Optimise (backfill, soak, contract) is over.
    #[serde(default)]
    pub optimised: bool,
    /// Whether a person let it go on without rehearsal and tests.
    #[serde(default, skip_serializing_if = "is_false")]
    pub untested: bool,
    /// Where its pods stand.
    #[serde(default)]
    pub slot: Slot,
}

/// The release that is being tried.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// Release id.
    pub release: String,
    /// Where it is.
    pub stage: Stage,
    /// When it entered that stage.
    pub since: Time,
    /// Generation of the spec that asked for it.
    pub generation: i64,
    /// Image digest per service.
    pub images: Vec<ServiceImage>,
    /// Why it does not go on by itself; set when nothing could be found out about it. It waits for a changed spec or a retry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<Finding>,
    /// Why all services are being returned to stable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub returning: Option<Finding>,
    /// Why it ends as soon as the migration that runs has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aborting: Option<Finding>,
    /// Whether a person let it go on: `approval: Manual` does not hold it back any more.
    #[serde(default, skip_serializing_if = "is_false")]
    pub approved: bool,
    /// End of the freeze window in which a person let it go on: that window does not hold it back, a later one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thawed_until: Option<Time>,
    /// Whether a person let it go on without rehearsal and tests, or it passed them before and is being rolled back to.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ungated: bool,
    /// Release that serves and has the same code, because this one differs only in the configuration of services: the gate and the migrations of that one count
    /// for this one too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_of: Option<String>,
    /// Set when a person asked for it with `rollback-to`, and not the spec: how the release that the spec asks for counts once this one serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Box<Rejected>>,
    /// How far live traffic has gone over to it, where the strategy is BlueGreen or Canary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shift: Option<Shift>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

/// A stage of a release, in order.
#[derive(
    JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
pub enum Stage {
    /// Tags become digests.
    Resolve,
    /// The live database is dumped. Entered only where the spec asks for it.
    Backup,
    /// The migrations run on a scratch database, contract included.
    Rehearse,
    /// Test Jobs run against candidate pods on the scratch database.
    Gate,
    /// Waits for a person, or for the end of a freeze window. Entered only when there is something to wait for.
    Approve,
    /// Expand on the live database while stable serves.
    Migrate,
    /// Services are rolled out in `dependsOn` order.
    Rollout,
    /// Test Jobs run against the live Services.
    Verify,
    /// Backfill, soak, contract, statistics.
    Optimise,
}

impl Stage {
    /// All stages in order.
    pub const ALL: [Self; 9] = [
        Self::Resolve,
        Self::Backup,
        Self::Rehearse,
        Self::Gate,
        Self::Approve,
        Self::Migrate,
        Self::Rollout,
        Self::Verify,
        Self::Optimise,
    ];

    /// The name users see.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resolve => "Resolve",
            Self::Backup => "Backup",
            Self::Rehearse => "Rehearse",
            Self::Gate => "Gate",
            Self::Approve => "Approve",
            Self::Migrate => "Migrate",
            Self::Rollout => "Rollout",
            Self::Verify => "Verify",
            Self::Optimise => "Optimise",
        }
    }
}

/// How a stage, a Job or a release ended.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Good.
    Passed,
    /// The candidate is bad.
    Failed,
    /// It could not be found out.
    Inconclusive,
    /// There was nothing to do, or it was not asked for.
    Skipped,
    /// A newer spec came.
    Superseded,
    /// A person stopped it.
    Aborted,
}

impl Finding {
    /// A finding whose message the API server accepts, however much the cluster had to say.
    pub fn new(reason: &str, message: impl AsRef<str>) -> Self {
        Self {
            reason: reason.to_owned(),
            message: message.as_ref().chars().take(MESSAGE_LIMIT).collect(),
        }
    }
}

impl Verdict {
    /// The name users see.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "Passed",
            Self::Failed => "Failed",
            Self::Inconclusive => "Inconclusive",
            Self::Skipped => "Skipped",
            Self::Superseded => "Superseded",
            Self::Aborted => "Aborted",
        }
    }
}

/// A reason for machines and its sentence for people.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// One CamelCase word.
    pub reason: String,
    /// What happened, to which object, what to do.
    #[schemars(length(max = MESSAGE_LIMIT))]
    pub message: String,
}

/// Image of one service.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct ServiceImage {
    /// Name of the service.
    pub service: String,
    /// Image by digest.
    pub image: String,
}

/// A reference of the spec and what the registry answered.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedImage {
    /// As the spec has it.
    pub reference: String,
    /// The same image by digest.
    pub image: String,
    /// Fingerprint of the key that signed it, where the operator's configuration asks for signatures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
}
