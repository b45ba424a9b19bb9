//! Where the data of a platform lives, what a rehearsal shows of it, and what is saved of it before it is changed.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the data lives: exactly one of `embedded` and `secret`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.embedded) != has(self.secret)").message("set exactly one of spec.database.embedded and spec.database.secret"),
    validation = Rule::new("!has(self.appSecret) || has(self.secret)").message("spec.database.appSecret goes with spec.database.secret"),
    validation = Rule::new("self.rehearsal.data != 'Backup' || (has(self.backup) && self.backup.policy == 'BeforeMigration')").message("spec.database.rehearsal.data Backup restores the backup of each release: set spec.database.backup with policy BeforeMigration too"),
    validation = Rule::new("has(self.embedded) == has(oldSelf.embedded)").message("spec.database cannot change between embedded and secret: data would stay behind; make a new platform and restore into it")
)]
pub struct DatabaseSpec {
    /// One PostgreSQL that the operator runs, for trials and small installs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedded: Option<EmbeddedDatabaseSpec>,
    /// Secret with the keys `host`, `port`, `dbname`, `username` and `password` of a role that owns the database and may create databases (as in
    /// CloudNativePG's app Secret). It must carry the label `crmplatform.io/usable-by: <platform>`: without it no release begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub secret: Option<String>,
    /// Secret of the same keys, and with the same label, with a role of fewer rights for the services; absent: they use `secret`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub app_secret: Option<String>,
    /// What the scratch database of a rehearsal holds.
    #[serde(default)]
    pub rehearsal: RehearsalSpec,
    /// Dumps of the live database; none are made when it is absent. Each one is proven only with `rehearsal.data: Backup`, which restores it; otherwise it is enough for
    /// a release, `contract` included, that it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupSpec>,
}

/// One PostgreSQL run by the operator.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct EmbeddedDatabaseSpec {
    /// Size of its volume in whole Mi, Gi or Ti; 1Gi when left out. It cannot be changed afterwards.
    #[serde(default = "default_storage")]
    #[schemars(length(max = 20))]
    #[x_kube(validation = Rule::new("self.matches('^[1-9][0-9]*(Mi|Gi|Ti)$')").message("spec.database.embedded.storage is a whole number of Mi, Gi or Ti, such as 1Gi"), validation = Rule::new("self == oldSelf").message("spec.database.embedded.storage cannot be changed: volumes of a StatefulSet keep their size"))]
    pub storage: String,
}

/// What the scratch database of a rehearsal holds.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct RehearsalSpec {
    /// `Synthetic` (when left out): rows made by `services[].seed`. `None`: empty tables. With both, dumps that `backup` makes are not proven. `Backup`: the dump
    /// that was made for this release is restored, so that every release proves its backup, and its migrations run on real rows; needs `backup`. Personal data is
    /// masked before the candidate's pods start, if the image offers the phase `mask`; the status says so if it does not.
    #[serde(default)]
    pub data: RehearsalData,
}

/// Kind of rows in a scratch database.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RehearsalData {
    /// Rows made by the image's own seeding.
    #[default]
    Synthetic,
    /// Empty tables.
    None,
    /// The backup of the release, restored.
    Backup,
}

/// When the live database is dumped, and where to.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BackupSpec {
    /// `BeforeMigration` (when left out): a Job dumps the live database before anything of a release touches it; without a good dump the release is held.
    /// `Never`: no dump is made; those that are there stay.
    #[serde(default)]
    pub policy: BackupPolicy,
    /// How many dumps are kept; 3 when left out. The one from before the migrations of the release that serves is kept in any case. Dumps of an earlier platform of
    /// that name are not counted and never removed.
    #[serde(default = "default_keep")]
    #[schemars(range(min = 1, max = 10))]
    pub keep: i32,
    /// Size of the volume `<platform>-backup`, which is made with the first dump, in whole Mi, Gi or Ti; 5Gi when left out. It must hold two dumps more than `keep`,
    /// and those of an earlier platform of that name. A change counts for a new volume only; one that is there is grown by hand, and one that is Pending deleted.
    #[serde(default = "default_backup_storage")]
    #[schemars(length(max = 20))]
    #[x_kube(validation = Rule::new("self.matches('^[1-9][0-9]*(Mi|Gi|Ti)$')").message("spec.database.backup.storage is a whole number of Mi, Gi or Ti, such as 5Gi"))]
    pub storage: String,
    /// Seconds after which a dump, or its restore in the rehearsal, that has not ended is stopped; after three such Jobs the release is held. 3600 when left out.
    #[serde(default = "default_backup_deadline")]
    #[schemars(range(min = 10, max = 604_800))]
    pub deadline_seconds: i32,
}

/// When the live database is dumped.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackupPolicy {
    /// Before the migrations of each release.
    #[default]
    BeforeMigration,
    /// Not at all.
    Never,
}

fn default_storage() -> String {
    "1Gi".to_owned()
}
fn default_keep() -> i32 {
    3
}
fn default_backup_storage() -> String {
    "5Gi".to_owned()
}
fn default_backup_deadline() -> i32 {
    3600
}
