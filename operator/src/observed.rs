//! What was seen of one platform: the few facts of each object that the plan rests on.
//!
//! In: objects as the API server stores them. Out: [`Observed`]. Pure: `observe` fetches, this module only reads. Facts that are missing stay missing;
//! nothing is guessed.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::Resource;
use serde::Serialize;

use crate::api::status::{Memory, Slot};
use crate::cost::seconds;
use crate::desired::labels;
use crate::plan::action::Origin;
use crate::platform::image_update::Tags;
use crate::platform::release::Release;

pub mod job;
pub mod log;
pub mod owned;
pub mod pod;

pub use job::{JobEnd, JobView};
pub use log::{Ask, LogPart, Logs};
pub use owned::Stamp;
pub use pod::{ContainerState, PodView};

/// Everything the plan may know.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The release machine's memory, as the status holds it.
    pub memory: Memory,
    /// Answers of the registry for references of the spec of which memory does not know enough.
    pub resolutions: BTreeMap<String, Result<Resolution, Unresolved>>,
    /// The tags of the repository of `spec.image`, where they are followed and the policy allows it.
    pub tags: Option<Listing>,
    /// Recorded releases by id (from ControllerRevisions).
    pub releases: BTreeMap<String, Release>,
    /// UIDs of the ControllerRevisions, by release id.
    pub record_uids: BTreeMap<String, String>,
    /// Logs that a plan asked for.
    pub logs: Logs,
    /// Deployments of the platform by name.
    pub deployments: BTreeMap<String, WorkloadView>,
    /// Jobs by name; also those of a name we need that are not ours.
    pub jobs: BTreeMap<String, JobView>,
    /// Pods of the platform.
    pub pods: Vec<PodView>,
    /// The embedded PostgreSQL.
    pub database: Option<WorkloadView>,
    /// Content hash by `Kind/name` of Services, ConfigMaps, and what stands around the pods of the platform.
    pub others: BTreeMap<String, String>,
    /// Whether the cluster knows HTTPRoutes.
    pub knows_routes: bool,
    /// Versions by name of the user's Secrets that this platform may use; nothing as long as the watch of them has not shown it.
    pub secrets: Option<BTreeMap<String, String>>,
    /// Names of the Secrets that the operator made for this platform; nothing as long as the watch of them has not shown it.
    pub own_secrets: Option<BTreeSet<String>>,
    /// Objects by `Kind/name` in which somebody changed what is ours, with the field manager that wrote last. They have no content hash.
    pub drifted: BTreeMap<String, String>,
    /// A write for which others wait, and that the API server denied at each look at what people ask for now.
    pub denied: Option<Denied>,
}

/// Seconds after which a denial that was not met again is none of a row.
const NOT_TRIED: f64 = 120.0;

/// A write that the API server denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Verb, kind and name.
    pub write: String,
    /// The same, with the words of the API server.
    pub why: String,
    /// What it was for.
    pub origin: Origin,
}

/// What the API server has denied at each of the last looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// Verb, kind and name of the write.
    pub write: String,
    /// What it is for.
    pub origin: Origin,
    /// When it was first denied, as far as this process knows.
    pub since: Timestamp,
    /// When it was last denied: what was not tried since may be allowed by now.
    pub last: Timestamp,
    /// What and why, as it was said last.
    pub why: String,
}

impl Denied {
    /// What is known after one more denial. Another write counts for itself, and so does one that was not tried for long.
    pub fn after(before: Option<&Self>, denial: Denial, now: Timestamp) -> Self {
        let before = before.filter(|before| before.write == denial.write && before.goes_on(now));
        Self {
            since: before.map_or(now, |before| before.since),
            last: now,
            write: denial.write,
            origin: denial.origin,
            why: denial.why,
        }
    }

    /// Whether one more denial of the same write would be of this row: it was tried not long ago.
    pub fn goes_on(&self, now: Timestamp) -> bool {
        seconds(self.last, now) <= NOT_TRIED
    }
}

impl Observed {
    /// Whether a pod is one of a Job: those of migrations carry the labels of their service, too.
    pub fn is_of_job(&self, pod: &PodView) -> bool {
        self.jobs.values().any(|job| job.uid == pod.controller)
    }
}

/// What a registry says of the tags of a repository.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The last answer; absent before the first one.
    pub answer: Option<Result<Arc<Tags>, Unresolved>>,
    /// After this there may be another answer.
    pub again_in: Duration,
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
    /// UID of the controlling owner.
    pub owner: String,
    /// Content hash we wrote on it; empty when it has drifted.
    pub hash: String,
    /// How it has drifted.
    pub drift: Option<Box<owned::Drift>>,
    /// Who changes it again whenever it is put back, so that it is left as it is for a while, with the hash of what it should be.
    pub contested: Option<String>,
    /// Release its pods are of.
    pub release: String,
    /// Service it serves.
    pub service: String,
    /// `stable` or `candidate`.
    pub track: String,
    /// Slot of live pods.
    pub slot: Slot,
    /// Versions of the Secrets that its pods read, as they carry them.
    pub secrets: String,
    /// Whether its controller has seen its newest spec and all pods are of it, ready, and no older one is left.
    pub complete: bool,
    /// Pods that are available.
    pub available: i32,
    /// Pods that are wanted.
    pub replicas: i32,
    /// Whether their number is ours: an apply without it would make it one.
    pub owns_replicas: bool,
    /// Whether an autoscaler has set it last, ours or the user's own.
    pub autoscaled: bool,
    /// Whether that is one of ours, or was.
    pub scaled: bool,
    /// Whether its controller gave up waiting for progress.
    pub deadline_exceeded: bool,
    /// Why it is not complete, in the words of its controller.
    pub message: Option<String>,
    /// Why some of its pods could not be made.
    pub refused: Option<String>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// Image of its first container; of an embedded database the one that it shall keep.
    pub image: String,
}

/// UID of the controlling owner, or an empty string.
pub fn controller(metadata: &ObjectMeta) -> String {
    let mut owners = metadata.owner_references.iter().flatten();
    let owner = owners.find(|owner| owner.controller == Some(true));
    owner.map(|owner| owner.uid.clone()).unwrap_or_default()
}

/// UID of the platform that is the controlling owner, or an empty string: others may own what has a name of ours.
pub fn platform_owner(metadata: &ObjectMeta) -> String {
    let mut owners = metadata.owner_references.iter().flatten();
    let owner = owners.find(|owner| {
        let is_ours =
            owner.kind == "CrmPlatform" && owner.api_version.starts_with("crmplatform.io/");
        owner.controller == Some(true) && is_ours
    });
    owner.map(|owner| owner.uid.clone()).unwrap_or_default()
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

/// The value of an annotation, or an empty string.
pub fn annotation(metadata: &ObjectMeta, key: &str) -> String {
    metadata
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(key))
        .cloned()
        .unwrap_or_default()
}

/// The content hash of a desired object.
pub fn content_hash(metadata: &ObjectMeta) -> String {
    annotation(metadata, labels::HASH)
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
            owns_replicas: owns_replicas(&deployment.metadata),
            autoscaled: is_autoscaled(&deployment.metadata),
            scaled: !annotation(&deployment.metadata, labels::SCALED).is_empty(),
            deadline_exceeded: seen
                && progressing
                    .is_some_and(|c| c.reason.as_deref() == Some("ProgressDeadlineExceeded")),
            refused: condition("ReplicaFailure").and_then(|c| c.message.clone()),
            message: condition("ReplicaFailure")
                .or(progressing)
                .and_then(|c| c.message.clone()),
            image: image(&deployment.spec.template),
            secrets: deployment
                .spec
                .template
                .metadata
                .as_ref()
                .map(|metadata| annotation(metadata, labels::SECRETS))
                .unwrap_or_default(),
            ..Self::identity(deployment)
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
            image: Some(annotation(&set.metadata, labels::IMAGE))
                .filter(|image| !image.is_empty())
                .unwrap_or_else(|| image(&set.spec.template)),
            ..Self::identity(set)
        }
    }
}

/// Whether the field manager by which the operator applies a platform's objects owns `spec.replicas`. Where nothing is known of managers it may.
fn owns_replicas(metadata: &ObjectMeta) -> bool {
    let own = labels::field_manager(&label(metadata, labels::PLATFORM));
    metadata.managed_fields.is_none()
        || owners_of_replicas(metadata).any(|owner| owner.manager.as_ref() == Some(&own))
}

/// Autoscalers act through the controller manager and the subresource `scale`; a person who scales by hand has another manager. What we kept of such a number is
/// theirs, too. Where our own manager has it beside them, it was applied since.
fn is_autoscaled(metadata: &ObjectMeta) -> bool {
    let keeps = labels::replicas_manager(&label(metadata, labels::PLATFORM));
    let mut owners = owners_of_replicas(metadata);
    let is_theirs = owners.any(|owner| match owner.manager.as_deref() {
        Some("kube-controller-manager") => owner.subresource.as_deref() == Some("scale"),
        manager => manager == Some(&keeps),
    });
    is_theirs && !owns_replicas(metadata)
}

fn owners_of_replicas(metadata: &ObjectMeta) -> impl Iterator<Item = &ManagedFieldsEntry> {
    let managers = metadata.managed_fields.iter().flatten();
    managers.filter(|manager| {
        let fields = manager.fields_v1.as_ref();
        fields.is_some_and(|fields| fields.0.pointer("/f:spec/f:replicas").is_some())
    })
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
    fn identity<K: Resource + Serialize>(object: &K) -> Self {
        let metadata = object.meta();
        let Stamp { hash, drift } = owned::stamp(object);
        Self {
            drift,
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
            owner: controller(metadata),
            hash,
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn owns(managers: Value) -> bool {
        let metadata = json!({ "labels": { labels::PLATFORM: "acme" }, "managedFields": managers });
        owns_replicas(&serde_json::from_value(metadata).unwrap())
    }

    #[test]
    fn an_autoscaler_has_set_the_number_of_pods_until_we_apply_it_again() {
        let of = |manager: &str, subresource: &str| json!({ "manager": manager, "subresource": subresource, "fieldsV1": { "f:spec": { "f:replicas": {} } } });
        let autoscaled = |managers: Value| {
            let metadata =
                json!({ "labels": { labels::PLATFORM: "acme" }, "managedFields": managers });
            is_autoscaled(&serde_json::from_value(metadata).unwrap())
        };
        let (scaler, ours) = (
            of("kube-controller-manager", "scale"),
            of("crm-operator/acme", ""),
        );
        assert!(autoscaled(json!([scaler])));
        assert!(autoscaled(json!([of("crm-operator/acme/replicas", "")])));
        assert!(!autoscaled(json!([scaler, ours])), "the same number");
        assert!(!autoscaled(json!([of("kubectl", "scale")])));
        assert!(!autoscaled(json!([of("kube-controller-manager", "")])));
    }

    #[test]
    fn the_number_of_pods_is_ours_only_if_our_own_manager_has_it() {
        let of = |manager: &str, spec: Value| json!({ "manager": manager, "operation": "Apply", "fieldsV1": { "f:spec": spec } });
        let (number, template) = (json!({ "f:replicas": {} }), json!({ "f:template": {} }));
        assert!(owns(json!([of("crm-operator/acme", number.clone())])));
        assert!(!owns(json!([
            of("crm-operator/acme", template),
            of("crm-operator/acme/replicas", number.clone()),
            of("kube-controller-manager", number)
        ])));
        assert!(owns(Value::Null), "what is not known may be");
    }

    #[test]
    fn denials_are_a_row_while_the_same_write_is_tried_again_and_again() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let denial = |write: &str| Denial {
            write: write.into(),
            why: "exceeded quota".into(),
            origin: Origin::Stage,
        };
        let first = Denied::after(None, denial("create Job a"), at(0));
        let next = Denied::after(Some(&first), denial("create Job a"), at(30));
        assert_eq!((next.since, next.last), (at(0), at(30)));
        let other = Denied::after(Some(&next), denial("create Job b"), at(60));
        assert_eq!(other.since, at(60));
        let late = Denied::after(Some(&next), denial("create Job a"), at(600));
        assert_eq!(late.since, at(600), "nobody knows what was so meanwhile");
    }
}
