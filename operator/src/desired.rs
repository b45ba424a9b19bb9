//! The objects a platform needs, as values: one function per object, named after it.
//!
//! In: a [`Scope`] (platform and release). Out: whole objects, ready for server-side apply or creation. Pure and total: after parsing, nothing here may
//! fail. Names are built only in [`names`], labels only in [`labels`].
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

use ring::digest::{SHA256, digest};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::platform::Platform;
use crate::platform::release::Release;

pub mod backup;
pub mod beside;
pub mod canonical;
pub mod database;
pub mod deployment;
pub mod environment;
pub mod exposure;
mod fingerprint;
pub mod job;
pub mod labels;
pub mod names;
pub mod network;
pub mod report;
pub mod reports;
pub mod revision;
pub mod route;
pub mod scale;
pub mod scratch;
pub mod service;

pub use fingerprint::fingerprint;

/// What every object is made for.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The platform.
    pub platform: &'a Platform,
    /// Release id.
    pub id: &'a str,
    /// The release.
    pub release: &'a Release,
}

/// Which database and which Services a container works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Track {
    /// The live database and the live Services.
    Live,
    /// The live database, and Services that reach the pods of a canary only.
    Preview,
    /// The candidate's scratch database and its own Services.
    Scratch,
    /// A copy of that database, and Services of the candidate's pods on it.
    Beside,
}

/// Makes a typed object of a literal. The literals stand in this module only and are covered by snapshots, so that a wrong one cannot leave the tests.
fn object<T: DeserializeOwned>(literal: Value) -> T {
    serde_json::from_value(literal)
        .expect("literals of desired objects have the shape of their kind")
}

/// The same literal with its content hash as annotation: what `plan` compares to see whether an object is up to date. The second half of it is the hash of the
/// canonical form, which `observed::owned` compares with what the object holds.
fn hashed(mut literal: Value) -> Value {
    let form = hash_of(&canonical::canonical(&literal));
    let hash = format!("{}-{form}", content_hash(&literal));
    literal["metadata"]["annotations"][labels::HASH] = json!(hash);
    literal
}

/// Sixteen hexadecimal digits over the JSON form.
pub fn content_hash(value: &impl Serialize) -> String {
    let form = serde_json::to_vec(value).expect("desired objects have only keys of type string");
    hash_of(&form)
}

/// Sixteen hexadecimal digits: the beginning of the SHA-256 of some bytes.
pub fn hash_of(bytes: &[u8]) -> String {
    let digest = digest(&SHA256, bytes);
    let first = digest.as_ref().first_chunk();
    format!(
        "{:016x}",
        u64::from_be_bytes(*first.expect("it has 32 bytes"))
    )
}

/// Security context of every pod: what the `restricted` Pod Security level asks for.
fn pod_security(user: i64) -> Value {
    json!({ "runAsNonRoot": true, "runAsUser": user, "runAsGroup": user, "fsGroup": user, "seccompProfile": { "type": "RuntimeDefault" } })
}

/// Security context of every container.
fn container_security() -> Value {
    json!({ "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] } })
}

/// User of the containers of services, tests and migrations.
const SERVICE_USER: i64 = 65532;

#[cfg(test)]
pub(crate) mod tests;
