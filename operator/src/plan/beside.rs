//! Stable and candidate side by side, in two optional slots of the gate. *Compat*: while the candidate's expand is done and stable still serves, does stable still
//! work? *Performance*: is the candidate slower than stable, on the same rows, on the same machines, at the same time?
//!
//! Both run on a copy of the scratch database, taken right after expand. So the tests of stable, which write as stable writes, are out of the way of the backfill
//! and the contract of the rehearsal; contract is still rehearsed on the rows as they are, and what serves here sees masked ones. Stable's tests run on the copy
//! as expand left it, which is what stable meets while the candidate is rolled out, and again once the copy is backfilled, which is what a way back meets.
//! Then the speed of both is measured there. Without a test that asks for it nothing of this is made.

mod copy;

pub(super) use copy::{copy, mask};

use super::draft::Draft;
use super::gate::{self, Tried};
use super::steps::{self, Work};
use super::{Progress, record};
use crate::api::conditions::{
    BREAKS_STABLE, CANDIDATE_NOT_READY, GATE_INCONCLUSIVE, SLOWER_THAN_STABLE,
};
use crate::api::spec::TestPhase;
use crate::api::status::{Finding, Stage};
use crate::desired::beside::{Beside, Side};
use crate::desired::labels;
use crate::platform::release::Release;

// Steps of the gate carry the names of tests, which have at most 20 characters: none can be called like these.
const AFTER_EXPAND: &str = "stable-after-expand-";
const AFTER_BACKFILL: &str = "stable-after-backfill-";

/// Candidate and stable.
struct Pair<'p> {
    id: &'p str,
    release: &'p Release,
    stable: &'p str,
    opposite: &'p Release,
}

/// Whether there is anything to compare the candidate with.
enum Opposite {
    /// No test asks for it, or nothing serves; and what to say of that.
    None(Option<&'static str>),
    /// The record of stable is missing; `settle` has told it.
    Unknown,
    /// The release that serves.
    Stable(String, Box<Release>),
}

fn opposite(draft: &Draft<'_>, release: &Release) -> Opposite {
    let asks = |of: &Release, phase| of.tests_in(phase).next().is_some();
    let compares = asks(release, TestPhase::Performance);
    let expects = compares || asks(release, TestPhase::Compat);
    let Some(stable) = &draft.memory.stable else {
        let words =
            "tests with when: [Compat] or [Performance] were skipped: no release serves yet";
        return Opposite::None(expects.then_some(words));
    };
    let Some(of) = draft.release(&stable.release) else {
        return Opposite::Unknown;
    };
    if !compares && !asks(&of, TestPhase::Compat) {
        let words = "tests with when: [Compat] were skipped: the release that serves has none";
        return Opposite::None(expects.then_some(words));
    }
    Opposite::Stable(stable.release.clone(), Box::new(of))
}

/// Runs the tests that need both releases, one kind after the other.
pub(super) fn compare(draft: &mut Draft<'_>, (id, release): (&str, &Release)) -> Progress {
    let (stable, of) = match opposite(draft, release) {
        Opposite::None(words) => {
            let stage = record::stage(&mut draft.memory.releases, id, Stage::Gate);
            if let (Some(stage), Some(words)) = (stage, words) {
                stage.message = Some(words.to_owned());
            }
            return Progress::Skipped;
        }
        Opposite::Unknown => return Progress::Waiting,
        Opposite::Stable(stable, of) => (stable, of),
    };
    if let Some(finding) = gate::unread(draft, of.tests_in(TestPhase::Compat), GATE_INCONCLUSIVE) {
        return Progress::Inconclusive(finding);
    }
    let pair = Pair {
        id,
        release,
        stable: &stable,
        opposite: &of,
    };
    one_by_one(draft, &pair)
}

fn one_by_one(draft: &mut Draft<'_>, pair: &Pair<'_>) -> Progress {
    let stable = pair.stable;
    let expanded = compat(draft, pair, AFTER_EXPAND);
    if !expanded.is_good() {
        return because(expanded, BREAKS_STABLE, |message| {
            format!("expand breaks release {stable}, which serves: {message}")
        });
    }
    let backfilled = copy::backfill(draft, pair);
    if !backfilled.is_good() {
        return backfilled;
    }
    if backfilled == Progress::Passed {
        let again = compat(draft, pair, AFTER_BACKFILL);
        if !again.is_good() {
            return because(again, BREAKS_STABLE, |message| {
                format!("backfill breaks release {stable}, the way back: {message}")
            });
        }
    }
    let measured = performance(draft, pair);
    because(measured, SLOWER_THAN_STABLE, |message| {
        format!("slower than release {stable}, which serves: {message}")
    })
}

/// A failure of a reason in the words of what it means.
fn because(progress: Progress, reason: &str, words: impl Fn(&str) -> String) -> Progress {
    match progress {
        Progress::Failed(finding) if finding.reason == reason => {
            Progress::Failed(Finding::new(reason, words(&finding.message)))
        }
        other => other,
    }
}

/// Stable's own tests against its own pods on the copy.
fn compat(draft: &mut Draft<'_>, pair: &Pair<'_>, prefix: &str) -> Progress {
    let tests: Vec<_> = pair.opposite.tests_in(TestPhase::Compat).collect();
    let steps = |step: &str| step.starts_with(prefix);
    if tests.is_empty() {
        return Progress::Skipped;
    }
    if !has_begun(draft, pair, steps) {
        let ready = pods(draft, pair, &[Side::Stable]);
        if !ready.is_good() {
            return ready;
        }
    }
    let mut all = Vec::new();
    for test in tests {
        let work = Work {
            release: pair.id,
            stage: Stage::Gate,
            step: format!("{prefix}{}", test.name),
            kind: gate::kind(test),
            tries: test.attempts,
            reasons: (BREAKS_STABLE, GATE_INCONCLUSIVE),
        };
        all.push(steps::run(draft, &work, |draft, step| {
            let scope = draft.scope(pair.id, pair.release);
            pair.beside(Side::Stable).test(scope, step, test)
        }));
    }
    let ended = Progress::worst(all);
    gate::undisturbed(draft, ended, (pair.id, &[labels::BESIDE_STABLE], steps))
}

/// The candidate's tests that find both.
fn performance(draft: &mut Draft<'_>, pair: &Pair<'_>) -> Progress {
    let tests: Vec<_> = pair.release.tests_in(TestPhase::Performance).collect();
    let steps = |step: &str| tests.iter().any(|test| test.name == step);
    if tests.is_empty() {
        return Progress::Skipped;
    }
    if !has_begun(draft, pair, steps) {
        let ready = pods(draft, pair, &[Side::Stable, Side::Candidate]);
        if !ready.is_good() {
            return ready;
        }
    }
    // One after the other: each would be measured with the others' load.
    for test in &tests {
        let work = Work {
            release: pair.id,
            stage: Stage::Gate,
            step: test.name.clone(),
            kind: gate::kind(test),
            tries: test.attempts,
            reasons: (SLOWER_THAN_STABLE, GATE_INCONCLUSIVE),
        };
        let ended = steps::run(draft, &work, |draft, step| {
            let scope = draft.scope(pair.id, pair.release);
            pair.beside(Side::Stable).comparison(scope, step, test)
        });
        if !ended.is_good() {
            let tracks = [labels::BESIDE_STABLE, labels::BESIDE_CANDIDATE];
            return gate::undisturbed(draft, ended, (pair.id, &tracks, steps));
        }
    }
    Progress::Passed
}

/// Whether a Job of these steps was made: from then on its pods are left to their Deployments, so that a pod that ends is not waited for but found out.
fn has_begun(draft: &mut Draft<'_>, pair: &Pair<'_>, steps: impl Fn(&str) -> bool) -> bool {
    let stage = record::stage(&mut draft.memory.releases, pair.id, Stage::Gate);
    stage.is_some_and(|stage| stage.jobs.iter().any(|job| steps(&job.step)))
}

/// Makes the pods of these sides and waits until all are ready.
fn pods(draft: &mut Draft<'_>, pair: &Pair<'_>, sides: &[Side]) -> Progress {
    let mut all = Vec::new();
    for side in sides {
        let beside = pair.beside(*side);
        let scope = draft.scope(pair.id, pair.release);
        let services = beside.release.services.iter();
        let objects = services.map(|own| (beside.address(scope, own), beside.pods(scope, own)));
        let (name, not_ready) = match side {
            Side::Stable => ("pods of stable beside the candidate", BREAKS_STABLE),
            Side::Candidate => ("candidate pods beside stable", CANDIDATE_NOT_READY),
        };
        let tried = Tried {
            id: pair.id,
            track: side.track(),
            objects: objects.collect(),
            name,
            not_ready,
        };
        all.push(gate::await_pods(draft, tried));
    }
    Progress::worst(all)
}

impl Pair<'_> {
    fn beside(&self, side: Side) -> Beside<'_> {
        let (id, release) = match side {
            Side::Stable => (self.stable, self.opposite),
            Side::Candidate => (self.id, self.release),
        };
        Beside { side, id, release }
    }
}
