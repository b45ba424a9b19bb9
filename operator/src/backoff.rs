//! How long to wait before a platform that failed is tried again: 1 second, doubling to 5 minutes, per platform.
//!
//! In: failures and successes. Out: a delay. kube's `error_policy` hears of failures only, so successes are told to it by `reconcile`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::context::PlatformKey;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);

/// Failures in a row, per platform.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: Mutex<HashMap<PlatformKey, u32>>,
}

impl Backoff {
    /// Counts a failure; returns how long to wait.
    pub fn failed(&self, platform: &PlatformKey) -> Duration {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(platform.clone()).or_default();
        let delay = FIRST
            .saturating_mul(2_u32.saturating_pow(*count))
            .min(LONGEST);
        *count = count.saturating_add(1);
        delay
    }

    /// Forgets the failures of a platform that went well or is gone.
    pub fn reset(&self, platform: &PlatformKey) {
        self.failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(platform);
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

    #[test]
    fn doubles_up_to_five_minutes() {
        let backoff = Backoff::default();
        let delays: Vec<_> = (0..11).map(|_| backoff.failed(&acme()).as_secs()).collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    }

    #[test]
    fn one_success_starts_it_over_and_other_platforms_are_not_touched() {
        let backoff = Backoff::default();
        let other = PlatformKey {
            namespace: "crm".into(),
            name: "other".into(),
        };
        for _ in 0..3 {
            backoff.failed(&acme());
            backoff.failed(&other);
        }
        backoff.reset(&acme());
        assert_eq!(backoff.failed(&acme()).as_secs(), 1);
        assert_eq!(backoff.failed(&other).as_secs(), 8);
    }
}
