//! The end of a stage: its verdict, what its pods cost, and how its time is split: queued, running, waiting for people.
//!
//! In: a draft. Out: the record of the stage. Pods of Jobs are priced in `steps`, each once; here come those of Deployments, and only for the time of the stage,
//! so that no second of a pod is counted in two of them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::draft::Draft;
use super::record;
use crate::api::status::{JobRecord, Stage, StageRecord, Verdict};
use crate::cost::{decimal, parse, whole_seconds};
use crate::delivery;
use crate::desired::labels;
use crate::observed::PodView;

impl Draft<'_> {
    /// Closes a stage of a release.
    pub fn close_stage(
        &mut self,
        id: &str,
        name: Stage,
        verdict: Verdict,
        message: Option<String>,
    ) {
        let own = self.price_of_pods(id, name);
        let Some(record) = record::of(&mut self.memory.releases, id) else {
            return;
        };
        let mut stages = record.stages.iter_mut();
        let Some(stage) = stages.find(|stage| stage.name == name) else {
            return;
        };
        match &stage.finished_at {
            // It ended when it was held; since then it waited for a person.
            Some(held) if stage.verdict.is_some() => {
                let waited = stage.human_wait_seconds.unwrap_or(0);
                stage.human_wait_seconds = Some(waited + whole_seconds(held.0, self.now));
            }
            _ => end(stage, own, self.now),
        }
        stage.verdict = Some(verdict);
        stage.message = message.or(stage.message.take());
        record.delivery = Some(delivery::sums(record));
    }

    /// Counts what the live pods of a release have cost that goes back: they are gone by the end of its stage.
    pub fn count_before_return(&mut self, id: &str, name: Stage) {
        let own = self.price_of_pods(id, name);
        if let Some(stage) = record::stage(&mut self.memory.releases, id, name) {
            let before = stage.cost.as_deref().map_or(0.0, parse);
            stage.cost = Some(decimal(before + own));
        }
    }

    /// Price of the pods, other than those of Jobs, that are there because of a stage: the candidate's in the gate, the new live ones in the roll-out, and in the
    /// verification those beside stable's.
    fn price_of_pods(&mut self, id: &str, name: Stage) -> f64 {
        let rollout = record::stage(&mut self.memory.releases, id, Stage::Rollout);
        let beside = rollout.is_some_and(|stage| stage.ready_at.is_some());
        let counts = |track: &str| match name {
            Stage::Gate => labels::is_tried(track),
            Stage::Rollout => track == labels::STABLE,
            Stage::Verify => beside && track == labels::STABLE,
            _ => false,
        };
        let stage = record::stage(&mut self.memory.releases, id, name);
        let Some(began) = stage.map(|stage| stage.started_at.0) else {
            return 0.0;
        };
        // Those of a release that is on its way back are counted already, when that began.
        let candidate = self.memory.candidate.as_ref();
        let returns = candidate.filter(|candidate| candidate.returning.is_some());
        let began = returns.map_or(began, |candidate| began.max(candidate.since.0));
        let observed = self.observed;
        let needed = |pod: &&PodView| {
            let serves = pod.release == id && counts(&pod.track) && !pod.service.is_empty();
            serves && !observed.is_of_job(pod)
        };
        let pods = self.observed.pods.iter().filter(needed);
        let prices = &self.platform.settings.prices;
        pods.map(|pod| prices.pod(pod, Some(began), self.now)).sum()
    }
}

/// Ends a stage that goes on.
fn end(stage: &mut StageRecord, own: f64, now: Timestamp) {
    // It was left before it began.
    if let Some(since) = stage.waiting_since.take() {
        let waited = stage.human_wait_seconds.unwrap_or(0);
        stage.human_wait_seconds = Some(waited + whole_seconds(since.0, now));
        stage.started_at = Time(now);
    }
    let jobs: f64 = stage.jobs.iter().map(price).sum();
    let before = stage.cost.as_deref().map_or(0.0, parse);
    stage.cost = Some(decimal(before + jobs + own));
    stage.finished_at = Some(Time(now));
    let all = whole_seconds(stage.started_at.0, now);
    let waited = stage.queued_seconds.unwrap_or(0);
    let (queued, running) = match (stage.name, &stage.ready_at) {
        (Stage::Resolve, Some(known)) => {
            let running = whole_seconds(stage.started_at.0, known.0);
            let people = stage.human_wait_seconds.unwrap_or(0);
            ((all - running - people).max(0), running)
        }
        (Stage::Optimise, _) => {
            let running = stage.running_seconds.unwrap_or(0);
            (waited + queued(&stage.jobs), running + worked(&stage.jobs))
        }
        _ => {
            let queued = (waited + queued(&stage.jobs)).min(all);
            (queued, all - queued)
        }
    };
    stage.queued_seconds = Some(queued).filter(|seconds| *seconds > 0);
    stage.running_seconds = Some(running);
}

/// Price of one Job.
pub(super) fn price(job: &JobRecord) -> f64 {
    job.cost.as_deref().map_or(0.0, parse)
}

/// Opens a closed stage again: what its Jobs that are still listed cost is counted when it ends again.
pub(super) fn reopen(stage: &mut StageRecord) {
    stage.verdict = None;
    stage.message = None;
    stage.finished_at = None;
    let (removed, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut stage.jobs)
        .into_iter()
        .partition(|job| job.verdict != Some(Verdict::Passed));
    let listed: f64 = removed.iter().chain(&kept).map(price).sum();
    let before = stage.cost.as_deref().map_or(0.0, parse);
    stage.cost = Some(decimal((before - listed).max(0.0)));
    stage.queued_seconds = None;
    stage.running_seconds = None;
    for job in &removed {
        forget(stage, job);
    }
    stage.jobs = kept;
}

/// Keeps what a Job that will not be listed any more cost and took. A stage that has ended has counted it already.
pub(super) fn forget(stage: &mut StageRecord, job: &JobRecord) {
    if stage.finished_at.is_some() {
        return;
    }
    let before = stage.cost.as_deref().map_or(0.0, parse);
    stage.cost = Some(decimal(before + price(job)));
    let one = std::slice::from_ref(job);
    let add = |seconds: &mut Option<i64>, more: i64| {
        let sum = seconds.unwrap_or(0) + more;
        *seconds = Some(sum).filter(|sum| *sum > 0);
    };
    add(&mut stage.queued_seconds, queued(one));
    if stage.name == Stage::Optimise {
        add(&mut stage.running_seconds, worked(one));
    }
}

type Span = (Timestamp, Timestamp);

/// Seconds in which a Job waited for its container and none ran.
fn queued(jobs: &[JobRecord]) -> i64 {
    let runs = runs(jobs);
    let waits = jobs.iter().filter_map(|job| {
        let until = job.started_at.as_ref().or(job.finished_at.as_ref())?;
        Some((job.queued_at.as_ref()?.0, until.0))
    });
    let all: Vec<_> = waits.chain(runs.iter().copied()).collect();
    covered(all) - covered(runs)
}

/// Seconds in which a Job ran.
fn worked(jobs: &[JobRecord]) -> i64 {
    covered(runs(jobs))
}

fn runs(jobs: &[JobRecord]) -> Vec<Span> {
    let span = |job: &JobRecord| Some((job.started_at.as_ref()?.0, job.finished_at.as_ref()?.0));
    jobs.iter().filter_map(span).collect()
}

/// Seconds that lie in at least one of the spans.
fn covered(mut spans: Vec<Span>) -> i64 {
    spans.sort();
    let mut seconds = 0;
    let mut until: Option<Timestamp> = None;
    for (from, to) in spans {
        let from = until.map_or(from, |until| until.max(from));
        seconds += whole_seconds(from, to);
        until = Some(until.map_or(to, |until| until.max(to)));
    }
    seconds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::status::Finding;
    use crate::observed::ContainerState;
    use crate::plan::tests::fresh;

    fn at(second: i64) -> Time {
        Time(Timestamp::from_second(1_767_268_800 + second).unwrap())
    }

    fn job(queued: i64, started: i64, finished: i64) -> JobRecord {
        JobRecord {
            verdict: Some(Verdict::Inconclusive),
            queued_at: Some(at(queued)),
            started_at: Some(at(started)),
            finished_at: Some(at(finished)),
            cost: Some("1.5".into()),
            ..JobRecord::default()
        }
    }

    fn stage(name: Stage, jobs: Vec<JobRecord>) -> StageRecord {
        StageRecord {
            jobs,
            ..record::begun(name, at(0))
        }
    }

    #[test]
    fn a_second_is_queued_only_when_nothing_of_the_stage_runs() {
        let mut gate = stage(Stage::Gate, vec![job(10, 14, 30), job(12, 40, 50)]);
        end(&mut gate, 0.5, at(60).0);
        // 10 to 14, and 30 to 40: before that the other one ran.
        assert_eq!(gate.queued_seconds, Some(14));
        assert_eq!(gate.running_seconds, Some(46));
        assert_eq!(gate.cost.as_deref(), Some("3.5"));
    }

    #[test]
    fn a_job_that_is_not_listed_any_more_is_counted_once() {
        let listed = || vec![job(0, 5, 10), job(20, 25, 30)];
        let mut whole = stage(Stage::Optimise, listed());
        end(&mut whole, 0.0, at(40).0);
        let mut short = stage(Stage::Optimise, listed());
        let first = short.jobs.remove(0);
        forget(&mut short, &first);
        end(&mut short, 0.0, at(40).0);
        assert_eq!((&short.cost, short.queued_seconds), (&whole.cost, Some(10)));
        assert_eq!(short.running_seconds, Some(10));
        // It has ended: its figures hold.
        forget(&mut whole, &first);
        assert_eq!(whole.cost.as_deref(), Some("3"));
        // Opened again, what did not pass is gone and still counted, and nothing twice.
        whole.jobs[1].verdict = Some(Verdict::Passed);
        reopen(&mut whole);
        assert_eq!(whole.jobs.len(), 1);
        end(&mut whole, 0.0, at(90).0);
        assert_eq!(
            (whole.cost.as_deref(), whole.running_seconds),
            (Some("3"), Some(10))
        );
    }

    #[test]
    fn pods_of_a_release_that_goes_back_are_counted_once_and_before_they_go() {
        let (platform, mut observed) = fresh();
        record::open(&mut observed.memory.releases, "r1", 1, at(0));
        record::enter(&mut observed.memory.releases, "r1", Stage::Rollout, at(0));
        let mut pod = PodView {
            release: "r1".into(),
            service: "customer".into(),
            track: labels::STABLE.into(),
            started: Some(at(0).0),
            cpu: 1.0,
            ..PodView::default()
        };
        observed.pods = vec![pod.clone()];
        let mut draft = Draft::new(&platform, &observed, at(100).0);
        let candidate = draft.begin("r1", &platform.wanted(&draft.memory.images).unwrap());
        draft.memory.releases.remove(0);
        draft.memory.candidate = Some(crate::api::status::Candidate {
            stage: Stage::Rollout,
            ..candidate
        });
        let finding = Finding::new("RolloutFailed", "they are not ready");
        draft.start_return(finding.clone());
        observed.memory = draft.memory;
        // One that ends slowly costs those seconds, too.
        pod.state = ContainerState::Terminated {
            exit_code: 0,
            reason: String::new(),
            message: String::new(),
            started: Some(at(0).0),
            finished: Some(at(130).0),
        };
        for (pods, seconds) in [(Vec::new(), 100.0), (vec![pod], 130.0)] {
            observed.pods = pods;
            let mut draft = Draft::new(&platform, &observed, at(150).0);
            draft.conclude(Verdict::Failed, finding.clone());
            let stage = record::stage(&mut draft.memory.releases, "r1", Stage::Rollout);
            let wanted = platform.settings.prices.price(1.0, 0.0, seconds);
            assert_eq!(stage.unwrap().cost, Some(decimal(wanted)));
        }
    }
}
