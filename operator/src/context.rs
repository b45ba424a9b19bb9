//! What every reconcile shares: the client, the caches, the registry, and the little this process remembers between two looks.
//!
//! Nothing here is needed after a restart: what must not be forgotten is in the status.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use kube::runtime::reflector::ObjectRef;
use kube::{Client, Resource, ResourceExt};

use crate::backoff::Backoff;
use crate::controller::Watched;
use crate::drift::Memory;
use crate::leader::Leadership;
use crate::metrics::Metrics;
use crate::observe::{ForeignJobs, Stores};
use crate::platform::Settings;
use crate::registry::Registry;
use crate::status::Unsaved;
use crate::told::Told;
use crate::written::Written;

/// Name of this controller in metrics and events.
pub const CONTROLLER: &str = "crmplatform";

/// Namespace and name of a `CrmPlatform`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlatformKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl PlatformKey {
    /// Key of the platform object itself.
    pub fn of<K: Resource>(object: &K) -> Self {
        Self {
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
        }
    }

    /// Reference by which the controller's queue knows it.
    pub fn object_ref(&self) -> ObjectRef<Watched> {
        ObjectRef::new(&self.name).within(&self.namespace)
    }
}

impl std::fmt::Display for PlatformKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Shared by all reconciles.
pub struct Context {
    /// Client of the API server.
    pub client: Client,
    /// What the watches have seen.
    pub stores: Arc<Stores>,
    /// Turns tags into digests.
    pub registry: Registry,
    /// Operator configuration that a plan may know.
    pub settings: Settings,
    /// Delays after failures.
    pub backoff: Backoff,
    /// What people were told lately of writes that fail.
    pub told: Told,
    /// Own writes that the watches may not have shown yet.
    pub written: Written,
    /// What the API server makes of own applies, and what was told of drift.
    pub drift: Memory,
    /// Names of Jobs that stood in the way of a create.
    pub foreign: ForeignJobs,
    /// What was found of a platform and is not written yet.
    pub unsaved: Findings,
    /// Whether this process may write.
    pub leadership: Arc<Leadership>,
    /// Numbers for Prometheus.
    pub metrics: Arc<Metrics>,
    /// Name of this process in events.
    pub instance: String,
}

impl Context {
    /// Drops what is remembered of a platform that is gone.
    pub fn forget(&self, platform: &PlatformKey) {
        self.backoff.reset(platform);
        self.told.forget(platform);
        self.written.forget(platform);
        self.drift.forget(platform);
        self.foreign.forget(platform);
        self.unsaved.keep(platform, None);
    }
}

/// What was found and is not written yet, by platform.
#[derive(Debug, Default)]
pub struct Findings {
    all: Mutex<HashMap<PlatformKey, Unsaved>>,
}

impl Findings {
    /// What was found of a platform.
    pub fn of(&self, platform: &PlatformKey) -> Option<Unsaved> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(platform).cloned()
    }

    /// Keeps this of a platform, and nothing of before.
    pub fn keep(&self, platform: &PlatformKey, unsaved: Option<Unsaved>) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        match unsaved {
            Some(unsaved) => all.insert(platform.clone(), unsaved),
            None => all.remove(platform),
        };
    }
}
