//! Numbers for Prometheus, under the names that users of other controllers know where they fit.
//!
//! In: what reconciles and releases did. Out: the text form. No label carries the name of a platform or of a release: the number of series stays fixed.

use std::time::Duration;

use kube::Resource;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::api::conditions;
use crate::context::CONTROLLER;
use crate::observe::Stores;

mod dora;
pub mod releases;

/// Reconciles that may run at the same time.
pub const CONCURRENCY: u16 = 8;

/// Labels whose values all come from code, never from objects.
pub type Labels<const N: usize> = [(&'static str, &'static str); N];

/// All metrics of the operator.
pub struct Metrics {
    registry: Registry,
    reconciles: Family<Fixed<2>, Counter>,
    errors: Family<Fixed<1>, Counter>,
    panics: Family<Fixed<1>, Counter>,
    seconds: Family<Fixed<1>, Histogram>,
    active: Family<Fixed<1>, Gauge>,
    watch_errors: Family<Kind, Counter>,
    invalid: Counter,
    corrections: Counter,
    refused: Counter,
    platforms: Family<Fixed<1>, Gauge>,
    leader: Gauge,
    releases: releases::Releases,
}

/// A fixed set of labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fixed<const N: usize>(pub Labels<N>);

impl<const N: usize> EncodeLabelSet for Fixed<N> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.0.encode(encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: String,
}

/// How a reconcile ended.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    /// All that could be done was done.
    Success,
    /// What was looked at was outdated.
    Requeue,
    /// Failed.
    Error,
}

const THIS: Fixed<1> = Fixed([("controller", CONTROLLER)]);

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let metrics = Self {
            reconciles: Family::default(),
            errors: Family::default(),
            panics: Family::default(),
            seconds: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.001, 2.0, 15))
            }),
            active: Family::default(),
            watch_errors: Family::default(),
            invalid: Counter::default(),
            corrections: Counter::default(),
            refused: Counter::default(),
            platforms: Family::default(),
            leader: Gauge::default(),
            releases: releases::Releases::register(&mut registry),
            registry: Registry::default(),
        };
        metrics.register(&mut registry);
        // Series exist from the start, so that a rate over the first failure is seen.
        drop(metrics.errors.get_or_create(&THIS));
        drop(metrics.panics.get_or_create(&THIS));
        drop(metrics.active.get_or_create(&THIS));
        Self {
            registry,
            ..metrics
        }
    }
}

impl Metrics {
    fn register(&self, registry: &mut Registry) {
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("crm_operator_build", "Version of the operator", build);
        let help = "Watches that broke and were started again";
        registry.register("crm_watch_errors", help, self.watch_errors.clone());
        let help = "Looks at a CrmPlatform that this operator cannot read";
        registry.register("crm_unreadable_platforms", help, self.invalid.clone());
        let help = "Objects that somebody changed or removed and that were put back";
        registry.register("crm_drift_corrections", help, self.corrections.clone());
        let help = "Writes that failed and that nothing waits for: clearing up, what stands around the pods";
        registry.register("crm_refused_writes", help, self.refused.clone());
        let help = "Platforms by whether they are ready";
        registry.register("crm_platforms", help, self.platforms.clone());
        let help = "Whether this process leads, so that it reconciles";
        registry.register("crm_operator_leader", help, self.leader.clone());
        self.register_reconciles(registry.sub_registry_with_prefix("controller_runtime"));
    }

    fn register_reconciles(&self, registry: &mut Registry) {
        let help = "Reconciles by result";
        registry.register("reconcile", help, self.reconciles.clone());
        let help = "Reconciles that failed";
        registry.register("reconcile_errors", help, self.errors.clone());
        let help = "Reconciles that met a bug";
        registry.register("reconcile_panics", help, self.panics.clone());
        let help = "Duration of a reconcile";
        registry.register("reconcile_time_seconds", help, self.seconds.clone());
        let help = "Reconciles that run now";
        registry.register("active_workers", help, self.active.clone());
        let concurrency = Family::<Fixed<1>, Gauge>::default();
        concurrency.get_or_create(&THIS).set(i64::from(CONCURRENCY));
        let help = "Reconciles that may run at the same time";
        registry.register("max_concurrent_reconciles", help, concurrency);
    }

    /// Counts a reconcile from here until the value is dropped.
    pub fn working(&self) -> Working<'_> {
        self.active.get_or_create(&THIS).inc();
        Working(self)
    }

    /// Counts a finished reconcile.
    pub fn reconciled(&self, outcome: Outcome, took: Duration) {
        let result = match outcome {
            Outcome::Success => "success",
            Outcome::Requeue => "requeue",
            Outcome::Error => "error",
        };
        self.reconciles
            .get_or_create(&Fixed([("controller", CONTROLLER), ("result", result)]))
            .inc();
        self.seconds
            .get_or_create(&THIS)
            .observe(took.as_secs_f64());
        if matches!(outcome, Outcome::Error) {
            self.errors.get_or_create(&THIS).inc();
        }
    }

    /// Counts a look that met a bug.
    pub fn panicked(&self) {
        self.panics.get_or_create(&THIS).inc();
    }

    /// Counts a watch that broke.
    pub fn watch_failed(&self, kind: &str) {
        self.watch_errors
            .get_or_create(&Kind {
                kind: kind.to_owned(),
            })
            .inc();
    }

    /// Counts a look at an object that cannot be read.
    pub fn unreadable(&self) {
        self.invalid.inc();
    }

    /// Counts an object that was put back.
    pub fn corrected(&self) {
        self.corrections.inc();
    }

    /// Counts a write that failed and that nothing waits for.
    pub fn refused(&self) {
        self.refused.inc();
    }

    /// Notes whether this process leads.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// Numbers of releases, stages and tests.
    pub fn releases(&self) -> &releases::Releases {
        &self.releases
    }

    /// The text form, with the number of platforms as the stores have them now.
    ///
    /// # Errors
    /// When a metric cannot be encoded, which no metric here does.
    pub fn text(&self, stores: &Stores) -> Result<String, std::fmt::Error> {
        let (mut ready, mut unready) = (0, 0);
        for object in stores.platforms.state() {
            match is_ready(&object) {
                true => ready += 1,
                false => unready += 1,
            }
        }
        self.platforms
            .get_or_create(&Fixed([("ready", "true")]))
            .set(ready);
        self.platforms
            .get_or_create(&Fixed([("ready", "false")]))
            .set(unready);
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn is_ready(object: &crate::controller::Watched) -> bool {
    let Ok(platform) = &object.0 else {
        return false;
    };
    let conditions = platform.status.iter().flat_map(|status| &status.conditions);
    let seen = platform
        .status
        .as_ref()
        .and_then(|status| status.observed_generation)
        == platform.meta().generation;
    seen && conditions
        .into_iter()
        .any(|condition| condition.type_ == conditions::READY && condition.status == "True")
}

/// A running reconcile.
pub struct Working<'a>(&'a Metrics);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.active.get_or_create(&THIS).dec();
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::reflector;

    use super::*;

    #[test]
    fn the_text_has_the_names_that_dashboards_know() {
        let metrics = Metrics::default();
        let (platforms, _writer) = reflector::store();
        metrics.reconciled(Outcome::Error, Duration::from_millis(5));
        let _working = metrics.working();
        let text = metrics.text(&Stores::new(platforms)).unwrap();
        for line in [
            "controller_runtime_reconcile_total{controller=\"crmplatform\",result=\"error\"} 1",
            "controller_runtime_reconcile_errors_total{controller=\"crmplatform\"} 1",
            "controller_runtime_reconcile_time_seconds_count{controller=\"crmplatform\"} 1",
            "controller_runtime_active_workers{controller=\"crmplatform\"} 1",
            "controller_runtime_max_concurrent_reconciles{controller=\"crmplatform\"} 8",
            "crm_platforms{ready=\"true\"} 0",
            "crm_operator_leader 0",
            "crm_drift_corrections_total 0",
            "crm_refused_writes_total 0",
            "crm_operator_build_info{version=",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
