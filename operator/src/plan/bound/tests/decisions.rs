//! A shorter memory decides the same: whatever a plan makes of the whole one, it makes of what is left.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::desired::labels;
use crate::observed::{JobEnd, JobView, Observed, PodView};
use crate::plan::tests::{Case, case, look};
use crate::plan::{Plan, plan};

/// What a plan decides, without its words.
fn decisions(plan: &Plan) -> String {
    let memory = &plan.memory;
    let writes: Vec<_> = plan
        .actions
        .iter()
        .map(|action| format!("{:?}", action.write))
        .collect();
    let reason = |finding: &Option<Finding>| finding.as_ref().map(|finding| finding.reason.clone());
    let candidate = memory.candidate.as_ref().map(|at_work| {
        let findings = [&at_work.held, &at_work.returning, &at_work.aborting].map(reason);
        (
            at_work.release.clone(),
            at_work.stage,
            findings,
            at_work.approved,
            at_work.ungated,
            at_work.shift.clone(),
        )
    });
    let rejected: Vec<_> = memory
        .rejected
        .iter()
        .map(|rejected| (&rejected.release, &rejected.reason, &rejected.left_at))
        .collect();
    let records: Vec<_> = memory
        .releases
        .iter()
        .map(|record| {
            let gate = record
                .stages
                .iter()
                .find(|stage| stage.name == Stage::Gate)
                .and_then(|stage| stage.verdict);
            (
                &record.release,
                record.round,
                record.verdict,
                gate,
                reason(&record.finding),
            )
        })
        .collect();
    let notes: Vec<_> = plan.notes.iter().map(|note| &note.reason).collect();
    let stable = memory
        .stable
        .as_ref()
        .map(|stable| (&stable.release, stable.optimised, stable.slot));
    format!(
        "{writes:?} {candidate:?} {stable:?} {rejected:?} {records:?} {notes:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        memory.scratch,
        memory.schema,
        plan.requeue,
        plan.wanted,
        reason(&plan.problem),
        reason(&plan.held_back)
    )
}

/// Steps that a release of the platform of the cases can have.
const STEPS: [(Stage, &str); 11] = [
    (Stage::Backup, "dump"),
    (Stage::Rehearse, "scratch"),
    (Stage::Rehearse, "stable-expand-sales"),
    (Stage::Rehearse, "expand-sales"),
    (Stage::Rehearse, "contract-sales"),
    (Stage::Gate, "smoke"),
    (Stage::Migrate, "expand-sales"),
    (Stage::Rollout, "canary-25-smoke"),
    (Stage::Rollout, "canary-60-smoke"),
    (Stage::Verify, "smoke"),
    (Stage::Optimise, "backfill-sales"),
];

/// How the Jobs of a step stand: how many tries there were, how the last one ended, what it named as pending, whether its Job is still seen and whether that has ended.
#[derive(Clone, Debug)]
struct Stand {
    tries: i32,
    last: Option<Verdict>,
    pending: Option<Vec<String>>,
    seen: bool,
    ended: bool,
    passed: bool,
    /// Seconds after which a pod of the candidate was made.
    pod: i64,
}

fn stand() -> impl Strategy<Value = Stand> {
    let last = prop::sample::select(vec![
        None,
        Some(Verdict::Passed),
        Some(Verdict::Passed),
        Some(Verdict::Passed),
        Some(Verdict::Failed),
        Some(Verdict::Inconclusive),
    ]);
    let pending = prop::sample::select(vec![
        None,
        Some(vec![]),
        Some(vec!["contract".to_owned()]),
        Some(vec!["backfill".to_owned()]),
    ]);
    (0..4i32, last, pending, any::<[bool; 3]>(), 0..40i64).prop_map(
        |(tries, last, pending, [seen, ended, passed], pod)| Stand {
            pod,
            tries,
            last,
            pending,
            seen,
            ended,
            passed,
        },
    )
}

fn after(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

/// Gives every release of a memory a history of Jobs.
fn fill(observed: &mut Observed, stands: &[Stand]) {
    let uid = "0a1b2c3d-0000";
    for record in &mut observed.memory.releases {
        let id = record.release.clone();
        observed.pods.push(PodView {
            release: id.clone(),
            track: labels::CANDIDATE.into(),
            service: "sales".into(),
            created: Some(after(stands[0].pod)),
            ..PodView::default()
        });
        for ((stage, step), stand) in STEPS.iter().zip(stands) {
            let Some(stage) = record.stages.iter_mut().find(|known| known.name == *stage) else {
                continue;
            };
            for attempt in 1..=stand.tries {
                let verdict = if attempt == stand.tries {
                    stand.last
                } else {
                    Some(Verdict::Inconclusive)
                };
                let mut made = job(
                    &id,
                    stage.name,
                    (step, attempt),
                    verdict.unwrap_or(Verdict::Passed),
                );
                made.verdict = verdict;
                made.started_at = Some(Time(after(10 * i64::from(attempt))));
                made.pending = stand.pending.clone();
                if stand.seen {
                    let view = JobView {
                        name: made.job.clone(),
                        uid: made.uid.clone().unwrap(),
                        owner: uid.into(),
                        release: id.clone(),
                        stage: stage.name.name().into(),
                        end: stand.ended.then_some(JobEnd::Complete),
                        created: Some(now()),
                        ..JobView::default()
                    };
                    observed.jobs.insert(view.name.clone(), view);
                }
                stage.jobs.push(made);
            }
            if stand.passed
                && stage.name == Stage::Rehearse
                && stand.tries > 0
                && stand.last == Some(Verdict::Passed)
                && let Some((group, _)) = step.rsplit_once('-')
            {
                stage.passed.push(group.to_owned());
            }
        }
    }
}

/// A case in which the Jobs of the stage are asked about.
fn at_work(case: Case) -> Case {
    Case {
        history: true,
        recorded: true,
        stable: true,
        wanted: true,
        held: false,
        returning: false,
        gate: "Required",
        database: "{secret: db}",
        ..case
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever has to go, the next decision is the one that the whole memory would have brought.
    #[test]
    fn a_shorter_memory_decides_the_same(case in case(), busy in prop::bool::weighted(0.8), stands in prop::collection::vec(stand(), STEPS.len()), limits in prop::sample::select(vec![[0, 0], [0, usize::MAX], [2500, 2000], [5000, 3500]])) {
        let Some((platform, mut observed)) = look(&if busy { at_work(case) } else { Case { history: true, ..case } }) else { return Ok(()) };
        fill(&mut observed, &stands);
        let jobs = observed.jobs.values().filter(|job| job.end.is_none());
        let running = jobs.map(|job| job.uid.clone()).collect();
        let whole = plan(&platform, &observed, after(60));
        bound_to(&mut observed.memory, &running, limits);
        let short = plan(&platform, &observed, after(60));
        prop_assert_eq!(decisions(&short), decisions(&whole));
        let once = observed.memory.clone();
        bound_to(&mut observed.memory, &running, limits);
        prop_assert_eq!(&observed.memory, &once);
    }
}
