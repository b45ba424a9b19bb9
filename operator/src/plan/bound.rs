//! Keeps the memory so small that the whole status has room in 32 KiB. In: a memory, and the Jobs that have not ended. Out: the same memory with less to read, never
//! one by which another decision is made.
//!
//! What goes, in this order, until it fits (`DETAIL`, then `LAST_RESORT`; of releases the oldest first):
//! 1. of releases that are history: quotes (first failures), Jobs, then all stages but the verdict of the gate;
//! 2. of the newest release and those at work: words of earlier tries, quotes of stages that have ended, then earlier tries;
//! 3. images and words of rejections, levels of backups, words of what people asked for;
//! 4. of the stage that goes on: quotes, then all but the verdicts.
//!
//! What never goes: `stable`, `candidate`, `images`, ids and marks of `rejected`, `scratch`, `lastHandled` values, backups with their files, the last migration of each
//! service, rounds and verdicts of releases, and of the stages that go on (`Known::lives`) the last Job of each step with number, verdict and what it named as pending,
//! with its UID until it has passed and ended.
//! A new field that is long belongs into `shorten.rs`, into the function whose name it fits.

use std::collections::BTreeSet;

use crate::api::status::{Memory, ReleaseRecord, Stage, fits};

mod shorten;

/// Bytes of a memory beyond which detail goes; beside it conditions, `delivery` and `dora` have room.
const COMFORTABLE: usize = 24 * 1024;
/// Bytes of a memory beyond which all goes that no decision needs.
const TIGHT: usize = 29 * 1024;

const LIMITS: [usize; 2] = [COMFORTABLE, TIGHT];

/// One way to make a memory smaller.
enum Shortening {
    /// Of releases that are history, the oldest first.
    History(fn(&mut ReleaseRecord, &Known<'_>)),
    /// Of the newest release and of those at work.
    Recent(fn(&mut ReleaseRecord, &Known<'_>)),
    /// Of all else.
    Rest(fn(&mut Memory)),
}

use Shortening::{History, Recent, Rest};

const DETAIL: &[Shortening] = &[
    History(shorten::quotes),
    History(shorten::jobs),
    History(shorten::stages),
    Recent(shorten::words_of_earlier_tries),
    Recent(shorten::quotes_of_ended_stages),
    Rest(shorten::rejections),
    Rest(shorten::levels_of_old_backups),
    Recent(shorten::earlier_tries),
    Recent(shorten::words_of_ended_stages),
    History(shorten::interventions),
    Recent(shorten::quotes),
    Recent(shorten::words),
];

const LAST_RESORT: &[Shortening] = &[
    Recent(shorten::jobs_of_ended_stages),
    Recent(shorten::passed_groups),
    Recent(shorten::details_of_passed_jobs),
    History(shorten::all_but_verdicts),
    Recent(shorten::all_but_verdicts),
    Rest(shorten::words_of_rest),
    Rest(shorten::earlier_migrations),
    Rest(shorten::recorded_images),
];

/// What a shortening may know of a release.
struct Known<'k> {
    /// Stages of it whose Jobs are still asked about.
    lives: Vec<Stage>,
    /// UIDs of Jobs that have not ended: by their verdicts they are removed.
    running: &'k BTreeSet<String>,
    /// The share of the requests that its canary has got to.
    weight: i32,
}

/// Makes a memory small enough, if it is not.
pub(super) fn bound(memory: &mut Memory, running: &BTreeSet<String>) {
    bound_to(memory, running, LIMITS);
}

fn bound_to(memory: &mut Memory, running: &BTreeSet<String>, limits: [usize; 2]) {
    for (limit, all) in limits.into_iter().zip([DETAIL, LAST_RESORT]) {
        for shortening in all {
            if fits(memory, limit) {
                return;
            }
            apply(memory, shortening, (running, limit));
        }
    }
}

fn apply(
    memory: &mut Memory,
    shortening: &Shortening,
    (running, limit): (&BTreeSet<String>, usize),
) {
    let (of_history, of_record) = match shortening {
        Rest(of_memory) => return of_memory(memory),
        History(of_record) => (true, of_record),
        Recent(of_record) => (false, of_record),
    };
    for index in (0..memory.releases.len()).rev() {
        let lives = lives(memory, index);
        if of_history == (lives.is_some() || index == 0) {
            continue;
        }
        let known = Known {
            lives: lives.unwrap_or_default(),
            running,
            weight: weight(memory),
        };
        of_record(&mut memory.releases[index], &known);
        if of_history && fits(memory, limit) {
            return;
        }
    }
}

/// The stages of a release at work whose Jobs are still asked about; nothing for a release that is history. Migrate told what is pending for Optimise.
fn lives(memory: &Memory, index: usize) -> Option<Vec<Stage>> {
    let record = &memory.releases[index];
    let is_newest = !memory.releases[..index]
        .iter()
        .any(|newer| newer.release == record.release);
    let candidate = memory.candidate.as_ref();
    let candidate = candidate.filter(|at_work| is_newest && at_work.release == record.release);
    let serving = memory.stable.as_ref();
    let stable = serving.filter(|serves| is_newest && serves.release == record.release);
    // What stable's code offers was told in the rehearsal of the release that it has it from.
    let is_code = serving.is_some_and(|serves| {
        is_newest && super::record::code_of(memory, &serves.release) == record.release
    });
    if candidate.is_none() && stable.is_none() && !is_code {
        return None;
    }
    let stages = candidate.map(|candidate| candidate.stage).into_iter();
    let last = stable.map(|_| Stage::Optimise);
    Some(stages.chain(last).chain([Stage::Migrate]).collect())
}

fn weight(memory: &Memory) -> i32 {
    let candidate = memory.candidate.as_ref();
    let shift = candidate.and_then(|candidate| candidate.shift.as_ref());
    shift.map_or(0, |shift| shift.weight)
}

#[cfg(test)]
mod tests;
