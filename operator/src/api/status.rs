//! What the operator tells about a platform, and all it remembers between two looks at it.
//!
//! The fields of [`Memory`] are the release machine's state: they are written before the actions that rest on them are taken, so that an operator
//! killed at any moment goes on where it was. Must not hold anything secret.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest message of a finding, in characters.
const MESSAGE_LIMIT: usize = 1024;

/// State of a `CrmPlatform`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CrmPlatformStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What the operator is doing: a stage of the candidate, `Optimise`, `Serving`, `Held` or `Rejected`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// `Ready` (summary), `Reconciling` and `Stalled` (only while true), `TestsPassed`, `Migrated`, `Available`.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The release machine's memory.
    #[serde(flatten)]
    pub memory: Memory,
    /// Seconds and money of the last finished release, by the formulas `T = T_build + T_test + T_deploy` and `C = C_build + C_test + C_deploy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
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
    /// Tags of the spec and the digests they were resolved to, once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ResolvedImage>,
    /// The last releases, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub releases: Vec<ReleaseRecord>,
    /// The migrations applied to the live database, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schema: Vec<SchemaRecord>,
    /// Releases that failed and are not tried again by themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<Rejected>,
    /// Releases whose scratch database is still to be dropped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scratch: Vec<String>,
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
    /// Why it does not go on by itself; set when nothing could be found out about it. It waits for a changed spec.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<Finding>,
    /// Why all services are being returned to stable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub returning: Option<Finding>,
}

/// A stage of a release, in order.
#[derive(
    JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
pub enum Stage {
    /// Tags become digests.
    Resolve,
    /// The migrations run on a scratch database, contract included.
    Rehearse,
    /// Test Jobs run against candidate pods on the scratch database.
    Gate,
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
    pub const ALL: [Self; 7] = [
        Self::Resolve,
        Self::Rehearse,
        Self::Gate,
        Self::Migrate,
        Self::Rollout,
        Self::Verify,
        Self::Optimise,
    ];

    /// The name users see.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resolve => "Resolve",
            Self::Rehearse => "Rehearse",
            Self::Gate => "Gate",
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
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct ResolvedImage {
    /// As the spec has it.
    pub reference: String,
    /// The same image by digest.
    pub image: String,
}

/// History of one release.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseRecord {
    /// Release id.
    pub release: String,
    /// Generation of the spec that asked for it.
    pub generation: i64,
    /// Counts how often this release was tried, from 1; part of the numbers of its Jobs.
    #[serde(default = "one")]
    pub round: i32,
    /// When it was first seen.
    pub started_at: Time,
    /// When it was decided: serving, rejected or superseded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// How it was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Why, if it did not pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finding: Option<Finding>,
    /// Its stages so far.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub stages: Vec<StageRecord>,
}

fn one() -> i32 {
    1
}

/// History of one stage.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct StageRecord {
    /// Which stage.
    pub name: Stage,
    /// How it ended; absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// When it began.
    pub started_at: Time,
    /// When its verdict was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// What a reader should know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The Jobs it ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<JobRecord>,
    /// Price of the pods it needed, decimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
}

/// One Job and its verdict, kept after the Job is gone.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct JobRecord {
    /// What it does within its stage, for example `expand-customer` or the name of a test.
    pub step: String,
    /// Name of the Job.
    pub job: String,
    /// UID of the Job; the verdict holds for this object only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Counts the Jobs made for this step, from 1.
    pub attempt: i32,
    /// How it ended; absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// When its pod began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When its pod ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// Counts of a test.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
    /// What it said, or why it did not pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// One CamelCase word where the cause is a known one, for example `BelowSchemaFloor`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Phases its termination message named as still to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending: Option<Vec<String>>,
    /// Price of its pods, decimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
    /// Since when it has been seen without a pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub podless_since: Option<Time>,
}

/// Counts of a test run, from its termination message.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// All.
    pub tests: i32,
    /// Passed.
    pub passed: i32,
    /// Failed.
    pub failed: i32,
    /// Skipped.
    #[serde(default)]
    pub skipped: i32,
    /// Could not be run.
    #[serde(default)]
    pub errored: i32,
    /// The first cases that did not pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub first_failures: Vec<String>,
}

/// One migration of the live database.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SchemaRecord {
    /// Service whose schema it is.
    pub service: String,
    /// Phase.
    pub phase: String,
    /// Release that brought it.
    pub release: String,
    /// UID of the Job that did it.
    pub job_uid: String,
    /// When it was done.
    pub at: Time,
    /// Schema level before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<i64>,
    /// Schema level after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<i64>,
    /// The lowest application level the schema still serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<i64>,
}

/// A release that is not tried again by itself.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Rejected {
    /// Release id.
    pub release: String,
    /// Image digest per service.
    pub images: Vec<ServiceImage>,
    /// One CamelCase word.
    pub reason: String,
    /// What happened.
    pub message: String,
    /// When.
    pub at: Time,
}

/// Seconds and money of one release.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Delivery {
    /// Which release.
    pub release: String,
    /// Get, compile, create, package.
    pub build: BuildDelivery,
    /// Case, execute, record, analyse.
    pub test: TestDelivery,
    /// Install, configure, migrate, optimise.
    pub deploy: DeployDelivery,
    /// Sum of the three.
    pub total: Amount,
}

/// Parts of `T_build` and `C_build`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct BuildDelivery {
    /// Tags resolved to digests.
    pub get: Amount,
    /// No build runs in the cluster yet.
    pub compile: Amount,
    /// No build runs in the cluster yet.
    pub create: Amount,
    /// No build runs in the cluster yet.
    pub package: Amount,
    /// Sum.
    pub total: Amount,
}

/// Parts of `T_test` and `C_test`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct TestDelivery {
    /// Rehearsal and start of the candidate pods.
    pub case: Amount,
    /// Test Jobs of the gate, from the first start to the last end.
    pub execute: Amount,
    /// From the last end to the saved verdicts.
    pub record: Amount,
    /// From the saved verdicts to the end of the gate.
    pub analyse: Amount,
    /// Sum.
    pub total: Amount,
}

/// Parts of `T_deploy` and `C_deploy`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct DeployDelivery {
    /// Roll-out of the services.
    pub install: Amount,
    /// Verification against the live Services.
    pub configure: Amount,
    /// Expand, backfill and contract on the live database.
    pub migrate: Amount,
    /// The rest of Optimise without the soak.
    pub optimise: Amount,
    /// Sum.
    pub total: Amount,
}

/// Seconds and money.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Amount {
    /// Seconds, decimal.
    pub seconds: String,
    /// Money in the currency of the operator's price table, decimal.
    pub cost: String,
}

impl Default for Amount {
    fn default() -> Self {
        Self {
            seconds: "0".to_owned(),
            cost: "0".to_owned(),
        }
    }
}
