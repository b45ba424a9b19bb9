//! What this process remembers of drift: what the API server makes of own applies, and of what people were told lately.
//!
//! In: what an own apply came out as, and what the watches show. Out: whether something is drift. An admission webhook may change what we apply; that comes out
//! the same every time, so it is taken as it is, or both would write for ever. Nothing of it is needed after a restart: then it costs one apply.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::context::PlatformKey;
use crate::observed::Stamp;
use crate::observed::owned::Drift;

/// How long a correction of the same object is not told again; each is counted.
const TOLD_FOR: Duration = Duration::from_secs(60);
/// Corrections of one object within that time; then it is left as it is until the time is over: whoever changes it does so at once again.
const CORRECTIONS: u32 = 5;

/// What is remembered, by platform and `Kind/name`.
#[derive(Debug, Default)]
pub struct Memory {
    objects: Mutex<HashMap<PlatformKey, BTreeMap<String, Object>>>,
}

#[derive(Debug, Default)]
struct Object {
    /// What an own apply came out as, where that is not what was applied.
    came_out: Option<Drift>,
    told: Option<Instant>,
    /// Corrections since then.
    corrections: u32,
}

impl Object {
    fn is_recent(&self) -> bool {
        self.told.is_some_and(|told| told.elapsed() < TOLD_FOR)
    }

    fn is_quarrel(&self) -> bool {
        self.is_recent() && self.corrections >= CORRECTIONS
    }
}

impl Memory {
    /// Notes what an own apply came out as.
    pub fn applied(&self, platform: &PlatformKey, object: &str, drift: Option<&Drift>) {
        let mut all = self.lock();
        match drift {
            Some(drift) => {
                tracing::warn!(%platform, object, "what was applied is stored in another form (an admission webhook may change it); it is taken as it is");
                let objects = all.entry(platform.clone()).or_default();
                objects.entry(object.to_owned()).or_default().came_out = Some(drift.clone());
            }
            None => {
                let objects = all.get_mut(platform);
                if let Some(known) = objects.and_then(|objects| objects.get_mut(object)) {
                    known.came_out = None;
                }
            }
        }
    }

    /// The content hash of an object: that on it, or none when it has drifted, which is then entered into `drifted`.
    pub fn judge(
        &self,
        (platform, object): (&PlatformKey, String),
        stamp: Stamp,
        drifted: &mut BTreeMap<String, String>,
    ) -> String {
        let Some(drift) = stamp.drift else {
            return stamp.hash;
        };
        let all = self.lock();
        let known = all.get(platform).and_then(|objects| objects.get(&object));
        if known.is_some_and(Object::is_quarrel) {
            return drift.claims;
        }
        let known = known.and_then(|known| known.came_out.as_ref());
        if known.is_some_and(|own| (&own.claims, &own.holds) == (&drift.claims, &drift.holds)) {
            return drift.claims;
        }
        drifted.insert(object, drift.by);
        String::new()
    }

    /// Whether an object is left as somebody else wants it, until the time is over.
    pub fn is_left(&self, platform: &PlatformKey, object: &str) -> bool {
        let all = self.lock();
        let known = all.get(platform).and_then(|objects| objects.get(object));
        known.is_some_and(Object::is_quarrel)
    }

    /// Counts a correction, and answers whether it is told: another controller that always changes the same object again must not flood the events.
    pub fn is_news(&self, platform: &PlatformKey, object: &str) -> bool {
        let mut all = self.lock();
        let objects = all.entry(platform.clone()).or_default();
        objects.retain(|_, known| known.came_out.is_some() || known.is_recent());
        let known = objects.entry(object.to_owned()).or_default();
        let is_news = !known.is_recent();
        known.corrections += 1;
        if is_news {
            known.told = Some(Instant::now());
            known.corrections = 1;
        }
        is_news
    }

    /// When an object of a platform that is left as it is will be put back: nobody else may wake us then.
    pub fn truce_ends(&self, platform: &PlatformKey) -> Option<Duration> {
        let all = self.lock();
        let objects = all.get(platform)?.values();
        let quarrels = objects.filter(|object| object.is_quarrel());
        let left =
            quarrels.filter_map(|object| Some(TOLD_FOR.saturating_sub(object.told?.elapsed())));
        left.min()
    }

    /// Drops what is remembered of a platform that is gone.
    pub fn forget(&self, platform: &PlatformKey) {
        self.lock().remove(platform);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PlatformKey, BTreeMap<String, Object>>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn drift(holds: &str) -> Drift {
        Drift {
            claims: "a-b".into(),
            holds: holds.into(),
            by: "kubectl-edit".into(),
        }
    }

    fn judge(memory: &Memory, holds: &str) -> (String, usize) {
        let mut drifted = BTreeMap::new();
        let stamp = Stamp {
            hash: String::new(),
            drift: Some(Box::new(drift(holds))),
        };
        let hash = memory.judge((&acme(), "Service/acme-sales".into()), stamp, &mut drifted);
        (hash, drifted.len())
    }

    #[test]
    fn what_an_own_apply_comes_out_as_is_not_applied_for_ever() {
        let memory = Memory::default();
        assert_eq!(judge(&memory, "c"), (String::new(), 1));
        memory.applied(&acme(), "Service/acme-sales", Some(&drift("c")));
        assert_eq!(judge(&memory, "c"), ("a-b".to_owned(), 0));
        assert_eq!(
            judge(&memory, "d"),
            (String::new(), 1),
            "what somebody changes beside that is drift"
        );
        memory.applied(&acme(), "Service/acme-sales", None);
        assert_eq!(judge(&memory, "c").1, 1);
    }

    #[test]
    fn a_quarrel_does_not_go_on_as_fast_as_it_can() {
        let memory = Memory::default();
        for _ in 0..CORRECTIONS {
            assert_eq!(memory.truce_ends(&acme()), None);
            assert!(!memory.is_left(&acme(), "Service/acme-sales"));
            assert_eq!(judge(&memory, "c"), (String::new(), 1));
            memory.is_news(&acme(), "Service/acme-sales");
        }
        assert_eq!(judge(&memory, "c"), ("a-b".to_owned(), 0));
        assert!(memory.is_left(&acme(), "Service/acme-sales"));
        let left = memory.truce_ends(&acme());
        assert!(
            left.is_some_and(|left| left <= TOLD_FOR),
            "it is looked at again"
        );
    }

    #[test]
    fn a_quarrel_is_told_once_a_minute() {
        let memory = Memory::default();
        assert!(memory.is_news(&acme(), "Service/acme-sales"));
        assert!(!memory.is_news(&acme(), "Service/acme-sales"));
        assert!(memory.is_news(&acme(), "Service/acme-customer"));
    }
}
