//! What a plan may ask for. Each action is one write, harmless when done twice, and carries the reason that logs and events repeat.

use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Service};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::desired::route::HttpRoute;

/// One write and why.
#[derive(Clone, Debug)]
pub struct Action {
    /// The write.
    pub write: Write,
    /// Why, in words for people.
    pub because: String,
    /// What it is for.
    pub origin: Origin,
    /// What has to be removed first, as `Kind/name`: where that is refused this write waits, because it would leave nothing that leads there again.
    pub after: Vec<String>,
}

/// What a write is for, and so what its failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It keeps what stands; nothing goes on without it, and it tells nothing of a release.
    Standing,
    /// The stage of the candidate needs it.
    Stage,
    /// It clears up, optimises, or keeps what stands around the pods: nothing waits for it, and whatever comes in its way stops nothing else.
    Aside,
}

/// A write to the API server.
#[derive(Clone, Debug)]
pub enum Write {
    /// Server-side apply of a whole object.
    Apply(Object),
    /// Give the number of pods of a Deployment to another field manager of ours, as it is, so that the next apply may leave it out.
    KeepReplicas(Replicas),
    /// Create; an object of that name that is there already is left alone (the next look judges whether it is ours).
    Create(Created),
    /// Create a Secret with generated content, unless there is one of that name.
    CreateSecret(SecretRecipe),
    /// Delete, in the background, with this UID as precondition; one that is gone already is fine.
    Delete(Target),
}

impl Write {
    /// What is written, as `Kind/name`.
    pub fn key(&self) -> String {
        let of = |kind: &str, metadata: &ObjectMeta| {
            let name = metadata.name.as_deref().unwrap_or_default();
            format!("{kind}/{name}")
        };
        match self {
            Self::Apply(object) => object.key(),
            Self::KeepReplicas(kept) => format!("Deployment/{}", kept.deployment),
            Self::Create(Created::Job(job)) => of("Job", &job.metadata),
            Self::Create(Created::Revision(record)) => of("ControllerRevision", &record.metadata),
            Self::Create(Created::Claim(claim)) => of("PersistentVolumeClaim", &claim.metadata),
            Self::CreateSecret(recipe) => recipe.key(),
            Self::Delete(target) => target.key(),
        }
    }
}

/// An object that is applied.
#[derive(Clone, Debug)]
pub enum Object {
    /// Pods of a service.
    Deployment(Box<Deployment>),
    /// The embedded database.
    StatefulSet(Box<StatefulSet>),
    /// Address of a service.
    Service(Box<Service>),
    /// Set-up script of the embedded database.
    ConfigMap(Box<ConfigMap>),
    /// Who sets the number of pods of a service.
    Autoscaler(Box<HorizontalPodAutoscaler>),
    /// How many pods of a service may be gone at once.
    Budget(Box<PodDisruptionBudget>),
    /// Which connections pods may have.
    Policy(Box<NetworkPolicy>),
    /// The way in from outside.
    Ingress(Box<Ingress>),
    /// The way in from outside, by the Gateway API.
    Route(Box<HttpRoute>),
}

impl Object {
    /// Its kind, as the API server calls it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Deployment(_) => "Deployment",
            Self::StatefulSet(_) => "StatefulSet",
            Self::Service(_) => "Service",
            Self::ConfigMap(_) => "ConfigMap",
            Self::Autoscaler(_) => "HorizontalPodAutoscaler",
            Self::Budget(_) => "PodDisruptionBudget",
            Self::Policy(_) => "NetworkPolicy",
            Self::Ingress(_) => "Ingress",
            Self::Route(_) => "HTTPRoute",
        }
    }

    /// Its name, labels and annotations.
    pub fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::Deployment(object) => &object.metadata,
            Self::StatefulSet(object) => &object.metadata,
            Self::Service(object) => &object.metadata,
            Self::ConfigMap(object) => &object.metadata,
            Self::Autoscaler(object) => &object.metadata,
            Self::Budget(object) => &object.metadata,
            Self::Policy(object) => &object.metadata,
            Self::Ingress(object) => &object.metadata,
            Self::Route(object) => &object.metadata,
        }
    }
}

/// The number of pods that a Deployment has now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replicas {
    /// Name of the Deployment.
    pub deployment: String,
    /// Its UID.
    pub uid: String,
    /// Its pods.
    pub replicas: i32,
}

impl Object {
    /// Kind and name, as `Kind/name`.
    pub fn key(&self) -> String {
        let name = self.metadata().name.as_deref().unwrap_or_default();
        format!("{}/{name}", self.kind())
    }
}

/// An object that is created and never patched.
#[derive(Clone, Debug)]
pub enum Created {
    /// A test, migration, seeding or scratch database Job.
    Job(Box<Job>),
    /// The recorded inputs of a release.
    Revision(Box<ControllerRevision>),
    /// The volume of the dumps.
    Claim(Box<PersistentVolumeClaim>),
}

/// A Secret whose content `apply` generates: random values must not be made in a pure plan.
#[derive(Clone, Debug, PartialEq)]
pub struct SecretRecipe {
    /// Name of the Secret.
    pub name: String,
    /// What it holds.
    pub content: SecretContent,
    /// Plain keys beside the generated ones.
    pub plain: Vec<(String, String)>,
    /// Whether the platform owns it, so that it goes away with it.
    pub owned: bool,
}

impl SecretRecipe {
    /// Kind and name, as `Kind/name`.
    pub fn key(&self) -> String {
        format!("Secret/{}", self.name)
    }
}

/// Generated content of a Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretContent {
    /// `signing-key.pem` (Ed25519, PKCS#8) and `jwks.json` (its public half).
    Identity,
    /// `password`: 32 random letters and digits.
    Password,
    /// `password` and `superuser-password`.
    Passwords,
}

/// What is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Kind of the object.
    pub kind: TargetKind,
    /// Its name.
    pub name: String,
    /// Its UID; a successor of the same name is not touched. Empty only where objects carry no state: Services, and what stands around pods.
    pub uid: String,
}

impl Target {
    /// Kind and name, as `Kind/name`.
    pub fn key(&self) -> String {
        self.kind.key(&self.name)
    }
}

/// Kinds that a plan may delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// Pods of a service.
    Deployment,
    /// Address of a candidate.
    Service,
    /// A Job and its pods.
    Job,
    /// Recorded inputs of a release.
    Revision,
    /// Who sets the number of pods of a service.
    Autoscaler,
    /// How many pods of a service may be gone at once.
    Budget,
    /// Which connections pods may have.
    Policy,
    /// The way in from outside.
    Ingress,
    /// The way in from outside, by the Gateway API.
    Route,
}

impl TargetKind {
    /// One of this name, as `Kind/name`.
    pub fn key(self, name: &str) -> String {
        format!("{}/{name}", self.name())
    }

    /// As the API server calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::Service => "Service",
            Self::Job => "Job",
            Self::Revision => "ControllerRevision",
            Self::Autoscaler => "HorizontalPodAutoscaler",
            Self::Budget => "PodDisruptionBudget",
            Self::Policy => "NetworkPolicy",
            Self::Ingress => "Ingress",
            Self::Route => "HTTPRoute",
        }
    }
}

/// What was changed from outside and is put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correction {
    /// The object, as `Kind/name`.
    pub object: String,
    /// What is told of it.
    pub note: Note,
}

/// Something worth an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Whether it is a warning.
    pub warning: bool,
    /// Reason of `api::conditions`.
    pub reason: String,
    /// Sentence for people.
    pub message: String,
}
