//! Which of several processes acts: the one whose name stands in a Lease.
//!
//! In: a Lease of `coordination.k8s.io` and this process's own clock. Out: [`Leadership`], which is asked before every write. Must not carry safety: two
//! leaders at once are wasteful and nothing worse (versions of the status, names of Jobs, the lock in the database).
//!
//! # Guarantees
//! - The Lease is written only over the version that was read: of two that want it one gets it.
//! - A leader stops its writes after 10 seconds without a renewal, counted from before the last good request. Another takes the Lease after 15 seconds in
//!   which it has itself seen no change of it. No time of one machine is compared with that of another.
//!
//! # Assumptions
//! Monotonic clocks run at about the same rate. A Lease that somebody deletes by hand is free at once.

use std::time::{Duration, Instant};

use tokio::sync::watch;

mod election;
mod elector;

pub use election::{Election, Error};
pub use elector::{Elector, Held, Step};

/// Longer than any process lives.
const FOR_GOOD: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// How long a Lease holds. The defaults are those of client-go.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// After this long without a change another may take it.
    pub lease: Duration,
    /// After this long without a renewal its holder stops.
    pub renew_deadline: Duration,
    /// Time between two requests, at most.
    pub retry: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

/// Until when this process may write. Asked before each write, so that a process that was held up does not write with a Lease that is another's by now.
#[derive(Debug)]
pub struct Leadership {
    until: watch::Sender<Option<Instant>>,
}

impl Leadership {
    /// Of a process that takes part in an election: it does not lead yet.
    pub fn standby() -> Self {
        Self {
            until: watch::Sender::new(None),
        }
    }

    /// Of a process that acts without asking.
    pub fn unconditional() -> Self {
        Self {
            until: watch::Sender::new(Some(Instant::now() + FOR_GOOD)),
        }
    }

    /// Whether this process may write now.
    pub fn leads(&self) -> bool {
        self.until
            .borrow()
            .is_some_and(|until| Instant::now() < until)
    }

    /// Waits until this process leads.
    pub async fn gained(&self) {
        let mut until = self.until.subscribe();
        if until.wait_for(Option::is_some).await.is_err() {
            // The sender is `self`.
            std::future::pending().await
        }
    }

    fn set(&self, until: Option<Instant>) {
        self.until.send_replace(until);
    }
}
