//! What to do about the Lease: a machine of what was read and written, and when.
//!
//! In: answers of the API server, times of one monotonic clock. Out: the next [`Step`]. Must not read a clock or talk to a cluster.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

use std::time::{Duration, Instant};

use super::Timing;

/// What counts of a Lease that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Who holds it; empty: nobody.
    pub holder: String,
    /// Changes with every write.
    pub version: String,
    /// How long it holds without a change.
    pub lease: Duration,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read the Lease.
    Look,
    /// Write our name into it.
    Acquire,
    /// Write that we still hold it.
    Renew,
    /// Do nothing for so long.
    Wait(Duration),
    /// We led and do not any more.
    Lost,
}

/// One process in the election.
#[derive(Clone, Debug)]
pub struct Elector {
    identity: String,
    timing: Timing,
    /// The Lease and since when we have seen it unchanged.
    seen: Option<(Held, Instant)>,
    /// Whether `seen` is the last answer; after a wait or a failed write it may be outdated.
    fresh: bool,
    /// Until when we lead, once we do.
    until: Option<Instant>,
    /// No request before that.
    next: Option<Instant>,
}

impl Elector {
    /// One that has seen nothing. No other process ever has this identity.
    pub fn new(identity: String, timing: Timing) -> Self {
        Self {
            identity,
            timing,
            seen: None,
            fresh: false,
            until: None,
            next: None,
        }
    }

    /// The name in the Lease.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Who holds it, as far as we know; empty: nobody.
    pub fn holder(&self) -> &str {
        self.seen.as_ref().map_or("", |(held, _)| &held.holder)
    }

    /// Until when we lead.
    pub fn until(&self) -> Option<Instant> {
        self.until
    }

    /// What comes next.
    pub fn step(&self, now: Instant) -> Step {
        if self.until.is_some_and(|until| now >= until) || self.is_taken() {
            return Step::Lost;
        }
        if let Some(next) = self.next.filter(|next| now < *next) {
            let end = self.until.map_or(next, |until| until.min(next));
            return Step::Wait(end.duration_since(now));
        }
        match &self.seen {
            _ if !self.fresh => Step::Look,
            Some((held, _)) if held.holder == self.identity => Step::Renew,
            _ => Step::Acquire,
        }
    }

    /// While we led, somebody else wrote his name.
    fn is_taken(&self) -> bool {
        let holder = self.holder();
        self.until.is_some() && self.fresh && !holder.is_empty() && holder != self.identity
    }

    /// Takes what was read: the Lease, or that there is none. `pause` is the time until the next look while another holds it.
    pub fn looked(&mut self, found: Option<Held>, now: Instant, pause: Duration) {
        self.seen = found.map(|held| match self.seen.take() {
            Some((before, since)) if before == held => (held, since),
            _ => (held, now),
        });
        self.fresh = true;
        self.next = None;
        if self.until.is_none()
            && let Some((held, since)) = &self.seen
            && !held.holder.is_empty()
            && held.holder != self.identity
        {
            let expiry = *since + held.lease;
            if now < expiry {
                self.fresh = false;
                self.next = Some(expiry.min(now + pause));
            }
        }
    }

    /// Takes what our write left; it was `sent` at that time. We lead from there, not from when the answer came: others may count from its arrival.
    pub fn wrote(&mut self, stored: Held, sent: Instant, pause: Duration) {
        self.seen = Some((stored, sent));
        self.fresh = true;
        self.until = Some(sent + self.timing.renew_deadline);
        self.next = Some(sent + pause);
    }

    /// A request was refused or not answered: what we know may be outdated, a write may have been made all the same.
    pub fn failed(&mut self, now: Instant, pause: Duration) {
        self.fresh = false;
        self.next = Some(now + pause);
    }

    /// How long an answer may be waited for.
    pub fn patience(&self, now: Instant) -> Duration {
        let patience = self.timing.renew_deadline / 2;
        self.until.map_or(patience, |until| {
            patience.min(until.saturating_duration_since(now))
        })
    }
}

#[cfg(test)]
mod tests;
