//! Reading and writing the history of releases. The newest record of a release id is the one at work.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::status::{Finding, JobRecord, ReleaseRecord, Stage, StageRecord, Verdict};

/// How many releases keep the details of their Jobs.
const DETAILED: usize = 3;

/// Begins the history of a release.
pub(super) fn open(releases: &mut Vec<ReleaseRecord>, id: &str, generation: i64, now: Time) {
    let round = 1 + releases
        .iter()
        .filter(|record| record.release == id)
        .map(|record| record.round)
        .max()
        .unwrap_or(0);
    // A rollback begins without a look at its images: what was found out about them the time before still holds.
    let before = releases.iter().find(|record| record.release == id);
    let signed_by = before.map_or_else(Vec::new, |record| record.signed_by.clone());
    let first = begun(Stage::Resolve, now.clone());
    releases.insert(
        0,
        ReleaseRecord {
            release: id.to_owned(),
            generation,
            round,
            started_at: now,
            finished_at: None,
            verdict: None,
            finding: None,
            signed_by,
            interventions: Vec::new(),
            stages: vec![first],
        },
    );
}

/// The record at work of a release.
pub(super) fn of<'a>(releases: &'a mut [ReleaseRecord], id: &str) -> Option<&'a mut ReleaseRecord> {
    releases.iter_mut().find(|record| record.release == id)
}

/// A stage of a release.
pub(super) fn stage<'a>(
    releases: &'a mut [ReleaseRecord],
    id: &str,
    stage: Stage,
) -> Option<&'a mut StageRecord> {
    of(releases, id)?
        .stages
        .iter_mut()
        .find(|record| record.name == stage)
}

/// Begins a stage.
pub(super) fn enter(releases: &mut [ReleaseRecord], id: &str, stage: Stage, now: Time) {
    if let Some(record) = of(releases, id) {
        record.stages.push(begun(stage, now));
    }
}

fn begun(stage: Stage, now: Time) -> StageRecord {
    StageRecord {
        name: stage,
        verdict: None,
        started_at: now,
        waiting_since: None,
        human_wait_seconds: None,
        finished_at: None,
        message: None,
        jobs: Vec::new(),
        cost: None,
    }
}

/// Ends the history of a release.
pub(super) fn conclude(
    releases: &mut [ReleaseRecord],
    id: &str,
    verdict: Verdict,
    finding: Option<Finding>,
    now: Time,
) {
    if let Some(record) = of(releases, id) {
        record.verdict = Some(verdict);
        record.finding = finding;
        record.finished_at = Some(now);
    }
}

/// The last Job made for a step.
pub(super) fn job<'a>(
    releases: &'a mut [ReleaseRecord],
    id: &str,
    name: Stage,
    step: &str,
) -> Option<&'a mut JobRecord> {
    stage(releases, id, name)?
        .jobs
        .iter_mut()
        .rev()
        .find(|job| job.step == step)
}

/// Drops the Jobs of older releases, so that the status stays small.
pub(super) fn compact(releases: &mut [ReleaseRecord]) {
    for record in releases.iter_mut().skip(DETAILED) {
        for stage in &mut record.stages {
            stage.jobs.clear();
        }
    }
}
