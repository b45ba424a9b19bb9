//! What the traffic met: results in, one line a second and a summary out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Failures that are kept with their text.
const FIRST_FAILURES: usize = 10;

/// How a request went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// No connection.
    Connect,
    /// The connection broke before the answer was complete.
    Broken,
    /// No answer within five seconds.
    TimedOut,
    /// An answer of the 5xx class.
    ServerError,
    /// An answer that is not what was written, or not what was asked for.
    Wrong,
    /// The load itself did not do all its work, so its silence proves nothing.
    Unfinished,
}

impl Trouble {
    fn name(self) -> &'static str {
        match self {
            Trouble::Connect => "connect",
            Trouble::Broken => "broken",
            Trouble::TimedOut => "timedOut",
            Trouble::ServerError => "serverError",
            Trouble::Wrong => "wrong",
            Trouble::Unfinished => "unfinished",
        }
    }
}

/// Counts and durations.
pub struct Tally {
    started: Instant,
    second: u64,
    all: Vec<u32>,
    troubles: BTreeMap<Trouble, u64>,
    first_failures: Vec<String>,
    /// Length of `all` and number of troubles when the last second ended.
    reported: (usize, u64, u64),
}

impl Default for Tally {
    fn default() -> Self {
        Tally {
            started: Instant::now(),
            second: 0,
            all: Vec::new(),
            troubles: BTreeMap::new(),
            first_failures: Vec::new(),
            reported: (0, 0, 0),
        }
    }
}

impl Tally {
    /// Counts a request.
    pub fn add(&mut self, elapsed: Duration, trouble: Option<(Trouble, String)>) {
        self.all
            .push(u32::try_from(elapsed.as_micros()).unwrap_or(u32::MAX));
        if let Some((trouble, text)) = trouble {
            self.trouble(trouble, &text);
        }
    }

    /// Counts a trouble that is not that of a request.
    pub fn trouble(&mut self, trouble: Trouble, text: &str) {
        *self.troubles.entry(trouble).or_default() += 1;
        if self.first_failures.len() < FIRST_FAILURES {
            let at = self.started.elapsed().as_secs_f64();
            self.first_failures
                .push(format!("{at:.1} s: {}: {text}", trouble.name()));
        }
    }

    fn wrong(&self) -> u64 {
        self.troubles
            .get(&Trouble::Wrong)
            .copied()
            .unwrap_or_default()
    }

    fn failed(&self) -> u64 {
        self.troubles.values().sum::<u64>() - self.wrong()
    }

    /// Whether there was traffic and all of it went well.
    pub fn is_clean(&self) -> bool {
        !self.all.is_empty() && self.troubles.is_empty()
    }

    /// The line of the second that just ended.
    pub fn second(&mut self) -> Value {
        let (requests, failed, wrong) = self.reported;
        let line = json!({
            "second": self.second,
            "requests": self.all.len() - requests,
            "failed": self.failed() - failed,
            "wrong": self.wrong() - wrong,
            "p99Ms": p99(&self.all[requests..]),
        });
        self.second += 1;
        self.reported = (self.all.len(), self.failed(), self.wrong());
        line
    }

    /// The summary of the delivery contract.
    pub fn summary(&self) -> Value {
        let kinds: BTreeMap<_, _> = self
            .troubles
            .iter()
            .map(|(trouble, count)| (trouble.name(), count))
            .collect();
        json!({
            "requests": self.all.len(),
            "failed": self.failed(),
            "wrong": self.wrong(),
            "p99Ms": p99(&self.all),
            "seconds": self.started.elapsed().as_secs(),
            "kinds": kinds,
            "firstFailures": self.first_failures,
        })
    }
}

/// The 99th percentile of microseconds, in milliseconds.
fn p99(durations: &[u32]) -> f64 {
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * 99).div_ceil(100);
    let micros = rank
        .checked_sub(1)
        .and_then(|index| sorted.get(index))
        .copied()
        .unwrap_or_default();
    f64::from(micros) / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_answer_spoils_the_run() {
        let mut tally = Tally::default();
        assert!(!tally.is_clean(), "no traffic proves nothing");
        (0..99).for_each(|_| tally.add(Duration::from_millis(1), None));
        assert!(tally.is_clean());
        tally.add(
            Duration::from_millis(50),
            Some((Trouble::Wrong, "x".into())),
        );
        tally.add(
            Duration::from_millis(50),
            Some((Trouble::Connect, "y".into())),
        );
        assert!(!tally.is_clean());
        let summary = tally.summary();
        assert_eq!(
            (&summary["requests"], &summary["failed"], &summary["wrong"]),
            (&json!(101), &json!(1), &json!(1))
        );
        assert_eq!(summary["p99Ms"], 50.0);
    }

    #[test]
    fn each_second_counts_its_own_requests() {
        let mut tally = Tally::default();
        tally.add(Duration::from_millis(9), None);
        assert_eq!(tally.second()["requests"], 1);
        tally.add(Duration::from_millis(1), None);
        let line = tally.second();
        assert_eq!(
            (&line["second"], &line["requests"], &line["p99Ms"]),
            (&json!(1), &json!(1), &json!(1.0))
        );
    }
}
