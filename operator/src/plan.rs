//! The decision: from a platform and what was observed to the writes that come next. No client, no clock, no randomness.
//!
//! # Flow
//! 1. `admit`: which release does the spec ask for; does it become the candidate, or does it take the place of one.
//! 2. The candidate's stage (one file per stage) says how far it is; the transition is made here. Without a candidate stable is kept and optimised.
//! 3. `cleanup`: what no release needs any more.
//!
//! # Guarantees
//! - A change of stage and the writes of the new stage are never in one plan: the memory that allows a write is saved before the write is made.
//! - Each write is harmless when it is made twice, so a crash between any two of them is repaired by planning again.
//! - Nothing of one release is read for another: Jobs, verdicts, candidate pods and scratch databases carry the release id.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use crate::api::conditions;
use crate::api::status::{Candidate, Finding, Memory, Stage, Verdict};
use crate::cost::seconds;
use crate::observed::{Ask, Observed};
use crate::platform::Platform;

pub mod action;
mod admit;
mod around;
mod asked;
mod backup;
mod beside;
mod bound;
mod cleanup;
mod closing;
mod configuration;
mod correction;
mod dora;
mod draft;
mod foundation;
mod gate;
mod judge;
pub mod keep;
mod migrate;
mod moves;
mod optimise;
mod permit;
mod record;
mod refused;
mod rehearse;
mod requests;
mod resolve;
mod rollback;
mod rollout;
mod steps;
mod update;
mod usable;
mod verify;

use action::{Action, Correction, Note, Origin, Write};
pub(crate) use dora::WINDOW;
use draft::Draft;
use keep::Keep;

/// How often a plan is made again when nothing happens.
const SAFETY_NET: Duration = Duration::from_secs(600);
/// Most moves of one plan: more than a release has stages.
const MOVES: usize = 12;

/// What comes next.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Writes, in order.
    pub actions: Vec<Action>,
    /// Reports and logs to keep before the memory is saved; their loss stops nothing.
    pub keeps: Vec<Keep>,
    /// Logs that have to be read, or found unreadable, before there is a verdict: then this plan is not carried out, but made again.
    pub asks: Vec<Ask>,
    /// The memory to save once all writes are made.
    pub memory: Memory,
    /// What to tell people, once the memory is saved.
    pub notes: Vec<Note>,
    /// What of the writes puts back what somebody changed; told once they are made.
    pub corrections: Vec<Correction>,
    /// When to look again without being woken.
    pub requeue: Duration,
    /// What is being waited for.
    pub waiting: Option<String>,
    /// The release that the spec asks for, once its images are known.
    pub wanted: Option<String>,
    /// Why the spec cannot be followed just now.
    pub problem: Option<Finding>,
    /// What people hold back: a pause, a missing approval, a freeze window.
    pub held_back: Option<Finding>,
    /// Which request of a person waits for the release that it speaks of.
    pub early: Option<String>,
    /// Why nobody reaches the platform from outside although the spec says so.
    pub unexposed: Option<Finding>,
    /// The route or Ingress, as `Kind/name`, that is not as the spec says, or was not before the writes of this plan.
    pub way_in_lags: Option<String>,
    /// What it waits for will not come by itself, or not soon: people are told at once.
    pub hindered: bool,
    /// Scratch databases that count as dropped once this Job, as `Kind/name`, is removed, which did it: a Job that stays would stand for the next one. By release.
    pub drops: BTreeMap<String, String>,
    /// What of this plan is not done, and why; it stops nothing.
    pub undone: Vec<String>,
}

/// How a stage stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Progress {
    /// It goes on.
    Waiting,
    /// It is over and good.
    Passed,
    /// There was nothing to do.
    Skipped,
    /// The candidate is bad.
    Failed(Finding),
    /// It could not be found out.
    Inconclusive(Finding),
    /// It was left at a safe point for a newer spec.
    Stopped,
}

/// Plans the next writes. A move makes none, so what follows from it is planned at once, as if its memory had been saved: a stage with nothing to do costs no
/// write of the status, and what the next stage waits for is told together with the move.
pub fn plan(platform: &Platform, observed: &Observed, now: Timestamp) -> Plan {
    let (mut plan, mut moved) = move_on(platform, observed, now);
    for _ in 1..MOVES {
        if !moved {
            break;
        }
        let saved = Observed {
            memory: plan.memory.clone(),
            ..observed.clone()
        };
        let next;
        (next, moved) = move_on(platform, &saved, now);
        plan = plan.followed_by(next, moved);
    }
    plan
}

/// Plans one move, or the writes of a stage; also answers which of the two it is.
fn move_on(platform: &Platform, observed: &Observed, now: Timestamp) -> (Plan, bool) {
    let mut draft = Draft::new(platform, observed, now);
    admit::admit(&mut draft);
    if !draft.moved {
        advance(&mut draft);
    }
    // As long as nothing is remembered, what is recorded may be all there is of what serves.
    if !draft.moved && !admit::memory_is_lost(&draft) {
        draft.writing_for(Origin::Aside, |draft| {
            around::live_pods(draft);
            cleanup::cleanup(draft);
        });
    }
    around::tell_way_in(&mut draft);
    let moved = draft.moved;
    (draft.finish(SAFETY_NET), moved)
}

fn advance(draft: &mut Draft<'_>) {
    if draft.memory.candidate.is_none()
        && draft.memory.stable.is_none()
        && draft.memory.releases.is_empty()
    {
        // No release has begun: a database would be made for an image that may not be there.
        return;
    }
    around::isolation(draft);
    let has_secrets = foundation::secrets(draft);
    // A database that is not there must not begin with passwords that nobody vouches for.
    draft.database_answers =
        (has_secrets || draft.observed.database.is_some()) && foundation::database(draft);
    let Some(candidate) = draft.memory.candidate.clone() else {
        settle(draft);
        if !draft.superseded {
            optimise::optimise(draft);
        }
        return;
    };
    if candidate.returning.is_some() {
        return rollout::return_to_stable(draft);
    }
    if draft.superseded && draft.release(&candidate.release).is_none() {
        // Its inputs are lost and nobody asks for it any more.
        return match candidate.stage {
            stage if stage < Stage::Rollout => transition(draft, stage, Progress::Stopped),
            _ => draft.start_return(draft.superseding()),
        };
    }
    // Until its Rollout begins nothing live is the candidate's.
    if candidate.stage < Stage::Rollout
        || (candidate.stage == Stage::Rollout && permit::is_waiting(draft, &candidate))
    {
        settle(draft);
    }
    if candidate.held.is_some() || lacks_secrets(draft, &candidate, has_secrets) {
        return;
    }
    if let Some(finding) = backup::came_too_late(draft, &candidate) {
        return draft.conclude(Verdict::Superseded, finding);
    }
    if !permit::has_begun(draft, &candidate) {
        return;
    }
    let progress = draft.writing_for(Origin::Stage, |draft| work(draft, candidate.stage));
    let denied = denied(draft, &candidate).filter(|_| progress == Progress::Waiting);
    let progress = denied.map_or(progress, Progress::Inconclusive);
    transition(draft, candidate.stage, progress);
}

/// Goes on with a stage; those that only are a moment of the memory have nothing to do.
fn work(draft: &mut Draft<'_>, stage: Stage) -> Progress {
    match stage {
        Stage::Backup => backup::backup(draft),
        Stage::Rehearse => rehearse::rehearse(draft),
        Stage::Gate => gate::gate(draft),
        Stage::Migrate => migrate::migrate(draft),
        Stage::Rollout => rollout::rollout(draft),
        Stage::Verify => verify::verify(draft),
        Stage::Resolve | Stage::Approve | Stage::Optimise => Progress::Passed,
    }
}

/// What the API server denies a stage that would write it again, also after the time that pods of a service may take: it will not come by itself. A migration of the
/// live database that runs is awaited first.
fn denied(draft: &Draft<'_>, candidate: &Candidate) -> Option<Finding> {
    let denied = draft.observed.denied.as_ref();
    let denied = denied.filter(|denied| denied.origin == Origin::Stage)?;
    let mut writes = draft.actions.iter();
    if draft.moved || !writes.any(|action| action.origin == Origin::Stage) {
        return None;
    }
    let for_seconds = seconds(denied.since.max(candidate.since.0), denied.last);
    let limit = f64::from(draft.platform.progress_deadline_seconds);
    let migrates = candidate.stage == Stage::Migrate && draft.live_migration("").is_some();
    if for_seconds <= limit || migrates {
        return None;
    }
    let reason = match candidate.stage {
        Stage::Backup => conditions::BACKUP_FAILED,
        Stage::Resolve | Stage::Rehearse => conditions::REHEARSAL_INCONCLUSIVE,
        Stage::Gate | Stage::Approve => conditions::GATE_INCONCLUSIVE,
        Stage::Migrate => conditions::MIGRATION_INCONCLUSIVE,
        Stage::Rollout => conditions::ROLLOUT_INCONCLUSIVE,
        Stage::Verify | Stage::Optimise => conditions::VERIFY_INCONCLUSIVE,
    };
    let message = format!("{}; that was so for {for_seconds:.0} s", denied.why);
    Some(Finding::new(reason, message))
}

/// Whether a stage that changes nothing live, or has not begun, lacks Secrets. What has begun to change what is live is finished.
fn lacks_secrets(draft: &mut Draft<'_>, candidate: &Candidate, has_own: bool) -> bool {
    let may_wait = candidate.stage < Stage::Migrate || permit::is_waiting(draft, candidate);
    if may_wait && !has_own {
        return true;
    }
    let release = draft.release(&candidate.release).filter(|_| may_wait);
    release.is_some_and(|release| usable::hinders(draft, &release))
}

/// Keeps stable, unless people work on it by hand.
fn settle(draft: &mut Draft<'_>) {
    match draft.platform.paused {
        true => draft.hold_back(permit::paused()),
        false => rollout::settle(draft),
    }
}

/// Turns the standing of a stage into the next stage, a rejection, a hold or a return to stable.
fn transition(draft: &mut Draft<'_>, stage: Stage, progress: Progress) {
    match progress {
        Progress::Waiting => {}
        _ if draft.superseded && stage == Stage::Migrate => {
            draft.conclude(Verdict::Superseded, draft.superseding())
        }
        Progress::Passed | Progress::Skipped | Progress::Stopped | Progress::Inconclusive(_)
            if let Some(finding) = aborting(draft) =>
        {
            draft.conclude(Verdict::Aborted, finding)
        }
        // A release without a test for this phase has nothing that could fail.
        Progress::Passed if stage >= Stage::Verify => draft.promote(Verdict::Passed),
        Progress::Skipped if stage >= Stage::Verify => draft.promote(Verdict::Skipped),
        Progress::Passed => draft.enter_next(Verdict::Passed),
        Progress::Skipped => draft.enter_next(Verdict::Skipped),
        Progress::Failed(finding) | Progress::Inconclusive(finding) if stage >= Stage::Rollout => {
            draft.start_return(finding)
        }
        Progress::Failed(finding) => draft.conclude(Verdict::Failed, finding),
        Progress::Inconclusive(finding) => draft.hold(finding),
        Progress::Stopped => draft.conclude(Verdict::Superseded, draft.superseding()),
    }
}

fn aborting(draft: &Draft<'_>) -> Option<Finding> {
    draft.memory.candidate.as_ref()?.aborting.clone()
}

impl Plan {
    /// Whether it is not known how the way in stands after this plan: it was not as the spec says, and is not written now.
    pub(crate) fn leaves_way_in(&self) -> bool {
        let writes = |key: &String| {
            let mut all = self.actions.iter();
            all.any(|action| matches!(&action.write, Write::Apply(object) if object.key() == *key))
        };
        self.way_in_lags.as_ref().is_some_and(|key| !writes(key))
    }

    /// A plan with moves, and the one that follows once its memory is saved. Another move is taken over; of writes only what they are for: what is not made is not
    /// told as put back.
    fn followed_by(self, next: Self, moved: bool) -> Self {
        let memory = match moved {
            true => next.memory,
            false => self.memory,
        };
        let (mut notes, mut keeps, mut asks) = (self.notes, self.keeps, self.asks);
        // Of a plan whose memory is not taken nothing is told, kept or asked: it is made again.
        if moved {
            notes.extend(next.notes);
            keeps.extend(next.keeps);
            asks.extend(next.asks);
        }
        Self {
            actions: Vec::new(),
            corrections: Vec::new(),
            memory,
            notes,
            keeps,
            asks,
            requeue: SAFETY_NET,
            ..next
        }
    }
}

impl Progress {
    /// A failure with the reason of the stage it happened in.
    fn failed(reason: &str, message: String) -> Self {
        Self::Failed(Finding::new(reason, message))
    }

    /// The first of several standings that is not good; waiting counts only when none is bad.
    fn worst(all: Vec<Self>) -> Self {
        let rank = |progress: &Self| match progress {
            Self::Failed(_) => 0,
            Self::Inconclusive(_) => 1,
            Self::Waiting => 2,
            Self::Stopped => 3,
            Self::Passed => 4,
            Self::Skipped => 5,
        };
        all.into_iter().min_by_key(rank).unwrap_or(Self::Skipped)
    }

    fn is_good(&self) -> bool {
        matches!(self, Self::Passed | Self::Skipped)
    }
}

/// What a person should do about a release that failed or is held; ends every such message.
pub(crate) fn remedy(reason: &str, candidate: &Candidate, memory: &Memory) -> &'static str {
    match reason {
        conditions::BELOW_SCHEMA_FLOOR => {
            "choose an image of at least that level, or restore a backup"
        }
        _ if candidate.rollback.is_some() => {
            "stable serves on; mend the cause and annotate crmplatform.io/rollback-to again, or choose another release"
        }
        conditions::JOB_NOT_OURS => "delete that Job, then annotate crmplatform.io/retry",
        conditions::BACKUP_FAILED => {
            "nothing was changed; mend the cause and annotate crmplatform.io/retry, or set spec.database.backup.policy to Never"
        }
        conditions::BACKUP_NOT_RESTORABLE => {
            "nothing live was changed, but do not rely on this backup; annotate crmplatform.io/retry for a new one"
        }
        conditions::ABORTED | conditions::ROLLED_BACK => {
            "change the spec, or annotate crmplatform.io/retry"
        }
        _ if memory.stable.is_some() => {
            "stable serves on; mend the cause, then change the spec or annotate crmplatform.io/retry"
        }
        _ => {
            "nothing serves yet; mend the cause, then change the spec or annotate crmplatform.io/retry"
        }
    }
}

#[cfg(test)]
mod tests;
