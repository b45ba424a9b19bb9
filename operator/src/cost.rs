//! What a pod costs: its requests times its time times the price table. Source of the formula: the delivery model `C = C_build + C_test + C_deploy`.
//!
//! In: pods as seen, and a price table. Out: decimal strings. Money is an estimate from requests, not a bill.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

use k8s_openapi::jiff::Timestamp;

use crate::observed::{ContainerState, PodView};

const GIBIBYTE: f64 = 1024.0 * 1024.0 * 1024.0;

/// Price table.
#[derive(Clone, Debug, PartialEq)]
pub struct Prices {
    /// Price of one core for an hour.
    pub cpu_hour: f64,
    /// Price of one GiB of memory for an hour.
    pub memory_gib_hour: f64,
}

impl Prices {
    /// Price of `cpu` cores and `memory` bytes for `seconds`.
    pub fn price(&self, cpu: f64, memory: f64, seconds: f64) -> f64 {
        (cpu * self.cpu_hour + memory / GIBIBYTE * self.memory_gib_hour) * seconds.max(0.0) / 3600.0
    }

    /// Price of a pod until it ended, or until `now`; not before `from`.
    pub fn pod(&self, pod: &PodView, from: Option<Timestamp>, now: Timestamp) -> f64 {
        let Some(started) = pod.started.max(from).filter(|_| pod.started.is_some()) else {
            return 0.0;
        };
        let ended = match &pod.state {
            ContainerState::Terminated {
                finished: Some(finished),
                ..
            } => *finished,
            _ => now,
        };
        self.price(pod.cpu, pod.memory, seconds(started, ended))
    }
}

/// Seconds from one moment to another, never negative.
pub fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}

/// Seconds from one moment to another as the status holds them, which cuts their fractions off; never negative.
pub fn whole_seconds(from: Timestamp, to: Timestamp) -> i64 {
    let floor = |moment: Timestamp| moment.as_millisecond().div_euclid(1000);
    (floor(to) - floor(from)).max(0)
}

/// A decimal string of at most four places, for figures that are estimates or means.
pub fn rounded(value: f64) -> String {
    decimal((value * 1e4).round() / 1e4)
}

/// A decimal string of at most nine places, without trailing zeros.
pub fn decimal(value: f64) -> String {
    let text = format!("{value:.9}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.is_empty() || text == "-0" {
        "0".to_owned()
    } else {
        text.to_owned()
    }
}

/// Reads a decimal string; anything else counts as nothing.
pub fn parse(text: &str) -> f64 {
    text.parse().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_core_and_two_gibibytes_for_half_an_hour() {
        let prices = Prices {
            cpu_hour: 0.04,
            memory_gib_hour: 0.005,
        };
        assert_eq!(decimal(prices.price(1.0, 2.0 * GIBIBYTE, 1800.0)), "0.025");
    }

    #[test]
    fn decimals_carry_no_trailing_zeros() {
        assert_eq!(decimal(0.0), "0");
        assert_eq!(decimal(12.5), "12.5");
        assert_eq!(decimal(10.0), "10");
    }

    #[test]
    fn a_pod_costs_its_requests_for_the_time_that_it_ran() {
        let at = |second: i64| Timestamp::from_second(1_767_268_800 + second).unwrap();
        let prices = Prices {
            cpu_hour: 0.04,
            memory_gib_hour: 0.005,
        };
        let mut pod = PodView {
            cpu: 2.0,
            memory: GIBIBYTE,
            ..PodView::default()
        };
        assert_eq!(
            decimal(prices.pod(&pod, None, at(1800))),
            "0",
            "it has not begun"
        );
        pod.started = Some(at(0));
        assert_eq!(decimal(prices.pod(&pod, None, at(1800))), "0.0425");
        assert_eq!(
            decimal(prices.pod(&pod, Some(at(900)), at(1800))),
            "0.02125"
        );
        assert_eq!(decimal(prices.pod(&pod, Some(at(2000)), at(1800))), "0");
        pod.state = ContainerState::Terminated {
            exit_code: 0,
            message: String::new(),
            reason: String::new(),
            started: Some(at(0)),
            finished: Some(at(900)),
        };
        assert_eq!(decimal(prices.pod(&pod, None, at(1800))), "0.02125");
    }
}
