//! How long to wait before a platform that failed is tried again: 1 second, doubling to 5 minutes, per platform; to 30 seconds where the API server denies something.
//!
//! In: failures and successes. Out: a delay, and what is denied look after look. kube's `error_policy` hears of failures only, so successes are told to it by `reconcile`;
//! and since each failure writes a status, whose watch event asks for a look at once, `reconcile` also asks how much of the delay is left. A new spec does not wait, nor does a request by annotation.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;

use crate::api::status::Token;
use crate::context::PlatformKey;
use crate::observed::{Denial, Denied};

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);
const DENIED: Duration = Duration::from_secs(30);

/// Failures in a row, per platform.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: Mutex<HashMap<PlatformKey, Failures>>,
}

#[derive(Debug)]
struct Failures {
    count: u32,
    asked: u64,
    until: Instant,
    denied: Option<Denied>,
}

/// Stands for what people ask of a platform: the generation of its spec and their requests by annotation.
pub fn asked(platform: &ObjectMeta) -> u64 {
    let mut hasher = DefaultHasher::new();
    platform.generation.hash(&mut hasher);
    let annotations = platform.annotations.as_ref();
    let value = |token: Token| annotations.and_then(|all| all.get(token.annotation()));
    Token::ALL.map(value).hash(&mut hasher);
    hasher.finish()
}

impl Backoff {
    /// Counts a failure of what was [`asked`] for, with what an API server denied; returns how long to wait. What is denied is tried more often than what fails
    /// otherwise: somebody may be about to allow it.
    pub fn failed(&self, platform: &PlatformKey, asked: u64, denial: Option<Denial>) -> Duration {
        self.failed_at(platform, asked, (denial, Timestamp::now()))
    }

    fn failed_at(
        &self,
        platform: &PlatformKey,
        asked: u64,
        (denial, now): (Option<Denial>, Timestamp),
    ) -> Duration {
        let mut failures = self.lock();
        let before = failures.get(platform);
        let count = before.map_or(0, |failures| failures.count);
        let denied = before.and_then(|failures| failures.denied.clone());
        let denied = match denial {
            Some(denial) => Some(Denied::after(denied.as_ref(), denial, now)),
            // What fails in another way meanwhile does not make it allowed, and must not wait so long that the row ends.
            None => denied.filter(|denied| denied.goes_on(now)),
        };
        let longest = denied.as_ref().map_or(LONGEST, |_| DENIED);
        let delay = FIRST
            .saturating_mul(2_u32.saturating_pow(count))
            .min(longest);
        let failure = Failures {
            count: count.saturating_add(1),
            asked,
            until: Instant::now() + delay,
            denied,
        };
        failures.insert(platform.clone(), failure);
        delay
    }

    /// What is left of the wait; nothing when something else is [`asked`] for than what failed.
    pub fn left(&self, platform: &PlatformKey, asked: u64) -> Option<Duration> {
        let failures = self.lock();
        let failed = failures
            .get(platform)
            .filter(|failures| failures.asked == asked)?;
        Some(failed.until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }

    /// What the API server denies of a platform, look after look; nothing when something else is [`asked`] for, which was not tried yet.
    pub fn denied(&self, platform: &PlatformKey, asked: u64) -> Option<Denied> {
        let failures = self.lock();
        let failed = failures.get(platform);
        failed
            .filter(|failures| failures.asked == asked)?
            .denied
            .clone()
    }

    /// Forgets the failures of a platform that went well or is gone.
    pub fn reset(&self, platform: &PlatformKey) {
        self.lock().remove(platform);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PlatformKey, Failures>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::action::Origin;

    fn acme() -> PlatformKey {
        PlatformKey {
            namespace: "crm".into(),
            name: "acme".into(),
        }
    }

    #[test]
    fn doubles_up_to_five_minutes() {
        let backoff = Backoff::default();
        let delays: Vec<_> = (0..11)
            .map(|_| backoff.failed(&acme(), 1, None).as_secs())
            .collect();
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
            backoff.failed(&acme(), 1, None);
            backoff.failed(&other, 1, None);
        }
        backoff.reset(&acme());
        assert_eq!(backoff.failed(&acme(), 1, None).as_secs(), 1);
        assert_eq!(backoff.failed(&other, 1, None).as_secs(), 8);
    }

    #[test]
    fn the_failed_spec_waits_and_a_new_one_does_not() {
        let backoff = Backoff::default();
        backoff.failed(&acme(), 1, None);
        assert!(backoff.left(&acme(), 1).is_some_and(|left| left <= FIRST));
        assert_eq!(backoff.left(&acme(), 2), None);
        backoff.reset(&acme());
        assert_eq!(backoff.left(&acme(), 1), None);
    }

    fn denial(write: &str) -> Option<Denial> {
        Some(Denial {
            write: write.into(),
            why: "exceeded quota".into(),
            origin: Origin::Stage,
        })
    }

    #[test]
    fn a_denial_counts_from_the_first_of_the_same_write() {
        let backoff = Backoff::default();
        let denied = |write| {
            backoff.failed(&acme(), 1, denial(write));
            backoff.denied(&acme(), 1).unwrap()
        };
        let first = denied("create Job a");
        backoff.failed(&acme(), 1, None);
        let later = denied("create Job a");
        assert_eq!(later.since, first.since, "another failure came between");
        assert!(later.last > first.last);
        assert!(denied("create Job b").since > first.since);
        assert_eq!(
            backoff.denied(&acme(), 2),
            None,
            "what is asked for now was not tried yet"
        );
        backoff.reset(&acme());
        assert_eq!(backoff.denied(&acme(), 1), None);
    }

    #[test]
    fn what_is_denied_is_tried_every_half_minute() {
        let backoff = Backoff::default();
        let delays = (0..7).map(|_| backoff.failed(&acme(), 1, denial("create Job a")));
        let delays: Vec<_> = delays.map(|delay| delay.as_secs()).collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 30, 30]);
    }

    /// Each failure comes when the wait after the one before is over.
    #[test]
    fn another_failure_in_between_ends_no_row_of_denials() {
        let backoff = Backoff::default();
        let first = Timestamp::UNIX_EPOCH;
        let mut now = first;
        let mut fails = |denial: Option<Denial>| {
            let wait = backoff.failed_at(&acme(), 1, (denial, now));
            now += wait;
            (wait.as_secs(), backoff.denied(&acme(), 1))
        };
        for _ in 0..12 {
            fails(denial("create Job a"));
        }
        assert_eq!(fails(None).0, 30, "not as long as what fails otherwise");
        let row = fails(denial("create Job a")).1.unwrap();
        assert_eq!(row.since, first);
        let waits: Vec<_> = (0..5).map(|_| fails(None).0).collect();
        assert_eq!(waits, [30, 30, 30, 30, 300], "it is denied no more");
        let later = fails(denial("create Job a")).1.unwrap();
        assert_eq!(later.since, later.last);
    }
}
