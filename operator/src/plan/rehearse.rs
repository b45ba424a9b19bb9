//! Stage Rehearse: a scratch database is made, filled from the release's backup or brought to stable's level and filled by stable's own image, and migrated by
//! the candidate, contract included. Where stable will be needed beside the candidate, a copy is kept of how it stands after expand. Nothing live is touched.

pub(super) mod restored;

use super::draft::Draft;
use super::judge::Kind;
use super::steps::{self, Work};
use super::{Progress, beside, foundation, record};
use crate::api::conditions::{REHEARSAL_FAILED, REHEARSAL_INCONCLUSIVE};
use crate::api::spec::{GatePolicy, RehearsalData};
use crate::api::status::Stage;
use crate::desired::{Track, job, scratch};
use crate::platform::release::Release;

/// Jobs made for a step while nothing can be found out.
const TRIES: i32 = 3;

/// Phases that follow expand, with the words of `pending` that ask for them.
pub(super) const LATER_PHASES: [(&str, &[&str]); 3] = [
    ("backfill", &["backfill"]),
    ("verify", &["backfill", "verify", "contract"]),
    ("contract", &["contract"]),
];

/// One group after the other; the Jobs of a group run side by side.
pub(super) fn rehearse(draft: &mut Draft<'_>) -> Progress {
    let id = draft.candidate_id();
    if !foundation::release(draft, &id) {
        return Progress::Waiting;
    }
    let Some(release) = draft.release(&id) else {
        return Progress::Waiting;
    };
    if release.gate == GatePolicy::None || draft.is_ungated() {
        return Progress::Skipped;
    }
    if !draft.database_answers {
        return foundation::await_database(draft);
    }
    let created = database(draft, &id, &release);
    if !created.is_good() {
        return created;
    }
    let filled = match release.rehearsal {
        RehearsalData::Backup => restored::restore(draft, (&id, &release)),
        RehearsalData::Synthetic | RehearsalData::None => as_stable(draft, (&id, &release)),
    };
    if !filled.is_good() {
        return filled;
    }
    let expanded = migrate(draft, (&id, &release), &release, ("expand", ""));
    if !expanded.is_good() {
        return expanded;
    }
    let copied = beside::copy(draft, (&id, &release));
    if !copied.is_good() {
        return copied;
    }
    for (phase, _) in LATER_PHASES {
        let progress = migrate(draft, (&id, &release), &release, (phase, ""));
        if !progress.is_good() {
            return progress;
        }
    }
    if release.rehearsal == RehearsalData::Backup {
        let masked = restored::mask(draft, (&id, &release));
        if !masked.is_good() {
            return masked;
        }
        let masked = beside::mask(draft, (&id, &release));
        if !masked.is_good() {
            return masked;
        }
    }
    if draft.memory.stable.is_none() {
        let seeded = seed(draft, (&id, &release), &release);
        if !seeded.is_good() {
            return seeded;
        }
    }
    Progress::Passed
}

/// Brings the scratch database to where the live one is, without its rows; nothing to do for a first release.
fn as_stable(draft: &mut Draft<'_>, (id, release): (&str, &Release)) -> Progress {
    let Some(stable) = draft.memory.stable.clone() else {
        return Progress::Skipped;
    };
    match draft.release(&stable.release) {
        Some(of) => rebuild(draft, (id, release), (&of, stable.optimised)),
        // `settle` has told it. Without stable the rehearsal would prove another migration than the live one.
        None => Progress::Waiting,
    }
}

/// Brings it there by stable's own image, and fills it.
fn rebuild(
    draft: &mut Draft<'_>,
    (id, release): (&str, &Release),
    (stable, optimised): (&Release, bool),
) -> Progress {
    let phases: &[&str] = if optimised {
        &["expand", "backfill", "contract"]
    } else {
        &["expand"]
    };
    for phase in phases {
        let progress = migrate(draft, (id, release), stable, (phase, "stable-"));
        if !progress.is_good() {
            // A stable release that cannot be rebuilt says nothing about the candidate.
            return inconclusive(progress);
        }
    }
    seed(draft, (id, release), stable)
}

fn inconclusive(progress: Progress) -> Progress {
    match progress {
        Progress::Failed(finding) => Progress::Inconclusive(finding),
        other => other,
    }
}

pub(super) fn work<'w>(release: &'w str, step: String, kind: Kind) -> Work<'w> {
    Work {
        release,
        stage: Stage::Rehearse,
        step,
        kind,
        tries: TRIES,
        reasons: (REHEARSAL_FAILED, REHEARSAL_INCONCLUSIVE),
    }
}

fn database(draft: &mut Draft<'_>, id: &str, release: &Release) -> Progress {
    let work = work(id, "scratch".to_owned(), Kind::Preparation);
    steps::run(draft, &work, |draft, step| {
        scratch::create(draft.scope(id, release), step)
    })
}

/// One phase of every service's migration, with the images of `of`.
fn migrate(
    draft: &mut Draft<'_>,
    (id, release): (&str, &Release),
    of: &Release,
    (phase, prefix): (&str, &str),
) -> Progress {
    let group = format!("{prefix}{phase}");
    let place = (id, Stage::Rehearse);
    if record::has_passed(&mut draft.memory.releases, place, &group) {
        return Progress::Passed;
    }
    let mut all = Vec::new();
    for service in &of.services {
        let Some(migration) = &service.migrate else {
            continue;
        };
        let wanted = match phase {
            restored::MASK => offers(draft, id, &service.name, phase),
            _ => {
                let expand = format!("{prefix}expand-{}", service.name);
                wanted_after_expand(draft, id, Stage::Rehearse, &expand, phase)
            }
        };
        if !wanted {
            continue;
        }
        let masks = release.rehearsal == RehearsalData::Backup && group == "expand";
        let kind = match masks {
            true => Kind::Offering,
            false => Kind::Migration,
        };
        let work = work(id, format!("{group}-{}", service.name), kind);
        all.push(steps::run(draft, &work, |draft, step| {
            let migration = job::Migration {
                service,
                migration,
                phase,
                track: Track::Scratch,
                soaked_seconds: 0,
            };
            job::migration(draft.scope(id, release), step, &migration)
        }));
    }
    let progress = Progress::worst(all);
    if progress == Progress::Passed {
        record::pass(&mut draft.memory.releases, place, &group);
    }
    progress
}

/// Whether the candidate's image offers a phase beyond the usual ones; its expand on the scratch database told.
/// New configuration was not rehearsed: what it offers, the release said whose code it has.
pub(super) fn offers(draft: &mut Draft<'_>, id: &str, service: &str, phase: &str) -> bool {
    let mut id = id.to_owned();
    for _ in 0..draft.memory.releases.len() {
        let record = record::of(&mut draft.memory.releases, &id);
        match record.and_then(|record| record.code_of.clone()) {
            Some(of) => id = of,
            None => break,
        }
    }
    let id = id.as_str();
    let expand = format!("expand-{service}");
    record::job(&mut draft.memory.releases, id, Stage::Rehearse, &expand)
        .is_some_and(|job| job.offers.iter().any(|offered| offered == phase))
}

/// Whether a phase is still to do: yes, unless expand said what is pending and did not name it.
pub(super) fn wanted_after_expand(
    draft: &mut Draft<'_>,
    id: &str,
    stage: Stage,
    expand: &str,
    phase: &str,
) -> bool {
    let Some((_, words)) = LATER_PHASES.iter().find(|(name, _)| *name == phase) else {
        return true;
    };
    let pending = record::job(&mut draft.memory.releases, id, stage, expand)
        .and_then(|job| job.pending.clone());
    pending.is_none_or(|pending| pending.iter().any(|word| words.contains(&word.as_str())))
}

fn seed(draft: &mut Draft<'_>, (id, release): (&str, &Release), of: &Release) -> Progress {
    if release.rehearsal == RehearsalData::None {
        return Progress::Skipped;
    }
    let place = (id, Stage::Rehearse);
    if record::has_passed(&mut draft.memory.releases, place, "seed") {
        return Progress::Passed;
    }
    let mut all = Vec::new();
    for service in &of.services {
        let Some(args) = &service.seed else { continue };
        let work = work(id, format!("seed-{}", service.name), Kind::Preparation);
        all.push(steps::run(draft, &work, |draft, step| {
            job::seed(draft.scope(id, release), step, service, args)
        }));
    }
    let progress = Progress::worst(all);
    if progress == Progress::Passed {
        record::pass(&mut draft.memory.releases, place, "seed");
    }
    progress
}
