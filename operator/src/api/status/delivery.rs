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

/// Seconds and money of one release, without the parts.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct DeliverySums {
    /// `T_build` and `C_build`.
    pub build: Amount,
    /// `T_test` and `C_test`.
    pub test: Amount,
    /// `T_deploy` and `C_deploy`.
    pub deploy: Amount,
    /// `T_total` and `C_total`.
    pub total: Amount,
}

/// Parts of `T_build` and `C_build`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct BuildDelivery {
    /// From when the spec was seen until all its images were known.
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
    /// Rehearsal, and the candidate's pods: the time until they were ready, the money for all the time of the gate.
    pub case: Amount,
    /// Test Jobs of the gate, from when the candidate was ready to the last end.
    pub execute: Amount,
    /// From the last end until all reports were read.
    pub record: Amount,
    /// From then to the verdict of the gate.
    pub analyse: Amount,
    /// Sum.
    pub total: Amount,
}

/// Parts of `T_deploy` and `C_deploy`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct DeployDelivery {
    /// Roll-out of the services until their pods were ready, and verification.
    pub install: Amount,
    /// Switching of the Services with BlueGreen and Canary, with the tests between the steps.
    pub configure: Amount,
    /// Backup, and expand, backfill and contract on the live database.
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
