//! Numbers of releases, stages and tests, taken from what changed between two memories.
//!
//! In: the memory before and after a status write. Out: counted verdicts and durations. A verdict is counted once: when it first stands in a written status.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::Fixed;
use super::dora::Dora;
use crate::api::status::{JobRecord, Memory, ReleaseRecord, Stage, StageRecord};
use crate::cost::seconds;

/// Counts of verdicts.
pub struct Releases {
    verdicts: Family<Fixed<1>, Counter>,
    stages: Family<Fixed<2>, Histogram>,
    tests: Family<Fixed<1>, Counter>,
    dora: Dora,
}

impl Releases {
    /// Registers the metrics.
    pub fn register(registry: &mut Registry) -> Self {
        let releases = Self {
            verdicts: Family::default(),
            stages: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.25, 2.0, 16))
            }),
            tests: Family::default(),
            dora: Dora::register(registry),
        };
        registry.register(
            "crm_releases",
            "Decided releases by verdict",
            releases.verdicts.clone(),
        );
        registry.register(
            "crm_stage_seconds",
            "Duration of finished stages by stage and verdict",
            releases.stages.clone(),
        );
        registry.register(
            "crm_test_verdicts",
            "Finished test Jobs of gate and verification by verdict",
            releases.tests.clone(),
        );
        releases
    }

    /// Counts what `after` decided and `before` had not.
    pub fn count(&self, before: &Memory, after: &Memory) {
        self.dora.count(before, after);
        for release in &after.releases {
            let known = before.releases.iter().find(|known| same(known, release));
            if let (Some(verdict), None) = (release.verdict, known.and_then(|known| known.verdict))
            {
                self.verdicts
                    .get_or_create(&Fixed([("verdict", verdict.name())]))
                    .inc();
            }
            for stage in &release.stages {
                self.count_stage(
                    known.and_then(|known| {
                        known.stages.iter().find(|known| known.name == stage.name)
                    }),
                    stage,
                );
            }
        }
    }

    fn count_stage(&self, known: Option<&StageRecord>, stage: &StageRecord) {
        if let (Some(verdict), Some(finished), None) = (
            stage.verdict,
            &stage.finished_at,
            known.and_then(|known| known.verdict),
        ) {
            let labels = Fixed([("stage", stage.name.name()), ("verdict", verdict.name())]);
            self.stages
                .get_or_create(&labels)
                .observe(seconds(stage.started_at.0, finished.0));
        }
        if !matches!(stage.name, Stage::Gate | Stage::Verify) {
            return;
        }
        for job in &stage.jobs {
            let known =
                known.and_then(|known| known.jobs.iter().find(|known| known.job == job.job));
            if let (Some(verdict), None) = (job.verdict, known.and_then(verdict)) {
                self.tests
                    .get_or_create(&Fixed([("verdict", verdict.name())]))
                    .inc();
            }
        }
    }
}

fn verdict(job: &JobRecord) -> Option<crate::api::status::Verdict> {
    job.verdict
}

/// The same try of the same release: a release may come again after another one.
fn same(one: &ReleaseRecord, other: &ReleaseRecord) -> bool {
    one.release == other.release && one.started_at == other.started_at
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use serde_json::{Value, json};

    use super::*;

    fn memory(verdict: Value, stage: Value, job: Value) -> Memory {
        let time = "2026-01-01T00:00:00Z";
        serde_json::from_value(json!({ "releases": [{
            "release": "r1", "generation": 1, "startedAt": time, "verdict": verdict,
            "stages": [{
                "name": "Gate", "startedAt": time, "finishedAt": "2026-01-01T00:00:30Z", "verdict": stage,
                "jobs": [{ "step": "smoke", "job": "j1", "attempt": 1, "verdict": job }],
            }],
        }] }))
        .unwrap()
    }

    #[test]
    fn each_verdict_is_counted_once_when_it_first_appears() {
        let mut registry = Registry::default();
        let releases = Releases::register(&mut registry);
        let steps = [
            Memory::default(),
            memory(Value::Null, Value::Null, json!("Passed")),
            memory(Value::Null, json!("Passed"), json!("Passed")),
            memory(json!("Passed"), json!("Passed"), json!("Passed")),
            memory(json!("Passed"), json!("Passed"), json!("Passed")),
        ];
        for pair in steps.windows(2) {
            releases.count(&pair[0], &pair[1]);
        }
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "crm_releases_total{verdict=\"Passed\"} 1",
            "crm_test_verdicts_total{verdict=\"Passed\"} 1",
            "crm_stage_seconds_count{stage=\"Gate\",verdict=\"Passed\"} 1",
            "crm_stage_seconds_sum{stage=\"Gate\",verdict=\"Passed\"} 30.0",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
