//! What was seen of one platform: the few facts of each object that the plan rests on.
//!
//! In: objects as the API server stores them. Out: [`Observed`]. Pure: `observe` fetches, this module only reads. Facts that are missing stay missing;
//! nothing is guessed.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;

use crate::api::status::{Memory, Slot};
use crate::desired::labels;
use crate::platform::release::Release;

pub mod job;
pub mod pod;

pub use job::{JobEnd, JobView};
pub use pod::{ContainerState, PodView};

/// Everything the plan may know.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The release machine's memory, as the status holds it.
    pub memory: Memory,
    /// Answers of the registry for references of the spec of which memory does not know enough.
    pub resolutions: BTreeMap<String, Result<Resolution, Unresolved>>,
    /// Recorded releases by id (from ControllerRevisions).
    pub releases: BTreeMap<String, Release>,
    /// Deployments of the platform by name.
    pub deployments: BTreeMap<String, WorkloadView>,
    /// Jobs by name; also those of a name we need that are not ours.
    pub jobs: BTreeMap<String, JobView>,
    /// Pods of the platform.
    pub pods: Vec<PodView>,
    /// The embedded PostgreSQL.
    pub database: Option<WorkloadView>,
    /// Content hash by `Kind/name` of Services and ConfigMaps of the platform.
    pub others: BTreeMap<String, String>,
}

/// What a registry says of an image reference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolution {
    /// The image by digest.
    pub image: String,
    /// Fingerprint of the key that signed it, if signatures are asked for.
    pub signed_by: Option<String>,
}

/// Why there is no digest for an image reference; in words for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// The registry has no such image for us, or could not be asked for minutes: a person has to do something.
    Refused(String),
    /// The registry has the image, and no signature of it that counts.
    NotSigned(String),
    /// The registry could not be asked; that may pass by itself.
    OutOfReach(String),
}

/// A Deployment or StatefulSet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkloadView {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Content hash we wrote on it.
    pub hash: String,
    /// Release its pods are of.
    pub release: String,
    /// Service it serves.
    pub service: String,
    /// `stable` or `candidate`.
    pub track: String,
    /// Slot of live pods.
    pub slot: Slot,
    /// Whether its controller has seen its newest spec and all pods are of it, ready, and no older one is left.
    pub complete: bool,
    /// Pods that are available.
    pub available: i32,
    /// Pods that are wanted.
    pub replicas: i32,
    /// Whether its controller gave up waiting for progress.
    pub deadline_exceeded: bool,
    /// Why it is not complete, in the words of its controller.
    pub message: Option<String>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// Image of its first container.
    pub image: String,
}

/// The value of a label, or an empty string.
pub fn label(metadata: &ObjectMeta, key: &str) -> String {
    metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(key))
        .cloned()
        .unwrap_or_default()
}

/// The content hash that `apply` wrote on an object, or an empty string.
pub fn content_hash(metadata: &ObjectMeta) -> String {
    metadata
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(labels::HASH))
        .cloned()
        .unwrap_or_default()
}

impl From<&Deployment> for WorkloadView {
    fn from(deployment: &Deployment) -> Self {
        let replicas = deployment.spec.replicas.unwrap_or(1);
        let status = deployment.status.clone().unwrap_or_default();
        let updated = status.updated_replicas.unwrap_or(0);
        let available = status.available_replicas.unwrap_or(0);
        let seen = status.observed_generation >= deployment.metadata.generation;
        let condition = |kind: &str| {
            status
                .conditions
                .iter()
                .flatten()
                .find(|c| c.type_.as_deref() == Some(kind))
        };
        let progressing = condition("Progressing");
        Self {
            complete: seen
                && updated == replicas
                && available == replicas
                && status.replicas.unwrap_or(0) == replicas,
            available,
            replicas,
            deadline_exceeded: seen
                && progressing
                    .is_some_and(|c| c.reason.as_deref() == Some("ProgressDeadlineExceeded")),
            message: condition("ReplicaFailure")
                .or(progressing)
                .and_then(|c| c.message.clone()),
            image: image(&deployment.spec.template),
            ..Self::identity(&deployment.metadata)
        }
    }
}

impl From<&StatefulSet> for WorkloadView {
    fn from(set: &StatefulSet) -> Self {
        let replicas = set.spec.replicas.unwrap_or(1);
        let status = set.status.clone().unwrap_or_default();
        let ready = status.ready_replicas.unwrap_or(0);
        let seen = status.observed_generation >= set.metadata.generation;
        Self {
            complete: seen && ready == replicas && status.updated_replicas.unwrap_or(0) == replicas,
            available: ready,
            replicas,
            image: image(&set.spec.template),
            ..Self::identity(&set.metadata)
        }
    }
}

fn image(template: &PodTemplateSpec) -> String {
    let container = template
        .spec
        .iter()
        .flat_map(|spec| &spec.containers)
        .next();
    container
        .and_then(|container| container.image.clone())
        .unwrap_or_default()
}

impl WorkloadView {
    fn identity(metadata: &ObjectMeta) -> Self {
        Self {
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
            hash: content_hash(metadata),
            release: label(metadata, labels::RELEASE),
            service: label(metadata, labels::SERVICE),
            track: label(metadata, labels::TRACK),
            slot: Slot::of_label(&label(metadata, labels::SLOT)),
            deleting: metadata.deletion_timestamp.is_some(),
            created: metadata.creation_timestamp.as_ref().map(|time| time.0),
            ..Self::default()
        }
    }
}
