//! What was measured: durations in, p95s and their comparison out. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::Side;
use super::rounds::Opponents;
use crate::service::Service;

/// Durations of both releases, by service, in microseconds.
#[derive(Debug, Default)]
pub struct Figures {
    durations: BTreeMap<&'static str, (Service, Durations)>,
}

#[derive(Clone, Debug, Default)]
struct Durations {
    stable: Vec<u32>,
    candidate: Vec<u32>,
}

/// p95s of the same requests to both, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// Of the release that serves.
    pub stable: f64,
    /// Of the one that is tried.
    pub candidate: f64,
}

impl Figures {
    /// Counts a request.
    pub fn add(&mut self, service: Service, side: Side, elapsed: Duration) {
        let entry = self.durations.entry(service.name());
        let (_, durations) = entry.or_insert_with(|| (service, Durations::default()));
        let micros = u32::try_from(elapsed.as_micros()).unwrap_or(u32::MAX);
        match side {
            Side::Stable => durations.stable.push(micros),
            Side::Candidate => durations.candidate.push(micros),
        }
    }

    /// The fewest requests that a release of a service was measured with.
    pub fn fewest(&self, all: &[Opponents]) -> usize {
        let count = |service: Service| {
            let durations = self.durations.get(service.name());
            durations.map_or(0, |(_, of)| of.stable.len().min(of.candidate.len()))
        };
        let counts = all.iter().map(|opponents| count(opponents.service()));
        counts.min().unwrap_or_default()
    }

    /// Each service.
    pub fn services(&self) -> impl Iterator<Item = (Service, Pair)> {
        let all = self.durations.values();
        all.map(|(service, durations)| (*service, durations.pair()))
    }

    /// All services together.
    pub fn all(&self) -> Pair {
        let mut all = Durations::default();
        for (_, durations) in self.durations.values() {
            all.stable.extend(&durations.stable);
            all.candidate.extend(&durations.candidate);
        }
        all.pair()
    }

    /// As the delivery contract has it.
    pub fn summary(&self) -> Value {
        let parts: Vec<_> = self
            .services()
            .map(|(service, pair)| {
                let mut part = pair.summary();
                part["name"] = json!(service.name());
                part
            })
            .collect();
        let mut summary = self.all().summary();
        summary["parts"] = json!(parts);
        let count = |of: &Durations| of.stable.len() + of.candidate.len();
        let all = self
            .durations
            .values()
            .map(|(_, durations)| count(durations));
        summary["requests"] = json!(all.sum::<usize>());
        summary
    }
}

impl Durations {
    fn pair(&self) -> Pair {
        Pair {
            stable: p95(&self.stable),
            candidate: p95(&self.candidate),
        }
    }
}

impl Pair {
    /// Whether the candidate is slower by more than so many percent. These are the figures that are told, so that who reads
    /// them finds the same.
    pub fn exceeds(self, percent: u32) -> bool {
        self.candidate > self.stable * (1.0 + f64::from(percent) / 100.0)
    }

    /// In a sentence.
    pub fn words(self) -> String {
        format!(
            "p95 is {} ms, that of stable {} ms",
            self.candidate, self.stable
        )
    }

    fn summary(self) -> Value {
        json!({ "stableP95Milliseconds": self.stable, "candidateP95Milliseconds": self.candidate })
    }
}

/// The 95th percentile (nearest rank) of microseconds, in milliseconds; 0 of nothing.
fn p95(durations: &[u32]) -> f64 {
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * 95).div_ceil(100);
    let found = rank.checked_sub(1).and_then(|index| sorted.get(index));
    f64::from(found.copied().unwrap_or_default()) / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(service: Service, all: &[(u64, u64)]) -> Figures {
        let mut figures = Figures::default();
        enter(&mut figures, service, all);
        figures
    }

    fn enter(figures: &mut Figures, service: Service, all: &[(u64, u64)]) {
        for (stable, candidate) in all {
            figures.add(service, Side::Stable, Duration::from_micros(*stable));
            figures.add(service, Side::Candidate, Duration::from_micros(*candidate));
        }
    }

    #[test]
    fn the_p95_is_the_smallest_duration_that_95_of_100_do_not_exceed() {
        let hundred: Vec<u32> = (1..=100).rev().map(|n| n * 1000).collect();
        assert_eq!(p95(&hundred), 95.0);
        assert_eq!(p95(&hundred[..20]), 99.0);
        assert_eq!(p95(&[7]), 0.007);
        assert_eq!(p95(&[]), 0.0);
    }

    #[test]
    fn a_budget_is_kept_to_its_last_permille() {
        let pair = |candidate| Pair {
            stable: 10.0,
            candidate,
        };
        assert!(!pair(12.0).exceeds(20) && pair(12.001).exceeds(20));
        assert!(!pair(1.0).exceeds(1), "faster is not slower");
    }

    #[test]
    fn one_service_does_not_hide_another() {
        let mut figures = measured(Service::Customer, &[(1000, 3000); 100]);
        enter(&mut figures, Service::Sales, &[(9000, 9000); 100]);
        assert!(!figures.all().exceeds(20), "{:?}", figures.all());
        let slow: Vec<_> = figures
            .services()
            .filter(|(_, pair)| pair.exceeds(20))
            .map(|(service, _)| service)
            .collect();
        assert_eq!(slow, [Service::Customer]);
    }

    #[test]
    fn the_summary_has_the_words_of_the_contract() {
        let figures = measured(Service::Sales, &[(1500, 1800)]);
        let expected = json!({
            "stableP95Milliseconds": 1.5, "candidateP95Milliseconds": 1.8, "requests": 2,
            "parts": [{ "name": "sales", "stableP95Milliseconds": 1.5, "candidateP95Milliseconds": 1.8 }],
        });
        assert_eq!(figures.summary(), expected);
    }
}
