//! IO in: everything a plan may know of one platform.
//!
//! In: the platform object, the caches, the registry. Out: [`Observed`]. No GET and no LIST on the happy path: only a Job that stood in the way of a create
//! and is not in the caches is read from the API server. Must not judge what it sees.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::batch::v1::Job;
use kube::{Api, ResourceExt};
use tokio::time::timeout;

use crate::api::CrmPlatform;
use crate::context::{Context, PlatformKey};
use crate::observed::{JobView, Observed, Resolution, Unresolved};

pub mod index;
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

/// Looks at one platform. `questions` are what a registry has to be asked, by the image reference of its spec.
///
/// # Errors
/// When a Job that is not in the caches cannot be read.
pub async fn observe(
    ctx: &Context,
    object: &CrmPlatform,
    questions: &BTreeMap<String, String>,
) -> Result<Observed, Error> {
    let key = PlatformKey::of(object);
    let memory = object
        .status
        .as_ref()
        .map(|status| status.memory.clone())
        .unwrap_or_default();
    let resolutions = resolve(ctx, questions).await;
    let mut jobs = ctx.stores.jobs.of(&key);
    jobs.extend(foreign_jobs(ctx, &key).await?);
    let uid = object.uid().unwrap_or_default();
    let releases = ctx
        .stores
        .revisions
        .of(&key)
        .into_values()
        .filter(|revision| revision.owner == uid)
        .map(|revision| (revision.id, revision.release))
        .collect();
    Ok(Observed {
        memory,
        resolutions,
        releases,
        deployments: ctx.stores.deployments.of(&key),
        jobs,
        pods: ctx.stores.pods.of(&key).into_values().collect(),
        database: ctx.stores.stateful_sets.of(&key).into_values().next(),
        others: hashes(ctx, &key),
    })
}

fn hashes(ctx: &Context, key: &PlatformKey) -> BTreeMap<String, String> {
    let services = ctx
        .stores
        .services
        .of(key)
        .into_iter()
        .map(|(name, hash)| (format!("Service/{name}"), hash));
    let config_maps = ctx
        .stores
        .config_maps
        .of(key)
        .into_iter()
        .map(|(name, hash)| (format!("ConfigMap/{name}"), hash));
    services.chain(config_maps).collect()
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
