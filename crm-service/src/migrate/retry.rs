//! How long to wait before a contended transaction is tried again, and how often. Pure, but for its dice.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use super::error::Error;

/// Tries of one transaction, the first included.
pub const TRIES: u32 = 60;

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);

/// The tries of one transaction.
#[derive(Debug, Default)]
pub struct Tries {
    failed: u32,
}

impl Tries {
    /// Waits before the next try, or gives the error back: it is not about contention, or enough was tried.
    ///
    /// # Errors
    /// The given one.
    pub async fn again(&mut self, error: Error, what: &str) -> Result<(), Error> {
        self.failed += 1;
        if !error.contended() || self.failed >= TRIES {
            return Err(error);
        }
        let pause = pause(self.failed, RandomState::new().hash_one(self.failed));
        tracing::info!(what, attempt = self.failed, pause = ?pause, "{error}; trying again");
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

/// Doubles up to a limit, then takes between half and all of it, so that rivals do not meet again.
fn pause(failed: u32, dice: u64) -> Duration {
    let full = SHORTEST
        .saturating_mul(1 << (failed - 1).min(16))
        .min(LONGEST);
    let half = full / 2;
    half + half * u32::try_from(dice % 1000).expect("below 1000") / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_differ() {
        assert_eq!(pause(1, 0), Duration::from_millis(50));
        assert_eq!(pause(1, 999), Duration::from_micros(99_950));
        assert_eq!(pause(4, 0), Duration::from_millis(400));
        assert_eq!(pause(TRIES, 0), Duration::from_secs(1));
    }
}
