//! What the status tells of the dumps of the live database: enough to find one, to check it and to know what it fits.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// One dump of the live database. It is the file `<id>.dump` (custom format of `pg_dump`) on the volume `<platform>-backup`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BackupRecord {
    /// The first characters of the platform's UID, the release before whose migrations it was made, and the number of its Job.
    pub id: String,
    /// That release.
    pub release: String,
    /// When it was complete.
    pub at: Time,
    /// Its size.
    pub bytes: i64,
    /// Its checksum, SHA-256 in hexadecimal digits.
    pub sha256: String,
    /// Schema level of each service when it was made, as far as the operator's ledger knows it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<ServiceLevel>,
    /// When a rehearsal had restored it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored_at: Option<Time>,
}

/// Schema level of one service.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct ServiceLevel {
    /// Name of the service.
    pub service: String,
    /// Number of the newest migration whose expand was applied.
    pub level: i64,
}
