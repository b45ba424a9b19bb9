//! Which differences are worth a write of the status, and what is kept of those that are not yet.
//!
//! In: the status as it is written, the next one, and what was found before and not written. Out: to write now, or with the next write that is needed, at the
//! latest half a minute after the last change of what is being waited for.
//!
//! What may wait is what can be found out again: that a Job was made, its UID, that it passed, a dropped scratch database. A process that ends before it has
//! written them finds them again by the names and fingerprints of the Jobs, as after a crash between a Job and its record. What allows a write (a stage, a
//! share of the traffic), what people did, each verdict that is not a pass and each migration of the live database are never kept back.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use crate::api::conditions::{AVAILABLE, EXPOSED, READY, RECONCILING};
use crate::api::status::{CrmPlatformStatus, JobRecord, Memory, Stage, Verdict};
use crate::cost::seconds;
use crate::status::summary::UNDONE;

/// Seconds after which what a release waits for is told, and what was found is written, even if nothing else changes.
const WITHIN: f64 = 30.0;

/// What one process has found and not written yet.
#[derive(Clone, Debug)]
pub struct Unsaved {
    /// The memory as it is written.
    saved: Memory,
    memory: Memory,
    sentence: String,
    since: Timestamp,
}

impl Unsaved {
    /// The memory to go on from, as long as what is written is what it was found after.
    pub fn after(&self, saved: &Memory) -> Option<&Memory> {
        (self.saved == *saved).then_some(&self.memory)
    }
}

/// What to do with the next status.
#[derive(Debug)]
pub enum Save {
    /// It says what is written already.
    Nothing,
    /// Write it.
    Now,
    /// Keep this, and look again then.
    Later(Box<Unsaved>, Duration),
}

/// Decides about the next status. `hindered`: what it waits for will not come by itself.
pub fn save(
    before: Option<&CrmPlatformStatus>,
    kept: Option<&Unsaved>,
    next: &CrmPlatformStatus,
    (hindered, now): (bool, Timestamp),
) -> Save {
    let Some(before) = before else {
        return Save::Now;
    };
    if before == next {
        return Save::Nothing;
    }
    let sentence = sentence(next);
    let is_news = hindered && own_words(sentence) != own_words(self::sentence(before));
    if is_news || essence(before) != essence(next) || is_more(before, next) {
        return Save::Now;
    }
    let kept = kept.filter(|kept| own_words(&kept.sentence) == own_words(sentence));
    let since = kept.map_or(now, |kept| kept.since);
    let left = WITHIN - seconds(since, now);
    if left <= 0.0 {
        return Save::Now;
    }
    let unsaved = Unsaved {
        saved: before.memory.clone(),
        memory: next.memory.clone(),
        sentence: sentence.to_owned(),
        since,
    };
    Save::Later(Box::new(unsaved), Duration::from_secs_f64(left.min(WITHIN)))
}

/// A status without what may wait.
fn essence(status: &CrmPlatformStatus) -> CrmPlatformStatus {
    let mut status = status.clone();
    for condition in &mut status.conditions {
        let may_wait = [READY, RECONCILING, AVAILABLE, EXPOSED].contains(&condition.type_.as_str());
        let kept = match may_wait {
            true => 0,
            false => own_words(&condition.message).len(),
        };
        condition.message.truncate(kept);
    }
    let memory = &mut status.memory;
    memory.scratch.clear();
    for backup in &mut memory.backups {
        backup.restored_at = None;
    }
    let stages = memory.releases.iter_mut();
    let stages = stages.flat_map(|release| &mut release.stages);
    for open in stages.filter(|stage| stage.verdict.is_none()) {
        open.message = None;
        open.ready_at = None;
        open.passed.clear();
        open.jobs.retain(|job| matters(open.name, job));
    }
    status
}

/// Whether the record of a Job of an open stage is written at once.
fn matters(stage: Stage, job: &JobRecord) -> bool {
    match job.verdict {
        None => false,
        Some(Verdict::Passed | Verdict::Skipped) => {
            matches!(stage, Stage::Migrate | Stage::Optimise)
        }
        Some(_) => true,
    }
}

/// Whether a scratch database is listed that was not: it is before it is made.
fn is_more(before: &CrmPlatformStatus, next: &CrmPlatformStatus) -> bool {
    let mut listed = next.memory.scratch.iter();
    listed.any(|id| !before.memory.scratch.contains(id))
}

/// What people read first.
fn sentence(status: &CrmPlatformStatus) -> &str {
    let mut all = status.conditions.iter();
    let ready = all.find(|condition| condition.type_ == READY);
    ready.map_or("", |ready| ready.message.as_str())
}

/// A sentence without what others say of it, which may be new at each look.
fn own_words(sentence: &str) -> &str {
    sentence.split(UNDONE).next().unwrap_or_default()
}

#[cfg(test)]
mod tests;
