//! Single calls to the API server for one platform, each with a deadline and each noted, so that a cache that is behind is not believed.
//!
//! In: one object of a plan. Out: nothing, or the error with verb, kind and name.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use futures::{TryStreamExt, pin_mut};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{
    DeleteParams, Patch, PatchParams, PostParams, Preconditions, WatchEvent, WatchParams,
};
use kube::core::{PartialObjectMeta, Status};
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::timeout;

use super::{Error, FIELD_MANAGER};
use crate::api::CrmPlatform;
use crate::context::{Context, PlatformKey};
use crate::desired::labels;
use crate::desired::route::HttpRoute;
use crate::observed::{owned, platform_owner};
use crate::plan::action::{Created, Object, Origin, Replicas, SecretRecipe, Target, TargetKind};
use crate::secrets;
use crate::written::Kind;

const DEADLINE: Duration = Duration::from_secs(15);
/// Seconds after which the API server ends the watch of a Secret that is not there.
const SHOWN_WITHIN: u32 = 5;

/// Cause of a conflict of an apply, as the API server calls it.
const FIELD_MANAGER_CONFLICT: &str = "FieldManagerConflict";

/// Why a call failed, as far as callers tell cases apart.
pub enum Refusal {
    /// There is no such object.
    NotFound,
    /// It is not at the expected version, or not of the expected UID; or a quota is counted by several at once.
    Conflict,
    /// Others own fields of it.
    Owned,
    /// There is one of that name.
    AlreadyExists,
    /// Not asked: this process is not the leader any more.
    NotLeading,
    /// The API server says no, and will say so again: a quota, a rule of the cluster, a missing right. In its words.
    Denied(String),
    /// Anything else, in words.
    Other(String),
}

/// Writes objects of one platform.
pub struct Writer<'a> {
    /// Client, and where writes are noted.
    pub ctx: &'a Context,
    /// The platform.
    pub key: PlatformKey,
    /// Its UID.
    pub uid: String,
}

/// Why nothing is made under a name yet.
const LEAVING: &str = "one of an earlier platform of that name is there, which is about to be removed with it; if it stays, look at its finalizers, delete it (of a database Secrets, StatefulSet and volume together), or take its owner from it";

impl Writer<'_> {
    /// Whether what belongs to the platform with this UID is about to be removed by the garbage collector, with an earlier platform of that name.
    fn is_leaving(&self, owner: &str) -> bool {
        !owner.is_empty() && owner != self.uid
    }

    /// Server-side apply.
    pub async fn apply(&self, object: &Object) -> Result<(), Error> {
        match object {
            Object::Deployment(object) => self.apply_one(Kind::Deployment, &**object).await,
            Object::StatefulSet(object) => self.apply_one(Kind::StatefulSet, &**object).await,
            Object::Service(object) => self.apply_one(Kind::Service, &**object).await,
            Object::ConfigMap(object) => self.apply_one(Kind::ConfigMap, &**object).await,
            Object::Autoscaler(object) => self.apply_one(Kind::Autoscaler, &**object).await,
            Object::Budget(object) => self.apply_one(Kind::Budget, &**object).await,
            Object::Policy(object) => self.apply_one(Kind::Policy, &**object).await,
            Object::Ingress(object) => self.apply_one(Kind::Ingress, &**object).await,
            Object::Route(object) => self.apply_one(Kind::Route, &**object).await,
        }
    }

    /// Takes the number of pods of a Deployment as it is, by a field manager of its own. Not by force: who has set another number in the meantime owns it, and
    /// then there is nothing to keep.
    pub async fn keep_replicas(&self, kept: &Replicas) -> Result<(), Error> {
        let body = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": { "name": kept.deployment, "namespace": self.key.namespace, "uid": kept.uid },
            "spec": { "replicas": kept.replicas }
        });
        let params = PatchParams::apply(&labels::replicas_manager(&self.key.name));
        let request = self.api::<Deployment>();
        let patch = Patch::Apply(&body);
        match self
            .call(request.patch(&kept.deployment, &params, &patch))
            .await
        {
            Ok(_) | Err(Refusal::Conflict | Refusal::Owned) => Ok(()),
            Err(refusal) => {
                Err(self.error("keep the pods of", "Deployment", &kept.deployment, refusal))
            }
        }
    }

    /// By force only what is known as the platform's own: what others have made under a name that it needs is theirs.
    async fn apply_one<K: Child>(&self, kind: Kind, object: &K) -> Result<(), Error> {
        let name = object.name_any();
        let seen = self.ctx.stores.child(&self.key, kind, &name);
        if seen
            .as_ref()
            .is_some_and(|seen| self.is_leaving(&seen.owner))
        {
            let refusal = Refusal::Other(LEAVING.to_owned());
            return Err(self.error("apply", K::KIND, &name, refusal));
        }
        let is_own = seen.is_some();
        let manager = labels::field_manager(&self.key.name);
        let params = PatchParams {
            force: is_own,
            ..PatchParams::apply(&manager)
        };
        match self
            .call(self.api::<K>().patch(&name, &params, &Patch::Apply(object)))
            .await
        {
            Ok(stored) => {
                self.ctx.written.wrote(
                    &self.key,
                    (kind, &name),
                    stored.resource_version().as_deref(),
                );
                let drift = owned::stamp(&stored).drift;
                let object = format!("{}/{name}", K::KIND);
                self.ctx.drift.applied(&self.key, &object, drift.as_deref());
                Ok(())
            }
            Err(Refusal::Owned) => {
                let refusal = Refusal::Denied(self.foreign());
                Err(self.error("apply", K::KIND, &name, refusal))
            }
            Err(refusal) => Err(self.error("apply", K::KIND, &name, refusal)),
        }
    }

    /// Creates an object that is never patched; one of that name is left alone and remembered.
    pub async fn create(&self, created: &Created) -> Result<(), Error> {
        match created {
            Created::Job(job) => {
                if !self.create_one(Kind::Job, &**job).await? {
                    self.ctx.foreign.insert(&self.key, &job.name_any());
                }
            }
            Created::Claim(claim) => self.create_unless_there(&**claim).await?,
            Created::Revision(revision) => {
                // One that is ours and readable would have been seen.
                if !self.create_one(Kind::Revision, &**revision).await? {
                    let name = revision.name_any();
                    return Err(self.error(
                        "create",
                        "ControllerRevision",
                        &name,
                        Refusal::AlreadyExists,
                    ));
                }
            }
        }
        Ok(())
    }

    /// Creates an object; `false` when one of that name is there already.
    async fn create_one<K: Child>(&self, kind: Kind, object: &K) -> Result<bool, Error> {
        let name = object.name_any();
        match self
            .call(self.api::<K>().create(&self.creation(), object))
            .await
        {
            Ok(stored) => {
                self.ctx.written.wrote(
                    &self.key,
                    (kind, &name),
                    stored.resource_version().as_deref(),
                );
                Ok(true)
            }
            Err(Refusal::AlreadyExists) => Ok(false),
            Err(refusal) => Err(self.error("create", K::KIND, &name, refusal)),
        }
    }

    /// Creates a Secret with fresh content, unless the platform has it.
    pub async fn create_secret(
        &self,
        owner: &CrmPlatform,
        recipe: &SecretRecipe,
    ) -> Result<(), Error> {
        let secret = secrets::secret(owner, recipe).map_err(|source| Error::Generate {
            name: format!("{}/{}", self.key.namespace, recipe.name),
            source,
        })?;
        match self
            .call(self.api().create(&self.creation(), &secret))
            .await
        {
            Ok(stored) => {
                self.note_secret(&stored);
                Ok(())
            }
            Err(Refusal::AlreadyExists) => self.expect_own(&recipe.name).await,
            Err(refusal) => Err(self.error("create", "Secret", &recipe.name, refusal)),
        }
    }

    /// An API server that does not stream Secrets never shows it.
    fn note_secret(&self, stored: &Secret) {
        if self.ctx.stores.own_secrets.is_ready() {
            let (name, version) = (stored.name_any(), stored.resource_version());
            self.ctx
                .written
                .wrote(&self.key, (Kind::Secret, &name), version.as_deref());
        }
    }

    /// A Secret that is there may be one that an earlier platform of this name has left, or somebody else's, whose content the platform must not get.
    async fn expect_own(&self, name: &str) -> Result<(), Error> {
        let gone = || Refusal::Other("one of that name was there and is gone".to_owned());
        let found = self.metadata_of_secret(name).await;
        match found.and_then(|found| found.ok_or_else(gone)) {
            Ok(found) if self.is_leaving(&platform_owner(&found.metadata)) => {
                let refusal = Refusal::Other(LEAVING.to_owned());
                Err(self.error("create", "Secret", name, refusal))
            }
            Ok(found) if labels::are_own(found.labels(), &self.key.name) => Ok(()),
            Ok(_) => Err(Error::NotOurs {
                namespace: self.key.namespace.clone(),
                name: name.to_owned(),
                platform: self.key.name.clone(),
            }),
            Err(refusal) => Err(self.error("create", "Secret", name, refusal)),
        }
    }

    /// By a watch of this one name, which begins with what is there: the right to `get` Secrets would be one to their content.
    async fn metadata_of_secret(
        &self,
        name: &str,
    ) -> Result<Option<PartialObjectMeta<Secret>>, Refusal> {
        let api = self.api::<Secret>();
        let only = WatchParams::default()
            .fields(&format!("metadata.name={name}"))
            .timeout(SHOWN_WITHIN);
        self.call(async {
            let events = api.watch_metadata(&only, "").await?;
            pin_mut!(events);
            match events.try_next().await? {
                Some(WatchEvent::Added(found) | WatchEvent::Modified(found)) => Ok(Some(found)),
                Some(WatchEvent::Error(status)) => Err(kube::Error::Api(status)),
                Some(WatchEvent::Deleted(_) | WatchEvent::Bookmark(_)) | None => Ok(None),
            }
        })
        .await
    }

    /// Creates an object that is not watched, unless there is one of that name.
    async fn create_unless_there<K: Child>(&self, object: &K) -> Result<(), Error> {
        let request = self.api::<K>();
        match self.call(request.create(&self.creation(), object)).await {
            Ok(_) | Err(Refusal::AlreadyExists) => Ok(()),
            Err(refusal) => Err(self.error("create", K::KIND, &object.name_any(), refusal)),
        }
    }

    /// Deletes in the background.
    pub async fn delete(&self, target: &Target) -> Result<(), Error> {
        match target.kind {
            TargetKind::Deployment => {
                self.delete_one::<Deployment>(Kind::Deployment, target)
                    .await
            }
            TargetKind::Service => self.delete_one::<Service>(Kind::Service, target).await,
            TargetKind::Job => self.delete_one::<Job>(Kind::Job, target).await,
            TargetKind::Revision => {
                self.delete_one::<ControllerRevision>(Kind::Revision, target)
                    .await
            }
            TargetKind::Autoscaler => {
                self.delete_one::<HorizontalPodAutoscaler>(Kind::Autoscaler, target)
                    .await
            }
            TargetKind::Budget => {
                self.delete_one::<PodDisruptionBudget>(Kind::Budget, target)
                    .await
            }
            TargetKind::Policy => self.delete_one::<NetworkPolicy>(Kind::Policy, target).await,
            TargetKind::Ingress => self.delete_one::<Ingress>(Kind::Ingress, target).await,
            TargetKind::Route => self.delete_one::<HttpRoute>(Kind::Route, target).await,
        }
    }

    async fn delete_one<K: Child>(&self, kind: Kind, target: &Target) -> Result<(), Error> {
        let uid = (!target.uid.is_empty()).then(|| target.uid.clone());
        let preconditions = uid.map(|uid| Preconditions {
            uid: Some(uid),
            resource_version: None,
        });
        let params = DeleteParams {
            preconditions,
            ..DeleteParams::background()
        };
        match self
            .call(self.api::<K>().delete(&target.name, &params))
            .await
        {
            // A conflict means that a successor of another UID stands there: what was meant is gone.
            Ok(_) | Err(Refusal::NotFound | Refusal::Conflict) => {
                if !target.uid.is_empty() {
                    self.ctx
                        .written
                        .deleted(&self.key, (kind, &target.name), &target.uid);
                }
                Ok(())
            }
            Err(refusal) => Err(self.error("delete", K::KIND, &target.name, refusal)),
        }
    }

    /// Calls for a kind in the namespace of the platform.
    pub fn api<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(&self) -> Api<K> {
        Api::namespaced(self.ctx.client.clone(), &self.key.namespace)
    }

    fn creation(&self) -> PostParams {
        PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        }
    }

    /// One call, of the leader only. kube's own retries may take minutes, so each call has a deadline.
    pub async fn call<T>(
        &self,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, Refusal> {
        // A request is sent when its future is first polled, so not yet.
        if !self.ctx.leadership.leads() {
            return Err(Refusal::NotLeading);
        }
        match timeout(DEADLINE, request).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(kube::Error::Api(status))) if status.is_not_found() || status.code == 404 => {
                Err(Refusal::NotFound)
            }
            Ok(Err(kube::Error::Api(status))) if status.is_already_exists() => {
                Err(Refusal::AlreadyExists)
            }
            Ok(Err(kube::Error::Api(status))) if is_owned(&status) => Err(Refusal::Owned),
            Ok(Err(kube::Error::Api(status))) if status.is_conflict() => Err(Refusal::Conflict),
            Ok(Err(error @ kube::Error::Api(_))) if is_denial(&error) => {
                Err(Refusal::Denied(crate::error::short(&error)))
            }
            Ok(Err(error)) => Err(Refusal::Other(crate::error::short(&error))),
            Err(_) => Err(Refusal::Other(format!(
                "no answer from the API server within {} seconds",
                DEADLINE.as_secs()
            ))),
        }
    }

    /// Why an object is not taken over.
    fn foreign(&self) -> String {
        format!(
            "one of that name is there that others have made, and it is left as it is: use another name for the platform or its service, or remove it if nobody needs it; if it is this platform's own, label it {}",
            labels::own(&self.key.name)
        )
    }

    /// The error of a call that was refused.
    pub fn error(
        &self,
        verb: &'static str,
        kind: &'static str,
        name: &str,
        refusal: Refusal,
    ) -> Error {
        let denied = matches!(refusal, Refusal::Denied(_) | Refusal::AlreadyExists);
        let reason = match refusal {
            Refusal::NotFound => "it is not there (its namespace may be gone)".to_owned(),
            Refusal::Conflict | Refusal::Owned => {
                "somebody else changed it, or its quota, at the same time".to_owned()
            }
            Refusal::AlreadyExists => "there is one of that name already, which is not this platform's or says something else: delete it".to_owned(),
            Refusal::NotLeading => "this process is no longer the leader".to_owned(),
            Refusal::Denied(reason) | Refusal::Other(reason) => reason,
        };
        Error::Request {
            verb,
            kind,
            name: format!("{}/{name}", self.key.namespace),
            reason,
            denied,
            origin: Origin::Standing,
        }
    }
}

/// Whether an apply without force meets what others have set.
fn is_owned(status: &Status) -> bool {
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    status.is_conflict() && causes.any(|cause| cause.reason == FIELD_MANAGER_CONFLICT)
}

/// Whether the API server has understood a request and refuses it. What it cannot do just now (429, 5xx), or does not know yet who asks for (401), may pass by itself.
fn is_denial(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 400 | 403 | 405 | 413 | 415 | 422))
}

/// What the typed calls need of a kind.
trait Child:
    k8s_openapi::Resource
    + Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
{
}

impl<K> Child for K where
    K: k8s_openapi::Resource
        + Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
{
}
