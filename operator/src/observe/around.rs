//! The watches of what stands around the pods: autoscalers, budgets, network policies, and the ways in. Of each object only its content hash is kept, and whether it holds. Their status
//! changes often and says nothing to a plan, so that wakes nobody.
//!
//! A cluster need not know HTTPRoutes. Then nothing is watched, and it is asked again every minute.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::{StreamExt, pin_mut};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::index::Index;
use super::stores::Source;
use crate::context::PlatformKey;
use crate::desired::route::HttpRoute;
use crate::error::innermost;
use crate::observed::{Stamp, owned};
use crate::written::{Kind, Seen};

/// How often a cluster that does not know HTTPRoutes is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(60);
/// And how often an API server that gave no answer.
const NO_ANSWER: Duration = Duration::from_secs(2);

/// What stands around the pods, as it says of its content.
#[derive(Debug, Default)]
pub struct Around {
    autoscalers: Index<Stamp>,
    budgets: Index<Stamp>,
    policies: Index<Stamp>,
    ingresses: Index<Stamp>,
    routes: Index<Stamp>,
    /// Whether the API server serves HTTPRoutes.
    known: AtomicBool,
    /// Whether it was asked.
    asked: watch::Sender<bool>,
}

impl Around {
    /// What a platform's objects say of their content, by `Kind/name`.
    pub fn of(&self, platform: &PlatformKey) -> BTreeMap<String, Stamp> {
        let kinds = [
            ("HorizontalPodAutoscaler", &self.autoscalers),
            ("PodDisruptionBudget", &self.budgets),
            ("NetworkPolicy", &self.policies),
            ("Ingress", &self.ingresses),
            ("HTTPRoute", &self.routes),
        ];
        let all = kinds.into_iter().flat_map(|(kind, index)| {
            let stamps = index.of(platform).into_iter();
            stamps.map(move |(name, stamp)| (format!("{kind}/{name}"), stamp))
        });
        all.collect()
    }

    /// Whether the API server serves HTTPRoutes, and they were listed.
    pub fn knows_routes(&self) -> bool {
        self.known.load(Ordering::Relaxed) && self.routes.is_ready()
    }

    /// UID and version of an object; nothing for kinds that stand elsewhere.
    pub fn seen(&self, platform: &PlatformKey, kind: Kind, name: &str) -> Option<Seen> {
        match kind {
            Kind::Autoscaler => self.autoscalers.seen(platform, name),
            Kind::Budget => self.budgets.seen(platform, name),
            Kind::Policy => self.policies.seen(platform, name),
            Kind::Ingress => self.ingresses.seen(platform, name),
            Kind::Route => self.routes.seen(platform, name),
            _ => None,
        }
    }

    /// Waits until every kind was listed once; HTTPRoutes where there are any.
    pub async fn ready(&self) {
        let routes = async {
            // The sender lives as long as `self`, so waiting cannot fail.
            let _ = self.asked.subscribe().wait_for(|asked| *asked).await;
            if self.known.load(Ordering::Relaxed) {
                self.routes.ready().await;
            }
        };
        tokio::join!(
            self.autoscalers.ready(),
            self.budgets.ready(),
            self.policies.ready(),
            self.ingresses.ready(),
            routes,
        );
    }

    /// Kinds, and whether they were listed.
    pub fn readiness(&self) -> [(&'static str, bool); 5] {
        let known = self.known.load(Ordering::Relaxed);
        let routes = *self.asked.borrow() && (!known || self.routes.is_ready());
        [
            ("HorizontalPodAutoscalers", self.autoscalers.is_ready()),
            ("PodDisruptionBudgets", self.budgets.is_ready()),
            ("NetworkPolicies", self.policies.is_ready()),
            ("Ingresses", self.ingresses.is_ready()),
            ("HTTPRoutes", routes),
        ]
    }

    fn tell(&self, known: bool) {
        self.known.store(known, Ordering::Relaxed);
        self.asked.send_replace(true);
    }
}

impl Source {
    /// Starts the watches.
    pub(super) fn follow_around(self, tasks: &mut JoinSet<()>) {
        let (a, b, c, d) = (self.clone(), self.clone(), self.clone(), self.clone());
        tasks.spawn(async move {
            let index = &a.stores.around.autoscalers;
            a.watch::<HorizontalPodAutoscaler>(index, |_| true).await;
        });
        tasks.spawn(async move {
            let index = &b.stores.around.budgets;
            b.watch::<PodDisruptionBudget>(index, |_| true).await;
        });
        tasks.spawn(async move {
            let index = &c.stores.around.policies;
            c.watch::<NetworkPolicy>(index, |_| true).await;
        });
        tasks.spawn(async move {
            let index = &d.stores.around.ingresses;
            d.watch::<Ingress>(index, |_| true).await;
        });
        tasks.spawn(async move { self.follow_routes().await });
    }

    async fn follow_routes(self) {
        let around = &self.stores.around;
        loop {
            let Some(known) = serves_routes(&self.client).await else {
                // No answer is no reason to forget routes that may be there.
                tokio::time::sleep(NO_ANSWER).await;
                continue;
            };
            around.tell(known);
            if known {
                self.watch::<HttpRoute>(&around.routes, is_served).await;
                around.tell(false);
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    /// Feeds an index from a watch, for as long as `goes_on` says after an error.
    async fn watch<K>(&self, index: &Index<Stamp>, goes_on: impl Fn(&watcher::Error) -> bool)
    where
        K: Resource<DynamicType = ()>
            + Clone
            + Debug
            + DeserializeOwned
            + Serialize
            + Send
            + Sync
            + 'static,
    {
        let config = watcher::Config::default().labels(&self.selector);
        let events = watcher(Api::<K>::all(self.client.clone()), config).default_backoff();
        pin_mut!(events);
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    let view = |object: &K| Some(owned::stamp(object));
                    for platform in index.take_quietly(event, view) {
                        // Nobody listens any more only when the process is ending.
                        let _ = self.changed.unbounded_send(platform);
                    }
                }
                Err(error) if !goes_on(&error) => return,
                Err(error) => {
                    self.metrics.watch_failed(&K::kind(&()));
                    tracing::warn!(kind = %K::kind(&()), %error, cause = innermost(&error), "a watch broke; it is started again");
                }
            }
        }
    }
}

/// Whether the API server serves HTTPRoutes of the version that we write; nothing when it could not be asked.
async fn serves_routes(client: &Client) -> Option<bool> {
    let version = <HttpRoute as k8s_openapi::Resource>::API_VERSION;
    match client.list_api_group_resources(version).await {
        Ok(list) => {
            let kinds = list.resources.iter().map(|resource| resource.kind.as_str());
            Some(kinds.into_iter().any(|kind| kind == "HTTPRoute"))
        }
        Err(kube::Error::Api(status)) if status.code == 404 => Some(false),
        Err(error) => {
            tracing::debug!(%error, cause = innermost(&error), "the API server did not say whether it serves HTTPRoutes; it is asked again");
            None
        }
    }
}

/// Whether an error says nothing about the kind itself.
fn is_served(error: &watcher::Error) -> bool {
    use watcher::Error::{InitialListFailed, WatchFailed, WatchStartFailed};
    match error {
        InitialListFailed(kube::Error::Api(status))
        | WatchStartFailed(kube::Error::Api(status))
        | WatchFailed(kube::Error::Api(status)) => status.code != 404,
        _ => true,
    }
}
