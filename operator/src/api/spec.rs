//! What a user may ask for: the spec of a `CrmPlatform`, bounded and checked by the API server itself.
//!
//! Every string, list and map has a limit, so that the rules stay within the API server's cost budget. No field names a namespace for our objects, a service
//! account or a pod template: whoever writes a `CrmPlatform` gets no more power over pods than these fields give.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::status::CrmPlatformStatus;

mod database;
mod exposure;
mod image_update;
mod network;
mod release;
mod strategy;

pub use database::{
    BackupPolicy, BackupSpec, DatabaseSpec, EmbeddedDatabaseSpec, RehearsalData, RehearsalSpec,
};
pub use exposure::{AutoscalingSpec, ExposureSpec, GatewaySpec, IngressSpec};
pub use image_update::ImageUpdateSpec;
pub use network::{EgressSpec, NetworkPolicies, NetworkSpec, PeerSpec};
pub use release::{Approval, FreezeSpec, ReleaseSpec};
pub use strategy::{CanaryStep, StrategySpec, StrategyType};

/// A CRM that is delivered safely: its services, database, tests and release rules. A new image reaches live traffic only after
/// test Jobs have passed for exactly that image.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "crmplatform.io",
    version = "v1alpha1",
    kind = "CrmPlatform",
    doc = "A CRM of several services on one database, released only after its tests have passed in the cluster for exactly the images that are rolled out.",
    namespaced,
    status = "CrmPlatformStatus",
    shortname = "crmp",
    category = "crm",
    derive = "PartialEq",
    validation = Rule::new("self.metadata.name.size() <= 30 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')").message("metadata.name must have at most 30 characters, start with a letter and hold only lower case letters, digits and '-': it begins the names of Services and Jobs"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status", description = "Whether the release that the spec asks for serves"),
    printcolumn(name = "Stage", type_ = "string", json_path = ".status.stage", description = "What the operator is doing"),
    printcolumn(name = "Release", type_ = "string", json_path = ".status.stable.release", description = "The release that serves"),
    printcolumn(name = "Candidate", type_ = "string", json_path = ".status.candidate.release", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].message", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("size(self.tests) > 0 || self.gate == 'None'").message("spec.tests is empty: add a test with when: [Gate], or set spec.gate to None to roll out untested images"),
    validation = Rule::new("self.gate == 'None' || size(self.tests) == 0 || self.tests.exists(t, 'Gate' in t.when)").message("no entry of spec.tests has when: [Gate]: add one, or set spec.gate to None to roll out untested images"),
    validation = Rule::new("has(self.image) || self.services.all(s, has(s.image))").message("spec.image is not set and a service has no image of its own: set spec.image, or services[].image for every service"),
    validation = Rule::new("!has(self.imageUpdate) || (has(self.image) && self.image.matches(':v?[0-9]+[.][0-9]+[.][0-9]+(-[0-9A-Za-z.-]+)?$'))").message("spec.imageUpdate begins at the tag of spec.image, which is not a version of three numbers: write it as repository:1.4.0 and without a digest, or remove spec.imageUpdate"),
    validation = Rule::new("has(self.image) || self.tests.all(t, has(t.image) || has(t.service))").message("spec.image is not set and a test has no image of its own: set spec.image, or tests[].image or tests[].service for every test"),
    validation = Rule::new("self.tests.all(t, !has(t.service) || self.services.exists(s, s.name == t.service))").message("spec.tests[].service must name a service of this platform"),
    validation = Rule::new("self.deletionPolicy == oldSelf.deletionPolicy || self.deletionPolicy == 'Delete'").message("spec.deletionPolicy cannot go from Delete to Retain: the passwords of the embedded database would still be deleted; make a new platform and restore a backup into it"),
    validation = Rule::new("self.release.strategy.type != 'Canary' || self.gate == 'None' || self.tests.exists(t, 'Verify' in t.when)").message("a Canary is tested in each step, and no entry of spec.tests has when: [Verify]: add one, or choose another strategy"),
    validation = Rule::new("!self.tests.exists(t, 'Performance' in t.when) || !self.services.exists(s, s.name.startsWith('stable-'))").message("a test with when: [Performance] finds stable at CRM_STABLE_<SERVICE>_URL, and the name of a service begins with stable-: rename the service, or leave the test out"),
    validation = Rule::new("self.services.all(s, !has(s.dependsOn) || s.dependsOn.all(d, d != s.name && self.services.exists(o, o.name == d)))").message("spec.services[].dependsOn must name other services of this platform")
)]
pub struct CrmPlatformSpec {
    /// Image used by every service, test and migration that neither names its own nor, as a test, that of a service. A tag is resolved to a digest once; that digest is tested,
    /// migrated and deployed. All different references by tag of a platform have at most 1,024 characters together.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500), regex(pattern = "^[^ \\t\\n]+$"))]
    pub image: Option<String>,

    /// Lets newer tags of the repository of `spec.image` become releases by themselves. Left out: only a changed spec does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_update: Option<ImageUpdateSpec>,

    /// The services of the CRM, at least one.
    #[schemars(length(min = 1, max = 10))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub services: Vec<ServiceSpec>,

    /// The one database of the platform: exactly one of `embedded` and `secret`.
    pub database: DatabaseSpec,

    /// Test Jobs. A release is rolled out only after all tests with `when: [Gate]` have passed for exactly its images.
    #[serde(default)]
    #[schemars(length(max = 10))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub tests: Vec<TestSpec>,

    /// `Required` (when left out): no roll-out without passed tests. `None`: roll out without tests; the status says so for as long as it is set.
    #[serde(default)]
    pub gate: GatePolicy,

    /// How a release proceeds.
    #[serde(default)]
    pub release: ReleaseSpec,

    /// How the platform is reached from outside, once a release serves; not at all when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposure: Option<ExposureSpec>,

    /// Which connections its pods may have.
    #[serde(default)]
    pub network: NetworkSpec,

    /// While true nothing new begins: a stage that runs is finished (a roll-out with its verification, a migration), the next one does not begin, and what is
    /// live is not touched, also not mended. For restores and other work by hand; `false` when left out.
    #[serde(default)]
    pub paused: bool,

    /// What happens to the embedded database's volume and passwords, and to the volume of the backups, when the platform is deleted. `Retain` (when left
    /// out): they stay, and a platform of the same name takes them up again. `Delete`: they go, backups too; of what was made before it was set, the Secrets
    /// `<name>-db` and `<name>-db-app` and the volume `<name>-backup` stay and are removed by hand.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// One microservice.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.autoscaling) || 'cpu' in self.resources.requests").message("autoscaling compares with what a container requests: set resources.requests.cpu of this service"))]
pub struct ServiceSpec {
    /// Name of the service; its Service is called `<platform>-<name>`, its Deployment too, or `<platform>-<name>-green`.
    #[schemars(
        length(min = 1, max = 20),
        regex(pattern = "^[a-z]([-a-z0-9]*[a-z0-9])?$")
    )]
    #[x_kube(validation = Rule::new("self != 'postgres' && !self.endsWith('-postgres')").message("a service cannot be called postgres or end in -postgres: its address would be that of an embedded database"), validation = Rule::new("!['green', 'preview'].exists(word, self == word || self.endsWith('-' + word))").message("a service cannot be called green or preview or end in one of them: its objects would be those of another service"))]
    pub name: String,

    /// Image of this service, if not `spec.image`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500), regex(pattern = "^[^ \\t\\n]+$"))]
    pub image: Option<String>,

    /// Arguments of the container that serves.
    #[serde(default)]
    #[schemars(length(max = 32), inner(length(max = 1024)))]
    pub args: Vec<String>,

    /// Port on which the container serves HTTP, `/livez` and `/readyz` included; 8080 when left out.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1024, max = 65535))]
    pub port: i32,

    /// Number of pods; 2 when left out. Changing it scales at once, without a release.
    #[serde(default = "default_replicas")]
    #[schemars(range(min = 1, max = 100))]
    pub replicas: i32,

    /// How many pods it has by its load, in place of `replicas`; absent: it does not change by itself. Once it is taken away, `replicas` counts again, at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<AutoscalingSpec>,

    /// Where its live pods may connect to beside what the platform needs (a mail server, say), if `network.policies` limits that. A candidate never may.
    #[serde(default)]
    #[schemars(length(max = 8))]
    pub egress: Vec<EgressSpec>,

    /// Requests and limits of the container that serves; Jobs of the service use them too, and test Jobs those of the first
    /// service in `dependsOn` order.
    #[serde(default)]
    pub resources: ResourceSpec,

    /// Environment variables with plain values.
    #[serde(default)]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<EnvSpec>,

    /// Secrets of this namespace whose keys become environment variables. Each must carry the label `crmplatform.io/usable-by: <platform>`: without it no release begins.
    #[serde(default)]
    #[schemars(
        length(max = 8),
        inner(
            length(min = 1, max = 253),
            regex(pattern = "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")
        )
    )]
    pub secrets: Vec<String>,

    /// Services that must be rolled out before this one.
    #[serde(default)]
    #[schemars(length(max = 10), inner(length(max = 20)))]
    pub depends_on: Vec<String>,

    /// How the service migrates its schema; absent when it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub migrate: Option<MigrateSpec>,

    /// How the service fills a scratch database with synthetic rows for the rehearsal; absent when it cannot. It has 300
    /// seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<SeedSpec>,
}

/// CPU and memory of a container.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ResourceSpec {
    /// What the scheduler sets aside, quantities such as `{cpu: 100m, memory: 64Mi}`; the cost of a release is computed from it.
    #[serde(default)]
    #[schemars(
        length(max = 4),
        extend("maxProperties" = 4, "additionalProperties" = quantity())
    )]
    pub requests: BTreeMap<String, String>,
    /// What the container may use at most, quantities such as `{memory: 256Mi}`.
    #[serde(default)]
    #[schemars(
        length(max = 4),
        extend("maxProperties" = 4, "additionalProperties" = quantity())
    )]
    pub limits: BTreeMap<String, String>,
}

/// One environment variable.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct EnvSpec {
    /// Name of the variable. Names that the operator sets itself (`CRM_...`, `PG...`, `DATABASE_URL`) are refused.
    #[schemars(
        length(min = 1, max = 108),
        regex(pattern = "^[A-Za-z_][A-Za-z0-9_]*$")
    )]
    #[x_kube(validation = Rule::new("!self.startsWith('CRM_') && !self.startsWith('PG') && self != 'DATABASE_URL'").message("this variable is set by the operator: choose a name that does not start with CRM_ or PG and is not DATABASE_URL"))]
    pub name: String,
    /// Its value.
    #[serde(default)]
    #[schemars(length(max = 4096))]
    pub value: String,
}

/// How a service migrates its schema. The container gets the phase in `CRM_PHASE`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MigrateSpec {
    /// Arguments of the migration container.
    #[schemars(length(max = 32), inner(length(max = 1024)))]
    pub args: Vec<String>,
    /// Seconds after which a migration Job that has not finished is stopped; after some such Jobs the release is held. 3600 when left out.
    #[serde(default = "default_migrate_deadline")]
    #[schemars(range(min = 10, max = 604_800))]
    pub deadline_seconds: i32,
}

/// How a service makes synthetic rows.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct SeedSpec {
    /// Arguments of the seeding container.
    #[schemars(length(max = 32), inner(length(max = 1024)))]
    pub args: Vec<String>,
}

/// One kind of test Job.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.minTests == 0 || has(self.report)").message("minTests counts the tests of a report: set report: JUnit too, or leave minTests out"),
    validation = Rule::new("!has(self.service) || !has(self.image)").message("a test of a service has that service's image: leave image or service out"),
    validation = Rule::new("!('Performance' in self.when) || size(self.when) == 1").message("a test with Performance in its when needs two releases side by side, which the other phases do not have: make it an entry of its own"),
    validation = Rule::new("!has(self.maxRegressionPercent) || 'Performance' in self.when").message("maxRegressionPercent is the budget of a test with when: [Performance]: set that, or leave maxRegressionPercent out")
)]
pub struct TestSpec {
    /// Name of the test.
    #[schemars(
        length(min = 1, max = 20),
        regex(pattern = "^[a-z]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
    /// Image of the test, if neither `spec.image` nor that of a service.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500), regex(pattern = "^[^ \\t\\n]+$"))]
    pub image: Option<String>,
    /// The service whose image this test comes with, so that a new image of the service is tested by what was built with it. It finds all services, as any test does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 20),
        regex(pattern = "^[a-z]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub service: Option<String>,
    /// `Gate`: against the candidate on a scratch database, before live data or traffic is touched. `Verify`: against the live Services after the roll-out.
    /// `Compat`: when the next release comes, against this one, on the schema that the next one's `expand` makes, and again after its `backfill`: a failure
    /// rejects the next one. `Performance`: against the candidate and stable side by side; skipped while no release serves.
    #[schemars(length(min = 1, max = 4))]
    pub when: Vec<TestPhase>,
    /// Arguments of the test container.
    #[serde(default)]
    #[schemars(length(max = 32), inner(length(max = 1024)))]
    pub args: Vec<String>,
    /// Seconds after which the test counts as inconclusive; 600 when left out.
    #[serde(default = "default_test_deadline")]
    #[schemars(range(min = 5, max = 86_400))]
    pub deadline_seconds: i32,
    /// How many times it may be tried, once when left out. A pod lost to an eviction does not count.
    #[serde(default = "default_attempts")]
    #[schemars(range(min = 1, max = 10))]
    pub attempts: i32,
    /// The fewest tests of the report that must pass; a run with fewer fails. Needs `report`.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub min_tests: i32,
    /// Form of the report. `JUnit`: the container leaves JUnit XML files (`*.xml`) in `$CRM_REPORT_DIR`. Their cases are counted once it has ended; it passes only
    /// when there are cases that passed, none failed, and every file can be read. Without any file the counts in its termination message are taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportFormat>,
    /// By how many percent the candidate's p95 may be above stable's in a test with `when: [Performance]`; 20 when left out. The container gets it in
    /// `CRM_MAX_REGRESSION_PERCENT`, and the operator compares the p95s of its termination message by it too.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_regression_percent: Option<i32>,
}

/// When a test runs.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestPhase {
    /// Before anything live is touched.
    Gate,
    /// After the roll-out, on the live Services.
    Verify,
    /// In the gate of the next release, against this one on the next one's schema.
    Compat,
    /// In the gate, against the candidate and stable side by side.
    Performance,
}

/// Form of a test report.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportFormat {
    /// JUnit XML files in `$CRM_REPORT_DIR`.
    JUnit,
}

/// Whether tests must pass before a roll-out.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GatePolicy {
    /// They must.
    #[default]
    Required,
    /// Nothing is tested.
    None,
}

/// What stays when the platform is deleted.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeletionPolicy {
    /// The volumes of the embedded database and of the backups, and the passwords, stay; a platform of the same name takes them up again.
    #[default]
    Retain,
    /// They go, backups too, but for those that were made before this was set.
    Delete,
}

/// A quantity of Kubernetes, without a sign.
fn quantity() -> serde_json::Value {
    serde_json::json!({ "type": "string", "maxLength": 20, "pattern": r"^([0-9]+\.?[0-9]*|\.[0-9]+)(n|u|m|k|[MGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?$" })
}

fn default_port() -> i32 {
    8080
}
fn default_replicas() -> i32 {
    2
}
fn default_migrate_deadline() -> i32 {
    3600
}
fn default_test_deadline() -> i32 {
    600
}
fn default_attempts() -> i32 {
    1
}
