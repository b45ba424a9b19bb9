//! A release: the immutable inputs of one roll-out, and the id that stands for exactly those.
//!
//! The id is a hash over a canonical form (JSON with fields in declared order and unset ones left out) behind a version word. A field added later must be
//! left out of the form when unset, so that an upgrade of the operator changes no id and starts no release.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::api::spec::{
    EnvSpec, GatePolicy, RehearsalData, ReportFormat, ResourceSpec, TestPhase, TestSpec,
};
use crate::api::status::ServiceImage;

/// Word before the canonical form; changed only if the form itself must change.
const FORM: &str = "crmplatform-release/1\n";
/// Percent by which a candidate may be slower than stable when the spec does not say.
const MAX_REGRESSION_PERCENT: i32 = 20;

/// Immutable inputs of one roll-out. Services stand in the order of their dependencies.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// Services in `dependsOn` order.
    pub services: Vec<ReleaseService>,
    /// Tests.
    pub tests: Vec<ReleaseTest>,
    /// Whether tests must pass.
    pub gate: GatePolicy,
    /// Rows of the scratch database.
    pub rehearsal: RehearsalData,
    /// Where the data lives.
    pub database: DatabaseUse,
}

/// One service of a release.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseService {
    /// Name.
    pub name: String,
    /// Image, by digest once resolved.
    pub image: String,
    /// Arguments of the container that serves.
    pub args: Vec<String>,
    /// Port.
    pub port: i32,
    /// Requests and limits.
    pub resources: ResourceSpec,
    /// Plain environment.
    pub env: Vec<EnvSpec>,
    /// Names of Secrets used as environment.
    pub secrets: Vec<String>,
    /// Migration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub migrate: Option<ReleaseMigration>,
    /// Arguments of the seeding container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<Vec<String>>,
}

/// Migration of one service.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseMigration {
    /// Arguments.
    pub args: Vec<String>,
    /// Deadline in seconds.
    pub deadline_seconds: i32,
}

/// One test of a release.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseTest {
    /// Name.
    pub name: String,
    /// Image, by digest once resolved.
    pub image: String,
    /// When it runs.
    pub when: Vec<TestPhase>,
    /// Arguments.
    pub args: Vec<String>,
    /// Deadline in seconds.
    pub deadline_seconds: i32,
    /// Tries.
    pub attempts: i32,
    /// Fewest tests in its report.
    pub min_tests: i32,
    /// Form of its report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportFormat>,
    /// By how many percent the candidate may be slower than stable, as the spec says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_regression_percent: Option<i32>,
}

/// Where the data lives.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub enum DatabaseUse {
    /// The operator's own PostgreSQL.
    Embedded,
    /// The user's.
    #[serde(rename_all = "camelCase")]
    Secret {
        /// Secret of the role that migrates.
        secret: String,
        /// Secret of the role that serves.
        app_secret: String,
    },
}

impl ReleaseTest {
    /// A test as the spec has it, with the image that applies.
    pub fn new(test: &TestSpec, image: String) -> Self {
        Self {
            name: test.name.clone(),
            image,
            when: test.when.clone(),
            args: test.args.clone(),
            deadline_seconds: test.deadline_seconds,
            attempts: test.attempts,
            min_tests: test.min_tests,
            report: test.report,
            max_regression_percent: test.max_regression_percent,
        }
    }

    /// By how many percent the candidate may be slower than stable; nothing for a test that does not compare the two.
    pub fn budget(&self) -> Option<i32> {
        let compares = self.when.contains(&TestPhase::Performance);
        compares.then(|| {
            self.max_regression_percent
                .unwrap_or(MAX_REGRESSION_PERCENT)
        })
    }
}

impl Release {
    /// The id: `r` and ten characters that stand for exactly these inputs.
    pub fn id(&self) -> String {
        let form = serde_json::to_string(self).expect("a release has only keys of type string");
        let hash = Sha256::digest(format!("{FORM}{form}"));
        let letters = b"0123456789abcdefghijkmnpqrstuvwx";
        let text: String = hash
            .iter()
            .take(10)
            .map(|byte| char::from(letters[usize::from(byte % 32)]))
            .collect();
        format!("r{text}")
    }

    /// Whether it differs from another release in nothing but the configuration of services: environment, Secrets and resources.
    pub fn has_code_of(&self, other: &Self) -> bool {
        self.code() == other.code()
    }

    fn code(&self) -> Self {
        let mut code = self.clone();
        for service in &mut code.services {
            service.env.clear();
            service.secrets.clear();
            service.resources = ResourceSpec::default();
        }
        code
    }

    /// Every image of the release.
    pub fn images(&self) -> impl Iterator<Item = &String> {
        self.services
            .iter()
            .map(|service| &service.image)
            .chain(self.tests.iter().map(|test| &test.image))
    }

    /// The same release with each image replaced; `None` when one has no replacement.
    pub fn with_images(&self, replace: impl Fn(&String) -> Option<String>) -> Option<Self> {
        let mut release = self.clone();
        for service in &mut release.services {
            service.image = replace(&service.image)?;
        }
        for test in &mut release.tests {
            test.image = replace(&test.image)?;
        }
        Some(release)
    }

    /// Image digest per service.
    pub fn service_images(&self) -> Vec<ServiceImage> {
        self.services
            .iter()
            .map(|service| ServiceImage {
                service: service.name.clone(),
                image: service.image.clone(),
            })
            .collect()
    }

    /// Tests that run in a phase.
    pub fn tests_in(&self, phase: TestPhase) -> impl Iterator<Item = &ReleaseTest> {
        self.tests
            .iter()
            .filter(move |test| test.when.contains(&phase))
    }

    /// The service of a name.
    pub fn service(&self, name: &str) -> Option<&ReleaseService> {
        self.services.iter().find(|service| service.name == name)
    }
}
