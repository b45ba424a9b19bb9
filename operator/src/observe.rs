//! IO in: everything a plan may know of one platform.
//!
//! In: the platform object, the caches, the registry. Out: [`Observed`]. No GET and no LIST on the happy path: only a Job that stood in the way of a create
//! and is not in the caches is read from the API server, and `logs` when a plan asks for them. Must not judge what it sees.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::batch::v1::Job;
use kube::{Api, ResourceExt};
use tokio::time::timeout;

use crate::api::CrmPlatform;
use crate::api::status::Memory;
use crate::backoff::asked;
use crate::context::{Context, PlatformKey};
use crate::observed::{JobView, Listing, Observed, Resolution, Stamp, Unresolved, WorkloadView};
use crate::platform::Platform;

pub mod around;
pub mod index;
pub mod logs;
pub mod stores;

pub use stores::{Stores, Watches};

const DEADLINE: Duration = Duration::from_secs(15);

/// A platform could not be observed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A single Job could not be read.
    #[error("failed to read Job \"{job}\": {reason}; it is tried again")]
    ReadJob {
        /// Namespace and name.
        job: String,
        /// Why.
        reason: String,
    },
}

/// What a registry has to be asked before a look, and what it has told of tags.
#[derive(Debug, Default)]
pub struct Questions {
    /// What to ask, by the image reference that needs it: of the spec, or newer ones that may take the place of its image.
    pub images: BTreeMap<String, String>,
    /// Of the repository of `spec.image`, where its tags are followed.
    pub tags: Option<Listing>,
}

impl Questions {
    /// Those of a platform. Never waits for a registry.
    pub fn of(ctx: &Context, platform: &Platform, object: &CrmPlatform) -> Self {
        let (status, nothing) = (object.status.as_ref(), Memory::default());
        let memory = status.map_or(&nothing, |status| &status.memory);
        let tags = list(ctx, platform);
        let listed = tags.as_ref().and_then(|tags| tags.answer.as_ref());
        let listed = listed.and_then(|answer| answer.as_ref().ok());
        let newer = listed.map(|tags| platform.newer_images(memory, tags));
        let mut images = platform.questions(&memory.images);
        let newer = newer.into_iter().flatten();
        images.extend(newer.map(|reference| (reference.clone(), reference)));
        Self { images, tags }
    }
}

/// What is known of the tags that may take the place of `spec.image`.
fn list(ctx: &Context, platform: &Platform) -> Option<Listing> {
    let update = platform.image_update.as_ref()?;
    let permitted = platform.settings.images.permits(&update.begins_at).is_ok();
    let interval = Duration::from_secs(update.interval_seconds.into());
    permitted.then(|| ctx.registry.tags(&update.begins_at, interval))
}

fn memory(object: &CrmPlatform) -> Memory {
    let status = object.status.as_ref();
    status
        .map(|status| status.memory.clone())
        .unwrap_or_default()
}

/// Looks at one platform.
///
/// # Errors
/// When a Job that is not in the caches cannot be read.
pub async fn observe(
    ctx: &Context,
    object: &CrmPlatform,
    questions: Questions,
) -> Result<Observed, Error> {
    let key = PlatformKey::of(object);
    let resolutions = resolve(ctx, &questions.images).await;
    let mut jobs = ctx.stores.jobs.of(&key);
    jobs.extend(foreign_jobs(ctx, &key).await?);
    let uid = object.uid().unwrap_or_default();
    let revisions = ctx.stores.revisions.of(&key).into_values();
    let revisions: Vec<_> = revisions.filter(|revision| revision.owner == uid).collect();
    let uids = revisions
        .iter()
        .map(|revision| (revision.id.clone(), revision.uid.clone()));
    let record_uids = uids.collect();
    let releases = revisions
        .into_iter()
        .map(|revision| (revision.id, revision.release))
        .collect();
    let uid = object.uid().unwrap_or_default();
    let mut seen = workloads(ctx, &key, &uid);
    Ok(Observed {
        memory: memory(object),
        resolutions,
        tags: questions.tags,
        releases,
        record_uids,
        logs: BTreeMap::new(),
        jobs,
        pods: ctx.stores.pods.of(&key).into_values().collect(),
        others: stamped(ctx, &key, &mut seen.drifted),
        secrets: (ctx.stores.secrets.is_ready()).then(|| ctx.stores.secrets.of(&key)),
        own_secrets: own_secrets(ctx, &key, &uid),
        knows_routes: ctx.stores.around.knows_routes(),
        denied: ctx.backoff.denied(&key, asked(&object.metadata)),
        ..seen
    })
}

/// Names of the operator's own Secrets, without those that are about to go with an earlier platform of that name.
fn own_secrets(ctx: &Context, key: &PlatformKey, uid: &str) -> Option<BTreeSet<String>> {
    let own = &ctx.stores.own_secrets;
    let stays = |owner: &String| owner.is_empty() || owner == uid;
    let all = own.is_ready().then(|| own.of(key).into_iter())?;
    Some(
        all.filter(|(_, owner)| stays(owner))
            .map(|(name, _)| name)
            .collect(),
    )
}

/// Deployments and the embedded database, with what became of their content hashes. Those of an earlier platform of that name are about to go.
fn workloads(ctx: &Context, key: &PlatformKey, uid: &str) -> Observed {
    let is_own = |seen: &WorkloadView| seen.owner.is_empty() || seen.owner == uid;
    let mut deployments = ctx.stores.deployments.of(key);
    deployments.retain(|_, seen| is_own(seen));
    let mut sets = ctx.stores.stateful_sets.of(key).into_values();
    let mut database = sets.find(is_own);
    let mut drifted = BTreeMap::new();
    let all = deployments.values_mut().map(|seen| ("Deployment", seen));
    let all = all.chain(database.iter_mut().map(|seen| ("StatefulSet", seen)));
    for (kind, seen) in all {
        let stamp = Stamp {
            hash: std::mem::take(&mut seen.hash),
            drift: seen.drift.take(),
        };
        let object = format!("{kind}/{}", seen.name);
        let by = stamp.drift.as_ref().map(|drift| drift.by.clone());
        seen.contested = by.filter(|_| ctx.drift.is_left(key, &object));
        seen.hash = ctx.drift.judge((key, object), stamp, &mut drifted);
    }
    Observed {
        deployments,
        database,
        drifted,
        ..Observed::default()
    }
}

/// Content hashes of all else that is applied.
fn stamped(
    ctx: &Context,
    key: &PlatformKey,
    drifted: &mut BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let services = ctx.stores.services.of(key).into_iter();
    let services = services.map(|(name, stamp)| (format!("Service/{name}"), stamp));
    let config_maps = ctx.stores.config_maps.of(key).into_iter();
    let config_maps = config_maps.map(|(name, stamp)| (format!("ConfigMap/{name}"), stamp));
    let around = ctx.stores.around.of(key);
    let all = services.chain(config_maps).chain(around);
    all.map(|(object, stamp)| {
        let hash = ctx.drift.judge((key, object.clone()), stamp, drifted);
        (object, hash)
    })
    .collect()
}

/// Asks the registry, and leaves out what it has not answered yet.
async fn resolve(
    ctx: &Context,
    questions: &BTreeMap<String, String>,
) -> BTreeMap<String, Result<Resolution, Unresolved>> {
    let answers = questions.iter().map(|(reference, question)| async move {
        let answer = ctx.registry.resolve(question).await;
        answer.map(|answer| (reference.clone(), answer))
    });
    join_all(answers).await.into_iter().flatten().collect()
}

async fn foreign_jobs(
    ctx: &Context,
    key: &PlatformKey,
) -> Result<BTreeMap<String, JobView>, Error> {
    let mut found = BTreeMap::new();
    for name in ctx.foreign.of(key) {
        if ctx.stores.jobs.seen(key, &name).is_some() {
            ctx.foreign.remove(key, &name);
            continue;
        }
        match read_job(ctx, key, &name).await? {
            Some(job) => {
                found.insert(name, JobView::from(&job));
            }
            None => ctx.foreign.remove(key, &name),
        }
    }
    Ok(found)
}

async fn read_job(ctx: &Context, key: &PlatformKey, name: &str) -> Result<Option<Job>, Error> {
    let failed = |reason: String| Error::ReadJob {
        job: format!("{}/{name}", key.namespace),
        reason,
    };
    let api = Api::<Job>::namespaced(ctx.client.clone(), &key.namespace);
    match timeout(DEADLINE, api.get_opt(name)).await {
        Ok(Ok(job)) => Ok(job),
        Ok(Err(error)) => Err(failed(crate::error::short(&error))),
        Err(_) => Err(failed(format!(
            "no answer within {} seconds",
            DEADLINE.as_secs()
        ))),
    }
}

/// Names of Jobs that stood in the way of a create: ours and not yet in the cache, or somebody else's. Remembered until they are gone.
#[derive(Debug, Default)]
pub struct ForeignJobs {
    names: Mutex<HashMap<PlatformKey, BTreeSet<String>>>,
}

impl ForeignJobs {
    /// Remembers a Job that was there already.
    pub fn insert(&self, platform: &PlatformKey, name: &str) {
        self.lock()
            .entry(platform.clone())
            .or_default()
            .insert(name.to_owned());
    }

    /// The Jobs of a platform.
    pub fn of(&self, platform: &PlatformKey) -> Vec<String> {
        self.lock()
            .get(platform)
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    /// Forgets a platform that is gone.
    pub fn forget(&self, platform: &PlatformKey) {
        self.lock().remove(platform);
    }

    fn remove(&self, platform: &PlatformKey, name: &str) {
        if let Some(names) = self.lock().get_mut(platform) {
            names.remove(name);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<PlatformKey, BTreeSet<String>>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
