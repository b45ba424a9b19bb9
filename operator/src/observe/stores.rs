//! The watches of everything that platforms own, one per kind, and what they have seen.
//!
//! In: a client. Out: [`Stores`] that fill themselves, and a stream of the platforms whose objects changed. Only objects that carry the operator's label are
//! watched.

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::{StreamExt, pin_mut};
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service};
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{self, watcher};
use kube::runtime::{WatchStreamExt, reflector};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::around::Around;
use super::index::{Index, seen};
use crate::api::CrmPlatform;
use crate::context::PlatformKey;
use crate::controller::Watched;
use crate::desired::labels;
use crate::error::innermost;
use crate::metrics::Metrics;
use crate::observed::{JobView, PodView, Stamp, WorkloadView, owned, platform_owner};
use crate::platform::release::Release;
use crate::written::{Kind, Seen};

/// How long the first reconcile waits for Secrets.
const SECRETS_AFTER: Duration = Duration::from_secs(2);

/// The recorded inputs of a release and whose they are.
#[derive(Clone, Debug)]
pub struct RevisionView {
    /// UID of the controlling owner.
    pub owner: String,
    /// Its own UID.
    pub uid: String,
    /// Release label.
    pub id: String,
    /// The inputs.
    pub release: Release,
}

/// What the watches have seen.
pub struct Stores {
    /// The platform objects.
    pub platforms: reflector::Store<Watched>,
    /// Pods of services, stable and candidate.
    pub deployments: Index<WorkloadView>,
    /// Embedded databases.
    pub stateful_sets: Index<WorkloadView>,
    /// Jobs.
    pub jobs: Index<JobView>,
    /// Pods.
    pub pods: Index<PodView>,
    /// Services.
    pub services: Index<Stamp>,
    /// ConfigMaps.
    pub config_maps: Index<Stamp>,
    /// Recorded releases.
    pub revisions: Index<RevisionView>,
    /// What stands around the pods.
    pub around: Around,
    /// Versions of the user's Secrets that platforms may use; nothing else is known of them.
    pub secrets: Index<String>,
    /// The operator's own Secrets that are there: the UID of the platform that owns each, empty for what outlives it.
    pub own_secrets: Index<String>,
}

/// The running watches; they end when this is dropped.
pub struct Watches {
    /// Platforms whose objects changed.
    pub changed: UnboundedReceiver<PlatformKey>,
    /// Keeps the watches running.
    pub tasks: JoinSet<()>,
}

impl Stores {
    /// Stores without content; `platforms` is filled by the controller's own watch.
    pub fn new(platforms: reflector::Store<Watched>) -> Arc<Self> {
        Arc::new(Self {
            platforms,
            deployments: Index::default(),
            stateful_sets: Index::default(),
            jobs: Index::default(),
            pods: Index::default(),
            services: Index::default(),
            config_maps: Index::default(),
            revisions: Index::default(),
            around: Around::default(),
            secrets: Index::by(labels::USABLE_BY),
            own_secrets: Index::default(),
        })
    }

    /// Starts the watches.
    pub fn watch(self: &Arc<Self>, client: &Client, metrics: &Arc<Metrics>) -> Watches {
        let (sender, changed) = unbounded();
        let mut tasks = JoinSet::new();
        let source = Source {
            client: client.clone(),
            changed: sender,
            metrics: metrics.clone(),
            stores: self.clone(),
            selector: selector(None),
        };
        tasks.spawn(source.clone().follow(
            |stores| &stores.deployments,
            |object: &Deployment| Some(object.into()),
        ));
        tasks.spawn(source.clone().follow(
            |stores| &stores.stateful_sets,
            |object: &StatefulSet| Some(object.into()),
        ));
        tasks.spawn(
            source
                .clone()
                .follow(|stores| &stores.jobs, |object: &Job| Some(object.into())),
        );
        tasks.spawn(
            source
                .clone()
                .follow(|stores| &stores.pods, |object: &Pod| Some(object.into())),
        );
        tasks.spawn(source.clone().follow(
            |stores| &stores.services,
            |object: &Service| Some(owned::stamp(object)),
        ));
        // Those of a release hold whole reports: nobody looks at them here, and they are large.
        let small = Source {
            selector: selector(Some(labels::RELEASE)),
            ..source.clone()
        };
        tasks.spawn(small.follow(
            |stores| &stores.config_maps,
            |object: &ConfigMap| Some(owned::stamp(object)),
        ));
        tasks.spawn(source.clone().follow(|stores| &stores.revisions, revision));
        source.clone().follow_around(&mut tasks);
        let own = selector(None);
        tasks.spawn(source.clone().follow_by(
            secrets(&own),
            |stores| &stores.own_secrets,
            |object: &PartialObjectMeta<Secret>| Some(platform_owner(&object.metadata)),
        ));
        tasks.spawn(source.follow_by(
            secrets(labels::USABLE_BY),
            |stores| &stores.secrets,
            |object: &PartialObjectMeta<Secret>| {
                let version = object.resource_version().unwrap_or_default();
                Some(format!("{}/{version}", object.uid().unwrap_or_default()))
            },
        ));
        Watches { changed, tasks }
    }

    /// Waits until every kind was listed once; for Secrets only a moment: an API server that cannot stream them holds up only platforms that use some.
    pub async fn ready(&self) {
        let _ = tokio::join!(
            self.deployments.ready(),
            self.stateful_sets.ready(),
            self.jobs.ready(),
            self.pods.ready(),
            self.services.ready(),
            self.config_maps.ready(),
            self.revisions.ready(),
            self.around.ready(),
            timeout(SECRETS_AFTER, self.secrets.ready()),
            timeout(SECRETS_AFTER, self.own_secrets.ready()),
        );
    }

    /// Kinds that were not listed yet.
    pub fn missing(&self) -> Vec<&'static str> {
        [
            ("Deployments", self.deployments.is_ready()),
            ("StatefulSets", self.stateful_sets.is_ready()),
            ("Jobs", self.jobs.is_ready()),
            ("Pods", self.pods.is_ready()),
            ("Services", self.services.is_ready()),
            ("ConfigMaps", self.config_maps.is_ready()),
            ("ControllerRevisions", self.revisions.is_ready()),
        ]
        .into_iter()
        .chain(self.around.readiness())
        .filter_map(|(kind, ready)| (!ready).then_some(kind))
        .collect()
    }

    /// UID and version of an object of a platform, as the watches have it. Of the platform itself the `object` in hand counts, not the store: the store may
    /// have moved on since it was taken from there.
    pub fn seen(&self, object: &CrmPlatform, kind: Kind, name: &str) -> Option<Seen> {
        match kind {
            Kind::Platform => Some(seen(object)),
            kind => self.child(&PlatformKey::of(object), kind, name),
        }
    }

    /// UID and version of what a platform has made.
    pub fn child(&self, platform: &PlatformKey, kind: Kind, name: &str) -> Option<Seen> {
        match kind {
            Kind::Deployment => self.deployments.seen(platform, name),
            Kind::StatefulSet => self.stateful_sets.seen(platform, name),
            Kind::Service => self.services.seen(platform, name),
            Kind::ConfigMap => self.config_maps.seen(platform, name),
            Kind::Job => self.jobs.seen(platform, name),
            Kind::Revision => self.revisions.seen(platform, name),
            Kind::Secret => self.own_secrets.seen(platform, name),
            kind => self.around.seen(platform, kind, name),
        }
    }
}

/// Selects what this operator made, without objects that have a label `except`.
fn selector(except: Option<&str>) -> String {
    let ours = format!("{}={}", labels::MANAGED_BY, labels::MANAGER);
    match except {
        Some(label) => format!("{ours},!{label}"),
        None => ours,
    }
}

/// What each watch needs.
#[derive(Clone)]
pub(super) struct Source {
    pub client: Client,
    pub changed: UnboundedSender<PlatformKey>,
    pub metrics: Arc<Metrics>,
    pub stores: Arc<Stores>,
    /// Labels of what is watched.
    pub selector: String,
}

impl Source {
    /// Feeds one index from one watch, for ever; a watch that breaks is started again after kube's default backoff.
    fn follow<K, V>(
        self,
        index: impl Fn(&Stores) -> &Index<V> + Send + 'static,
        view: impl Fn(&K) -> Option<V> + Send + Sync + 'static,
    ) -> impl Future<Output = ()> + Send + 'static
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
        V: Clone + Send + Sync + 'static,
    {
        let config = watcher::Config::default().labels(&self.selector);
        self.follow_by(config, index, view)
    }

    /// The same, of what a watch of its own selects.
    async fn follow_by<K, V>(
        self,
        config: watcher::Config,
        index: impl Fn(&Stores) -> &Index<V> + Send + 'static,
        view: impl Fn(&K) -> Option<V> + Send + Sync + 'static,
    ) where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
        V: Clone + Send + Sync + 'static,
    {
        let events = watcher(Api::<K>::all(self.client.clone()), config).default_backoff();
        pin_mut!(events);
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    for platform in index(&self.stores).take(event, &view) {
                        // Nobody listens any more only when the process is ending.
                        let _ = self.changed.unbounded_send(platform);
                    }
                }
                Err(error) => {
                    self.metrics.watch_failed(&K::kind(&()));
                    tracing::warn!(kind = %K::kind(&()), %error, cause = innermost(&error), "a watch broke; it is started again");
                }
            }
        }
    }
}

/// A watch of Secrets: only those with these labels, and of each only its metadata. It streams what is there, so that it needs the verb `watch` alone and nothing
/// can be listed.
fn secrets(selector: &str) -> watcher::Config {
    watcher::Config::default()
        .labels(selector)
        .streaming_lists()
}

/// A record that cannot be read counts as absent: the plan then says that the release cannot be built again, instead of building a wrong one. Records that
/// a StatefulSet keeps of itself carry the platform's labels too, but no release.
fn revision(object: &ControllerRevision) -> Option<RevisionView> {
    let id = object.labels().get(labels::RELEASE)?.clone();
    let owner = object
        .owner_references()
        .iter()
        .find(|owner| owner.controller == Some(true))?;
    match serde_json::from_value::<Release>(object.data.0.clone()) {
        Ok(release) if release.id() != id => {
            tracing::warn!(revision = %object.name_any(), namespace = object.namespace(), "a recorded release is not the one its label names, and is not believed");
            None
        }
        Ok(release) => Some(RevisionView {
            owner: owner.uid.clone(),
            uid: object.uid().unwrap_or_default(),
            id,
            release,
        }),
        Err(error) => {
            tracing::warn!(revision = %object.name_any(), namespace = object.namespace(), %error, "a recorded release cannot be read");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_maps_of_releases_do_not_come_down_the_watch() {
        let all = "app.kubernetes.io/managed-by=crm-operator";
        assert_eq!(selector(None), all);
        let small = selector(Some(labels::RELEASE));
        assert_eq!(small, format!("{all},!crmplatform.io/release"));
    }
}
