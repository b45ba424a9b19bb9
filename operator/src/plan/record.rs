//! Reading and writing the history of releases. The newest record of a release id is the one at work.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use crate::api::status::{
    Finding, JobRecord, Memory, Rejected, ReleaseRecord, Stage, StageRecord, Verdict,
};

/// How many releases keep the details of their Jobs.
const DETAILED: usize = 3;
/// Jobs of which the end of the log is kept.
const TAILS: usize = 3;
/// Releases that served and are kept beside the one that serves.
const WAYS_BACK: usize = 2;

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
            asked_at: None,
            finished_at: None,
            verdict: None,
            finding: None,
            delivery: None,
            signed_by,
            code_of: None,
            interventions: Vec::new(),
            stages: vec![first],
        },
    );
}

/// The record at work of a release.
pub(super) fn of<'a>(releases: &'a mut [ReleaseRecord], id: &str) -> Option<&'a mut ReleaseRecord> {
    releases.iter_mut().find(|record| record.release == id)
}

/// The release whose code a release has: itself, unless only configuration differs. It met the gate and the migrations.
pub(super) fn code_of(memory: &Memory, id: &str) -> String {
    let mut records = memory.releases.iter();
    let record = records.find(|record| record.release == id);
    let of = record.and_then(|record| record.code_of.clone());
    of.unwrap_or_else(|| id.to_owned())
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

/// Whether a group of Jobs of a stage has passed.
pub(super) fn has_passed(
    releases: &mut [ReleaseRecord],
    (id, name): (&str, Stage),
    group: &str,
) -> bool {
    stage(releases, id, name).is_some_and(|stage| stage.passed.iter().any(|known| known == group))
}

/// Notes that a group of Jobs of a stage has passed: its Jobs need not be asked about again.
pub(super) fn pass(releases: &mut [ReleaseRecord], (id, name): (&str, Stage), group: &str) {
    if let Some(stage) = stage(releases, id, name)
        && !stage.passed.iter().any(|known| known == group)
    {
        stage.passed.push(group.to_owned());
    }
}

/// Notes that what a stage needs is there, once.
pub(super) fn ready(releases: &mut [ReleaseRecord], (id, name): (&str, Stage), now: Timestamp) {
    if let Some(stage) = stage(releases, id, name) {
        stage.ready_at.get_or_insert(Time(now));
    }
}

pub(super) fn begun(stage: Stage, now: Time) -> StageRecord {
    StageRecord {
        name: stage,
        verdict: None,
        started_at: now,
        waiting_since: None,
        human_wait_seconds: None,
        ready_at: None,
        finished_at: None,
        queued_seconds: None,
        running_seconds: None,
        message: None,
        passed: Vec::new(),
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

/// Drops the oldest records beyond a number, and the Jobs of all but the last, so that the status stays small. The newest record of a release in `at_work` stays
/// as it is, and so do those of the last two others that served: what is forgotten cannot be gone back to.
pub(super) fn bound(releases: &mut Vec<ReleaseRecord>, limit: usize, at_work: &[String]) {
    let mut seen: Vec<String> = Vec::new();
    let mut served = 0;
    let mut kept = Vec::new();
    for (age, record) in releases.iter_mut().enumerate() {
        let is_newest = !seen.contains(&record.release);
        seen.push(record.release.clone());
        let needed = is_newest && at_work.contains(&record.release);
        let is_way_back =
            !needed && is_newest && record.verdict == Some(Verdict::Passed) && served < WAYS_BACK;
        served += usize::from(is_way_back);
        kept.push(needed || is_way_back);
        if age >= DETAILED && !needed {
            for stage in &mut record.stages {
                stage.jobs.clear();
            }
        }
    }
    while releases.len() > limit
        && let Some(oldest) = kept.iter().rposition(|kept| !kept)
    {
        releases.remove(oldest);
        kept.remove(oldest);
    }
}

/// Keeps the ends of logs of the last Jobs that left one, so that the status stays small.
pub(super) fn bound_tails(releases: &mut [ReleaseRecord]) {
    let stages = releases
        .iter_mut()
        .flat_map(|release| release.stages.iter_mut().rev());
    let jobs = stages.flat_map(|stage| stage.jobs.iter_mut().rev());
    let told = jobs.filter(|job| job.log_tail.is_some());
    told.skip(TAILS).for_each(|job| job.log_tail = None);
}

/// Drops the oldest rejections beyond a number. What the spec still asks for goes last: without its entry it would be tried again by itself.
pub(super) fn bound_rejected(rejected: &mut Vec<Rejected>, limit: usize) {
    while rejected.len() > limit {
        let oldest = rejected.iter().rposition(|left| left.left_at.is_some());
        rejected.remove(oldest.unwrap_or(rejected.len() - 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_spec_asks_for_stays_rejected_however_many_others_come() {
        let now = Time("2026-01-01T12:00:00Z".parse().unwrap());
        let entry = |id: String, left: bool| Rejected {
            release: id,
            images: Vec::new(),
            reason: "TestsFailed".into(),
            message: String::new(),
            at: now.clone(),
            left_at: left.then(|| now.clone()),
        };
        let mut rejected = vec![entry("wanted".into(), false)];
        for number in 0..20 {
            rejected.insert(0, entry(number.to_string(), true));
            bound_rejected(&mut rejected, 3);
        }
        let ids: Vec<_> = rejected.iter().map(|left| left.release.as_str()).collect();
        assert_eq!(ids, ["19", "18", "wanted"]);
    }

    fn opened(releases: &mut Vec<ReleaseRecord>, id: &str, verdict: Option<Verdict>) {
        let now = Time("2026-01-01T12:00:00Z".parse().unwrap());
        open(releases, id, 1, now);
        releases[0].verdict = verdict;
        releases[0].stages[0].jobs.push(JobRecord::default());
    }

    #[test]
    fn only_the_last_ends_of_logs_are_kept() {
        let mut releases = Vec::new();
        for id in ["old", "new"] {
            opened(&mut releases, id, None);
            let jobs = (1..=2).map(|attempt| JobRecord {
                log_tail: Some(format!("{id} {attempt}")),
                ..JobRecord::default()
            });
            releases[0].stages[0].jobs = jobs.collect();
        }
        bound_tails(&mut releases);
        let jobs = releases.iter().flat_map(|release| &release.stages[0].jobs);
        let tails: Vec<_> = jobs.map(|job| job.log_tail.as_deref()).collect();
        assert_eq!(tails, [Some("new 1"), Some("new 2"), None, Some("old 2")]);
    }

    #[test]
    fn many_tries_of_a_bad_release_push_out_neither_what_serves_nor_the_way_back() {
        let mut releases = Vec::new();
        for id in ["oldest", "older", "old", "stable"] {
            opened(&mut releases, id, Some(Verdict::Passed));
        }
        for _ in 0..20 {
            opened(&mut releases, "bad", Some(Verdict::Failed));
            bound(&mut releases, 10, &["stable".to_owned()]);
        }
        let ids: Vec<_> = releases
            .iter()
            .map(|record| record.release.as_str())
            .collect();
        assert_eq!(ids.len(), 10);
        assert_eq!(ids[7..], ["stable", "old", "older"]);
        assert_eq!(releases[0].round, 20);
        assert_eq!(
            releases[7].stages[0].jobs.len(),
            1,
            "the Jobs of what serves are known"
        );
        assert!(releases[8].stages[0].jobs.is_empty());
    }
}
