//! Own writes that the watches may not have shown yet, so that a cache older than them is not acted on.
//!
//! # Flow
//! `apply` notes each write with the version the API server gave it. `reconcile` asks first whether the caches have seen them all; if not, it waits for the
//! watch.
//! # Assumptions
//! Versions of objects of one kind can be compared as numbers (promised since Kubernetes 1.35, and so with etcd always). One that is no number is taken as seen.
//! # Caveats
//! A note expires, so that an object that was deleted before a watch saw it holds nothing up. This saves work; safety rests on the version that the status
//! write carries and on Job names.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::context::PlatformKey;

const EXPIRY: Duration = Duration::from_secs(5);

/// Kinds whose writes are noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The platform object (its status).
    Platform,
    /// Pods of a service.
    Deployment,
    /// The embedded database.
    StatefulSet,
    /// Address of a service.
    Service,
    /// Set-up script of the embedded database.
    ConfigMap,
    /// A Job.
    Job,
    /// Recorded inputs of a release.
    Revision,
    /// A Secret that the operator made.
    Secret,
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

/// State of an object in a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// UID of the object.
    pub uid: String,
    /// UID of the platform that owns it; empty for what outlives its platform, and for what others own.
    pub owner: String,
    /// Its version; `None` when it is no number.
    pub version: Option<u64>,
    /// Whether it is being deleted.
    pub deleting: bool,
}

#[derive(Clone, Debug)]
enum Expect {
    Version(u64),
    Gone { uid: String },
}

#[derive(Clone, Debug)]
struct Note {
    kind: Kind,
    name: String,
    expect: Expect,
    until: Instant,
}

/// Notes of writes, per platform.
#[derive(Debug, Default)]
pub struct Written {
    notes: Mutex<HashMap<PlatformKey, Vec<Note>>>,
}

impl Written {
    /// Notes that an object now has this version.
    pub fn wrote(&self, platform: &PlatformKey, (kind, name): (Kind, &str), version: Option<&str>) {
        if let Some(version) = version.and_then(|version| version.parse().ok()) {
            self.note(platform, kind, name, Expect::Version(version));
        }
    }

    /// Notes that an object of this UID was deleted.
    pub fn deleted(&self, platform: &PlatformKey, (kind, name): (Kind, &str), uid: &str) {
        self.note(
            platform,
            kind,
            name,
            Expect::Gone {
                uid: uid.to_owned(),
            },
        );
    }

    fn note(&self, platform: &PlatformKey, kind: Kind, name: &str, expect: Expect) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let notes = notes.entry(platform.clone()).or_default();
        notes.retain(|note| note.kind != kind || note.name != name);
        notes.push(Note {
            kind,
            name: name.to_owned(),
            expect,
            until: Instant::now() + EXPIRY,
        });
    }

    /// Whether a write of this platform is still to be seen by `look`, which finds an object as it is about to be acted on.
    pub fn unseen(
        &self,
        platform: &PlatformKey,
        look: impl Fn(Kind, &str) -> Option<Seen>,
    ) -> bool {
        let mut all = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(notes) = all.get_mut(platform) else {
            return false;
        };
        let now = Instant::now();
        notes
            .retain(|note| note.until > now && !is_seen(&note.expect, look(note.kind, &note.name)));
        let unseen = !notes.is_empty();
        if !unseen {
            all.remove(platform);
        }
        unseen
    }

    /// Drops the notes of a platform that is gone.
    pub fn forget(&self, platform: &PlatformKey) {
        self.notes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(platform);
    }
}

fn is_seen(expect: &Expect, seen: Option<Seen>) -> bool {
    match (expect, seen) {
        (Expect::Version(wanted), Some(seen)) => {
            seen.version.is_none_or(|version| version >= *wanted)
        }
        (Expect::Version(_), None) => false,
        (Expect::Gone { uid }, Some(seen)) => seen.uid != *uid || seen.deleting,
        (Expect::Gone { .. }, None) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acme() -> PlatformKey {
        PlatformKey {
            namespace: "crm".into(),
            name: "acme".into(),
        }
    }

    fn at(version: u64) -> Option<Seen> {
        Some(Seen {
            uid: "u1".into(),
            owner: String::new(),
            version: Some(version),
            deleting: false,
        })
    }

    #[test]
    fn a_cache_older_than_the_own_write_is_not_believed_until_it_catches_up() {
        let written = Written::default();
        written.wrote(&acme(), (Kind::Deployment, "acme-sales"), Some("12"));
        assert!(written.unseen(&acme(), |_, _| at(11)));
        assert!(written.unseen(&acme(), |_, _| None));
        assert!(!written.unseen(&acme(), |_, _| at(12)));
        assert!(
            !written.unseen(&acme(), |_, _| None),
            "a write that was seen once is not waited for again"
        );
    }

    #[test]
    fn a_deleted_object_may_be_gone_or_going_or_replaced() {
        for (seen, unseen) in [
            (at(1), true),
            (None, false),
            (
                Some(Seen {
                    uid: "u1".into(),
                    owner: String::new(),
                    version: None,
                    deleting: true,
                }),
                false,
            ),
            (
                Some(Seen {
                    uid: "u2".into(),
                    owner: String::new(),
                    version: None,
                    deleting: false,
                }),
                false,
            ),
        ] {
            let written = Written::default();
            written.deleted(&acme(), (Kind::Job, "j"), "u1");
            assert_eq!(
                written.unseen(&acme(), |_, _| seen.clone()),
                unseen,
                "{seen:?}"
            );
        }
    }

    #[test]
    fn only_the_last_write_of_an_object_counts() {
        let written = Written::default();
        written.wrote(&acme(), (Kind::Job, "j"), Some("5"));
        written.deleted(&acme(), (Kind::Job, "j"), "u1");
        assert!(!written.unseen(&acme(), |_, _| None));
    }
}
