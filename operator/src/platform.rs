//! The one place that can say that a spec is invalid: `CrmPlatform` in, [`Platform`] out, or [`Invalid`] with field and remedy.
//!
//! The API server's rules refuse most of this before; it is checked again because objects may be older than the rules. After this step nothing that is
//! built from a `Platform` may fail.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt};

use crate::api::spec::{
    Approval, AutoscalingSpec, BackupPolicy, BackupSpec, CrmPlatform, CrmPlatformSpec,
    DeletionPolicy, EgressSpec, ExposureSpec, NetworkSpec, StrategySpec,
};
use crate::api::status::Token;
use crate::cost::Prices;
use crate::policy::ImagePolicy;

mod exposed;
pub mod freeze;
pub mod image_update;
mod images;
pub mod release;
pub mod request;
mod wanted;

use freeze::Freeze;
use image_update::Update;
#[cfg(test)]
pub(crate) use images::REFERENCES_LIMIT;
use release::Release;
use request::Request;

/// What the operator's own configuration contributes; out of a tenant's reach.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Image with PostgreSQL's server and client programs, for embedded databases and scratch databases.
    pub postgres_image: String,
    /// The operator's own image: it reads the reports of tests. Without it no test with a report can run.
    pub operator_image: Option<String>,
    /// Which images a spec may name. Not asked about images of this configuration.
    pub images: ImagePolicy,
    /// Price table.
    pub prices: Prices,
}

/// A spec that cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}: {remedy}")]
pub struct Invalid {
    /// Path of the field.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

/// A platform whose spec was found to be sound.
#[derive(Clone, Debug)]
pub struct Platform {
    /// Name of the object.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its UID.
    pub uid: String,
    /// Generation of the spec.
    pub generation: i64,
    /// Reference for the objects it owns.
    pub owner: OwnerReference,
    /// Pods wanted per service.
    pub replicas: BTreeMap<String, i32>,
    /// How many pods those services have that are scaled by their load.
    pub autoscaling: BTreeMap<String, AutoscalingSpec>,
    /// Where live pods of a service may connect to beside what the platform needs.
    pub egress: BTreeMap<String, Vec<EgressSpec>>,
    /// Which connections pods may have.
    pub network: NetworkSpec,
    /// How it is reached from outside.
    pub exposure: Option<ExposureSpec>,
    /// Seconds a release must have served before contract.
    pub soak_seconds: i64,
    /// Seconds within which pods must become ready.
    pub progress_deadline_seconds: i32,
    /// Nothing new begins.
    pub paused: bool,
    /// Who lets a tested release go on.
    pub approval: Approval,
    /// When nothing live is changed.
    pub freeze: Vec<Freeze>,
    /// How live traffic goes over to a new release.
    pub strategy: StrategySpec,
    /// What people ask for by annotations, handled or not.
    pub requests: Vec<(Token, Request)>,
    /// Size of the embedded database's volume; absent when the database is the user's.
    pub embedded_storage: Option<String>,
    /// What goes away with the platform.
    pub deletion: DeletionPolicy,
    /// How the live database is dumped before a migration; absent when it is not.
    pub backup: Option<BackupSpec>,
    /// How newer tags of `spec.image` become releases; absent when they do not.
    pub image_update: Option<Update>,
    /// Whether it is not known yet which of them stands for `spec.image`.
    pub image_is_open: bool,
    /// Operator configuration.
    pub settings: Settings,
    wanted: Release,
    /// The first field that names it, by image reference.
    image_fields: BTreeMap<String, String>,
}

impl Platform {
    /// Reads a `CrmPlatform`.
    ///
    /// # Errors
    /// [`Invalid`] for the first field that cannot be followed.
    pub fn parse(object: &CrmPlatform, settings: &Settings) -> Result<Self, Invalid> {
        let spec = &object.spec;
        let owner = object.controller_owner_ref(&()).ok_or_else(|| {
            invalid(
                "metadata.uid",
                "is missing",
                "read the object from the API server",
            )
        })?;
        let services = spec.services.iter();
        let image_update = Update::parse(spec)?;
        let image = stands_for_image(object, image_update.as_ref());
        let image_is_open = image_update.is_some() && image.is_none();
        let effective = match image {
            Some(_) => Cow::Owned(CrmPlatformSpec {
                image,
                ..spec.clone()
            }),
            None => Cow::Borrowed(spec),
        };
        Ok(Self {
            name: object.name_any(),
            namespace: object.namespace().unwrap_or_default(),
            uid: object.uid().unwrap_or_default(),
            generation: object.metadata.generation.unwrap_or_default(),
            owner,
            replicas: services
                .map(|service| (service.name.clone(), service.replicas))
                .collect(),
            autoscaling: exposed::autoscaling(spec)?,
            egress: exposed::egress(spec)?,
            network: exposed::network(spec)?,
            exposure: exposed::exposure(spec)?,
            soak_seconds: i64::from(spec.release.soak_seconds),
            progress_deadline_seconds: spec.release.progress_deadline_seconds,
            paused: spec.paused,
            approval: spec.release.approval,
            freeze: spec
                .release
                .freeze
                .iter()
                .enumerate()
                .map(Freeze::parse)
                .collect::<Result<_, _>>()?,
            strategy: strategy(&spec.release.strategy)?,
            requests: request::of(object.annotations()),
            embedded_storage: spec
                .database
                .embedded
                .as_ref()
                .map(|embedded| embedded.storage.clone()),
            deletion: spec.deletion_policy,
            backup: spec
                .database
                .backup
                .clone()
                .filter(|backup| backup.policy == BackupPolicy::BeforeMigration),
            image_update,
            image_is_open,
            settings: settings.clone(),
            wanted: wanted::wanted(&effective)?,
            image_fields: images::bounded(&effective, settings)?,
        })
    }

    /// Pods wanted of a service; nothing for one that is not in the spec any more.
    pub fn replicas(&self, service: &str) -> Option<i32> {
        self.replicas.get(service).copied()
    }
}

/// The image that was found for `spec.image`, if its tags are followed.
fn stands_for_image(object: &CrmPlatform, update: Option<&Update>) -> Option<String> {
    let memory = object.status.as_ref().map(|status| &status.memory);
    update?.stands_for_it(memory?.image_update.as_ref())
}

fn strategy(spec: &StrategySpec) -> Result<StrategySpec, Invalid> {
    let mut pairs = spec.steps.iter().zip(spec.steps.iter().skip(1));
    match pairs.find(|(step, next)| step.weight >= next.weight) {
        None => Ok(spec.clone()),
        Some((step, next)) => Err(invalid(
            "spec.release.strategy.steps",
            &format!("has weight {} after {}", next.weight, step.weight),
            "give each step a greater weight than the one before it",
        )),
    }
}

fn invalid(field: &str, problem: &str, remedy: &str) -> Invalid {
    Invalid {
        field: field.to_owned(),
        problem: problem.to_owned(),
        remedy: remedy.to_owned(),
    }
}

#[cfg(test)]
pub(crate) mod tests;
