//! What people were told lately of writes that fail. In: a write and why it failed. Out: whether that is news. One process remembers it; after a restart it is told
//! once more.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::context::PlatformKey;

/// How long people are told nothing else of the same write.
const TOLD_FOR: Duration = Duration::from_secs(60);

/// What was told last, by platform and write.
#[derive(Debug, Default)]
pub struct Told {
    platforms: Mutex<HashMap<PlatformKey, BTreeMap<String, Words>>>,
}

#[derive(Debug)]
struct Words {
    why: String,
    at: Instant,
}

impl Told {
    /// Whether people are told why a write failed: once, again when the words have changed, and not more than once a minute where they change each time.
    pub fn is_news(&self, platform: &PlatformKey, write: &str, why: &str) -> bool {
        let mut platforms = self.lock();
        let told = platforms.entry(platform.clone()).or_default();
        let known = told.get(write);
        if known.is_some_and(|known| known.why == why || known.at.elapsed() < TOLD_FOR) {
            return false;
        }
        let (why, at) = (why.to_owned(), Instant::now());
        told.insert(write.to_owned(), Words { why, at });
        true
    }

    /// A look went well: what fails again is told again, but not at once.
    pub fn is_over(&self, platform: &PlatformKey) {
        if let Some(told) = self.lock().get_mut(platform) {
            told.retain(|_, known| known.at.elapsed() < TOLD_FOR);
            told.values_mut().for_each(|known| known.why.clear());
        }
    }

    /// Forgets a platform that is gone.
    pub fn forget(&self, platform: &PlatformKey) {
        self.lock().remove(platform);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PlatformKey, BTreeMap<String, Words>>> {
        self.platforms
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_once_and_its_new_words_after_a_minute() {
        let acme = PlatformKey {
            namespace: "crm".into(),
            name: "acme".into(),
        };
        let told = Told::default();
        let says = |why: &str| told.is_news(&acme, "create Job a", why);
        let ages = || {
            let mut platforms = told.lock();
            for known in platforms.get_mut(&acme).unwrap().values_mut() {
                known.at -= TOLD_FOR;
            }
        };
        assert!(says("quota"));
        assert!(!says("policy"), "not so soon");
        assert!(
            told.is_news(&acme, "create Job b", "quota"),
            "another write"
        );
        ages();
        assert!(!says("quota"), "it is known");
        assert!(says("policy"));
        told.is_over(&acme);
        assert!(!says("policy"), "not so soon");
        ages();
        assert!(says("policy"), "it came again");
        ages();
        told.is_over(&acme);
        assert!(told.lock()[&acme].is_empty(), "nothing is kept for ever");
        assert!(says("policy"));
        told.forget(&acme);
        assert!(says("policy"));
    }
}
