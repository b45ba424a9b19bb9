//! Seconds and money of a release, in the parts of the delivery model's formulas.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

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
