//! The history of releases: what the status keeps of each release, stage and Job. Bounded, and nothing of it secret.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{DeliverySums, Finding, Intervention, ServiceImage, Stage, Verdict};

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
    /// When it was begun.
    pub started_at: Time,
    /// When the spec was first seen to ask for it: lead time counts from here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Time>,
    /// When it was decided: serving, rejected or superseded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// How it was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Why, if it did not pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finding: Option<Finding>,
    /// Fingerprints of the keys that signed its images, where the operator's configuration asked for signatures when it began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signed_by: Vec<String>,
    /// Seconds and money so far, by the formulas of the delivery model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliverySums>,
    /// Release that served before it and had the same code, whose gate counts for this one too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_of: Option<String>,
    /// What people did to it by annotations, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interventions: Vec<Intervention>,
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
    /// When it began; when it had to wait for people before that, the end of the wait.
    pub started_at: Time,
    /// Since when it waits for people (a pause, an approval, the end of a freeze window) before it begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_since: Option<Time>,
    /// Seconds that it waited for people, before it began and while it was held; counted in no formula.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub human_wait_seconds: Option<i64>,
    /// When what it needed was there: images known (Resolve), candidate pods ready (Gate), pods ready for the first share of the requests (Rollout).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_at: Option<Time>,
    /// When its verdict was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// Seconds in which Jobs of it waited for their containers and none ran; of Resolve, in which the platform was not at rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queued_seconds: Option<i64>,
    /// Its other seconds; of Optimise only those of its Jobs, for the soak is no work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running_seconds: Option<i64>,
    /// What a reader should know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Groups of its Jobs that have all passed: phases of the rehearsal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed: Vec<String>,
    /// The Jobs it ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<JobRecord>,
    /// Price of the pods it needed, decimal; while it runs, of Jobs that are not listed any more.
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
    /// Counts the Jobs made for this step, from 1; from 101 when the release is tried for the second time, and so on.
    pub attempt: i32,
    /// How it ended; absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// When the Job was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queued_at: Option<Time>,
    /// When its pod began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When its pod ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// When the report of a test was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_at: Option<Time>,
    /// Counts of a test.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
    /// What it said, or why it did not pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The last lines of its log when it did not pass, up to 1 KiB; kept for the last three such Jobs. More of it is kept as `keptBytes` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1100))]
    pub log_tail: Option<String>,
    /// Compressed bytes of its whole report (`<stage>-<step>-<attempt>.xml.gz`) and of the end of its log (`.log.gz`) in the ConfigMap
    /// `<platform>-<release>-reports`; absent when nothing of it is kept there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_bytes: Option<i64>,
    /// One CamelCase word where the cause is a known one, for example `BelowSchemaFloor`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Phases its termination message named as still to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending: Option<Vec<String>>,
    /// Phases beyond the usual ones that its image offers, for example `mask`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offers: Vec<String>,
    /// Price of its pods, decimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
    /// Since when the Job itself, or any pod of it, has not been seen although there should be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unseen_since: Option<Time>,
}

/// Counts of a test run: of the cases in its JUnit files, or from its termination message when it left none.
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
    /// What its cases took, summed up; absent when it left no JUnit file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_milliseconds: Option<i64>,
    /// The first cases that did not pass, each with what went wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub first_failures: Vec<String>,
    /// How fast candidate and stable were, of a test that compares them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub performance: Option<Performance>,
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

/// How fast the two releases were in a test with `when: [Performance]`, by its own words.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Performance {
    /// Milliseconds within which 95 of 100 requests to stable were answered, decimal.
    pub stable_p95_milliseconds: String,
    /// The same of the candidate.
    pub candidate_p95_milliseconds: String,
    /// By how many percent the candidate's might be above stable's.
    pub max_regression_percent: i32,
    /// The same of parts of the test, for example each service, at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PerformancePart>,
}

/// How fast the two releases were in one part of such a test.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PerformancePart {
    /// Which part.
    pub name: String,
    /// p95 of stable in milliseconds, decimal.
    pub stable_p95_milliseconds: String,
    /// p95 of the candidate in milliseconds, decimal.
    pub candidate_p95_milliseconds: String,
}

/// A release that is not tried again by itself.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
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
    /// Since when the spec asks for another release. From then on a spec that asks for this one again is followed; 30 days later this entry goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_at: Option<Time>,
}
