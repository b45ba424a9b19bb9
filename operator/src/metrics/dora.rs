//! The four figures of DORA as counters and histograms over all platforms, from what changed between two memories. Definitions and queries:
//! `docs/delivery-metrics.md`. Those of one platform are in its status: a label for each platform would make as many series as there are platforms.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::Fixed;
use crate::api::status::{DeliveryDay, Memory};

/// Counts of what met live traffic.
pub(super) struct Dora {
    deployments: Counter,
    failures: Family<Fixed<1>, Counter>,
    lead: Histogram,
    restore: Histogram,
}

impl Dora {
    pub(super) fn register(registry: &mut Registry) -> Self {
        // From 5 seconds to 47 days.
        let seconds = || Histogram::new(exponential_buckets(5.0, 2.5, 15));
        let dora = Self {
            deployments: Counter::default(),
            failures: Family::default(),
            lead: seconds(),
            restore: seconds(),
        };
        // Series exist from the start, so that a rate over the first failure is seen.
        for how in [TAKEN_BACK, ROLLED_BACK] {
            drop(dora.failures.get_or_create(&how));
        }
        let help = "Releases that came to serve because the spec asked for them";
        registry.register("crm_deployments", help, dora.deployments.clone());
        let help = "Releases that met live traffic and were taken back, or gone back from after they had served";
        registry.register("crm_deployment_failures", help, dora.failures.clone());
        let help = "From when a spec was first seen to ask for a release until it served";
        registry.register("crm_lead_time_seconds", help, dora.lead.clone());
        let help = "From the roll-out of a release that failed, or the request to go back, until an earlier release served everything";
        registry.register("crm_time_to_restore_seconds", help, dora.restore.clone());
        dora
    }

    /// Counts what a plan added. A plan decides on one release at most, so that what it adds to a sum is one time.
    pub(super) fn count(&self, before: &Memory, after: &Memory) {
        for day in &after.delivery_days {
            let known = before
                .delivery_days
                .iter()
                .find(|known| known.day == day.day);
            let none = DeliveryDay::default();
            let known = known.unwrap_or(&none);
            let more =
                |of: fn(&DeliveryDay) -> i64| u64::try_from(of(day) - of(known)).unwrap_or(0);
            let deployed = more(|day| day.deployments);
            self.deployments.inc_by(deployed);
            self.failures
                .get_or_create(&TAKEN_BACK)
                .inc_by(more(|day| day.taken_back));
            self.failures
                .get_or_create(&ROLLED_BACK)
                .inc_by(more(|day| day.rolled_back));
            if deployed > 0 {
                self.lead.observe(as_seconds(more(|day| day.lead_seconds)));
            }
            if more(|day| day.restored) > 0 {
                self.restore
                    .observe(as_seconds(more(|day| day.restore_seconds)));
            }
        }
    }
}

const TAKEN_BACK: Fixed<1> = Fixed([("how", "taken-back")]);
const ROLLED_BACK: Fixed<1> = Fixed([("how", "rolled-back")]);

#[expect(
    clippy::cast_precision_loss,
    reason = "seconds of a release are far below 2^52"
)]
fn as_seconds(seconds: u64) -> f64 {
    seconds as f64
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    fn memory(days: &str) -> Memory {
        let delivery_days = serde_saphyr::from_str(days).unwrap();
        Memory {
            delivery_days,
            ..Memory::default()
        }
    }

    #[test]
    fn each_deployment_and_each_failure_is_counted_once() {
        let mut registry = Registry::default();
        let dora = Dora::register(&mut registry);
        let first = "{day: '2026-01-01', deployments: 1, leadSeconds: 100}";
        let steps = [
            "[]".to_owned(),
            format!("[{first}]"),
            format!("[{first}]"),
            format!("[{{day: '2026-01-02', takenBack: 1, restored: 1, restoreSeconds: 30}}, {first}]"),
            // The first day is out of the window.
            "[{day: '2026-01-02', deployments: 1, leadSeconds: 50, takenBack: 1, restored: 1, restoreSeconds: 30}]".to_owned(),
        ];
        for pair in steps.windows(2) {
            dora.count(&memory(&pair[0]), &memory(&pair[1]));
        }
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "crm_deployments_total 2",
            "crm_deployment_failures_total{how=\"taken-back\"} 1",
            "crm_deployment_failures_total{how=\"rolled-back\"} 0",
            "crm_lead_time_seconds_sum 150.0",
            "crm_lead_time_seconds_count 2",
            "crm_time_to_restore_seconds_sum 30.0",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
