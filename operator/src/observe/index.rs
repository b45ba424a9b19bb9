//! What a watch has seen of one kind: a small view per object, found by platform and name.
//!
//! In: watch events. Out: views, and which platforms an event concerns. It keeps views instead of objects, which are many times as large, and looks only at
//! one platform's objects, however many platforms there are. Must not decide anything.

use std::collections::{BTreeMap, HashMap};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};
use tokio::sync::watch;

use crate::context::PlatformKey;
use crate::desired::labels;
use crate::observed::platform_owner;
use crate::written::Seen;

/// Views of all objects of one kind.
#[derive(Debug)]
pub struct Index<V> {
    /// Label that names the platform of an object.
    label: &'static str,
    state: RwLock<State<V>>,
    ready: watch::Sender<bool>,
}

#[derive(Debug)]
struct State<V> {
    platforms: Platforms<V>,
    /// Filled during a new list, which replaces `platforms` once it is whole.
    arriving: Platforms<V>,
}

#[derive(Debug)]
struct Platforms<V> {
    entries: HashMap<PlatformKey, BTreeMap<String, Entry<V>>>,
    /// Platform of each object by UID: a changed label moves an object away from where it was.
    homes: HashMap<String, PlatformKey>,
}

#[derive(Debug)]
struct Entry<V> {
    seen: Seen,
    view: V,
}

impl<V> Default for Platforms<V> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            homes: HashMap::new(),
        }
    }
}

impl<V> Default for Index<V> {
    fn default() -> Self {
        Self::by(labels::PLATFORM)
    }
}

impl<V> Index<V> {
    /// An index of objects that name their platform by this label.
    pub fn by(label: &'static str) -> Self {
        Self {
            label,
            state: RwLock::new(State {
                platforms: Platforms::default(),
                arriving: Platforms::default(),
            }),
            ready: watch::Sender::new(false),
        }
    }
}

impl<V: Clone> Index<V> {
    /// Takes a watch event in; returns the platforms it concerns. An object without a view (`None`) counts as absent.
    pub fn take<K: Resource>(
        &self,
        event: Event<K>,
        view: impl Fn(&K) -> Option<V>,
    ) -> Vec<PlatformKey> {
        let mut state = self.write();
        match event {
            Event::Apply(object) => {
                let home = home(&object, self.label);
                state.platforms.put(&object, home, view(&object))
            }
            Event::Delete(object) => state.platforms.remove(&object).into_iter().collect(),
            Event::Init => {
                state.arriving = Platforms::default();
                Vec::new()
            }
            Event::InitApply(object) => {
                let home = home(&object, self.label);
                state.arriving.put(&object, home, view(&object));
                Vec::new()
            }
            Event::InitDone => {
                let arrived = std::mem::take(&mut state.arriving);
                let before = std::mem::replace(&mut state.platforms, arrived);
                let mut concerned: Vec<_> = before
                    .entries
                    .into_keys()
                    .chain(state.platforms.entries.keys().cloned())
                    .collect();
                drop(state);
                concerned.sort();
                concerned.dedup();
                self.ready.send_replace(true);
                concerned
            }
        }
    }

    /// As [`Index::take`], but a change that the view does not show concerns nobody: the status of some kinds changes every few seconds.
    pub fn take_quietly<K: Resource>(
        &self,
        event: Event<K>,
        view: impl Fn(&K) -> Option<V>,
    ) -> Vec<PlatformKey>
    where
        V: PartialEq,
    {
        let known = match &event {
            Event::Apply(object) => {
                let state = self.read();
                let entry = home(object, self.label).and_then(|home| {
                    let entries = state.platforms.entries.get(&home)?;
                    entries.get(&object.name_any())
                });
                entry.is_some_and(|entry| {
                    let (before, now) = (&entry.seen, seen(object));
                    (&before.uid, before.deleting) == (&now.uid, now.deleting)
                        && Some(&entry.view) == view(object).as_ref()
                })
            }
            _ => false,
        };
        let concerned = self.take(event, view);
        if known { Vec::new() } else { concerned }
    }

    /// Views of a platform's objects by name.
    pub fn of(&self, platform: &PlatformKey) -> BTreeMap<String, V> {
        let state = self.read();
        let entries = state.platforms.entries.get(platform);
        entries
            .into_iter()
            .flatten()
            .map(|(name, entry)| (name.clone(), entry.view.clone()))
            .collect()
    }

    /// UID and version of one object.
    pub fn seen(&self, platform: &PlatformKey, name: &str) -> Option<Seen> {
        self.read()
            .platforms
            .entries
            .get(platform)?
            .get(name)
            .map(|entry| entry.seen.clone())
    }

    /// Waits for the first whole list.
    pub async fn ready(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.ready.subscribe().wait_for(|ready| *ready).await;
    }

    /// Whether the first whole list was seen.
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    fn read(&self) -> RwLockReadGuard<'_, State<V>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<V>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Platforms<V> {
    fn put<K: Resource>(
        &mut self,
        object: &K,
        home: Option<PlatformKey>,
        view: Option<V>,
    ) -> Vec<PlatformKey> {
        let mut concerned: Vec<_> = self.remove(object).into_iter().collect();
        if let (Some(home), Some(view)) = (home, view) {
            self.homes
                .insert(object.uid().unwrap_or_default(), home.clone());
            self.entries.entry(home.clone()).or_default().insert(
                object.name_any(),
                Entry {
                    seen: seen(object),
                    view,
                },
            );
            concerned.push(home);
            concerned.dedup();
        }
        concerned
    }

    /// Forgets an object of this UID; a successor of the same name stays.
    fn remove<K: Resource>(&mut self, object: &K) -> Option<PlatformKey> {
        let uid = object.uid().unwrap_or_default();
        let home = self.homes.remove(&uid)?;
        let entries = self.entries.get_mut(&home)?;
        if entries
            .get(&object.name_any())
            .is_some_and(|entry| entry.seen.uid == uid)
        {
            entries.remove(&object.name_any());
        }
        if entries.is_empty() {
            self.entries.remove(&home);
        }
        Some(home)
    }
}

fn home<K: Resource>(object: &K, label: &str) -> Option<PlatformKey> {
    let name = object.labels().get(label)?.clone();
    Some(PlatformKey {
        namespace: object.namespace()?,
        name,
    })
}

/// UID and version of an object.
pub fn seen<K: Resource>(object: &K) -> Seen {
    Seen {
        uid: object.uid().unwrap_or_default(),
        owner: platform_owner(object.meta()),
        version: object
            .resource_version()
            .and_then(|version| version.parse().ok()),
        deleting: object.meta().deletion_timestamp.is_some(),
    }
}

#[cfg(test)]
mod tests;
