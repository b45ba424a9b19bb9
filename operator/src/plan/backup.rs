//! Stage Backup: a dump of the live database before anything of a release touches it. Nothing is changed; without a good dump the release is held.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::Progress;
use super::action::Created;
use super::draft::Draft;
use super::judge::{BackupSummary, Kind};
use super::record;
use super::steps::{self, Work};
use crate::api::conditions::{BACKUP_FAILED, SUPERSEDED};
use crate::api::spec::RehearsalData;
use crate::api::status::{
    BackupRecord, Candidate, Finding, Intervention, JobRecord, Memory, ReleaseRecord, ServiceLevel,
    Stage, StageRecord, Token, Verdict,
};
use crate::desired::{backup as objects, names};

/// Jobs made for a dump.
const TRIES: i32 = 3;

/// Whether the candidate needs a dump: not one that migrates nothing, nor one that serves again after it has passed its gate before.
pub(super) fn is_wanted(draft: &Draft<'_>, candidate: &Candidate) -> bool {
    let Some(release) = draft.release(&candidate.release) else {
        return false;
    };
    let migrates = release.services.iter().any(|own| own.migrate.is_some());
    draft.platform.backup.is_some()
        && (migrates || release.rehearsal == RehearsalData::Backup)
        && !(candidate.rollback.is_some() && candidate.ungated)
}

/// Forgets the dumps that are not kept beside a new one; their files go once that is made. What stable can be brought back with stays.
pub(super) fn make_room(draft: &mut Draft<'_>) {
    let Some(backup) = &draft.platform.backup else {
        return;
    };
    let mut newest = usize::try_from(backup.keep - 1).unwrap_or(0);
    let stable = of_stable(&draft.memory);
    let mut of_stable = 1;
    draft.memory.backups.retain(|record| {
        let needed = Some(&record.release) == stable.as_ref() && of_stable > 0;
        of_stable -= i32::from(needed);
        let kept = newest > 0;
        newest = newest.saturating_sub(1);
        kept || needed
    });
}

/// The release whose dump stable can be brought back with: a change of configuration makes none.
fn of_stable(memory: &Memory) -> Option<String> {
    let stable = memory.stable.as_ref()?;
    Some(record::code_of(memory, &stable.release))
}

/// Makes the volume and the dump.
pub(super) fn backup(draft: &mut Draft<'_>) -> Progress {
    let id = draft.candidate_id();
    if !super::foundation::release(draft, &id) {
        return Progress::Waiting;
    }
    let (Some(release), Some(backup)) = (draft.release(&id), draft.platform.backup.clone()) else {
        return Progress::Skipped;
    };
    if !draft.database_answers {
        return super::foundation::await_database(draft);
    }
    let work = Work {
        release: &id,
        stage: Stage::Backup,
        step: "dump".to_owned(),
        kind: Kind::Backup,
        tries: TRIES,
        reasons: (BACKUP_FAILED, BACKUP_FAILED),
    };
    let begun = draft.actions.len();
    let progress = steps::run(draft, &work, |draft, step| {
        let kept = objects::Kept {
            listed: &draft.memory.backups,
            stable: of_stable(&draft.memory),
        };
        objects::dump(draft.scope(&id, &release), step, (&backup, &kept))
    });
    // A Job is about to be made: its volume first.
    if draft.actions.len() > begun {
        let claim = objects::claim(draft.platform, &backup);
        let because = format!("release {id}: the dump of the live database needs it");
        draft.create_before(begun, Created::Claim(Box::new(claim)), because);
    }
    progress
}

/// Writes a dump into the status, once per Job.
pub(super) fn enter(
    draft: &mut Draft<'_>,
    work: &Work<'_>,
    (ended, made): (&JobRecord, BackupSummary),
) {
    let id = names::dump(&draft.platform.uid, work.release, ended.attempt);
    if draft.memory.backups.iter().any(|record| record.id == id) {
        return;
    }
    let record = BackupRecord {
        id,
        release: work.release.to_owned(),
        at: ended.finished_at.clone().unwrap_or(Time(draft.now)),
        bytes: made.bytes,
        sha256: made.sha256,
        levels: levels(draft),
        restored_at: None,
    };
    draft.memory.backups.insert(0, record);
}

/// Level of each service by the ledger, whose newest entry stands first; none where that says nothing of it.
fn levels(draft: &Draft<'_>) -> Vec<ServiceLevel> {
    let mut newest = BTreeMap::new();
    for record in &draft.memory.schema {
        newest.entry(&record.service).or_insert(record.to);
    }
    let known = newest.into_iter().filter_map(|(service, level)| {
        Some(ServiceLevel {
            service: service.clone(),
            level: level?,
        })
    });
    known.collect()
}

/// The dump that was made for a release.
pub(super) fn of(draft: &Draft<'_>, release: &str) -> Option<BackupRecord> {
    let mut all = draft.memory.backups.iter();
    all.find(|record| record.release == release).cloned()
}

/// Remembers that the dump of a release was restored.
pub(super) fn restored(draft: &mut Draft<'_>, id: &str) {
    let now = Time(draft.now);
    let mut all = draft.memory.backups.iter_mut();
    if let Some(record) = all.find(|record| record.id == id) {
        record.restored_at.get_or_insert(now);
    }
}

/// Why stable's contract has to wait for another release: nobody could bring back what it takes away.
pub(super) fn unproven(draft: &Draft<'_>, rehearsal: RehearsalData) -> Option<&'static str> {
    let newest = draft.memory.backups.first();
    let is_restored = newest.is_some_and(|record| record.restored_at.is_some());
    // What was migrated before the status was lost is not known to be without one; a way back makes none, and those of before stand for it.
    let is_migrated = |stage: &StageRecord| stage.name == Stage::Migrate && !stage.jobs.is_empty();
    let went_back = |asked: &Intervention| asked.token == Token::RollbackTo;
    let stable = of_stable(&draft.memory).and_then(|stable| newest_record(&draft.memory, &stable));
    let stable = stable.filter(|record| record.stages.iter().any(is_migrated));
    let is_before = |record: &ReleaseRecord| {
        newest.is_none_or(|newest| {
            newest.at < record.started_at && !record.interventions.iter().any(went_back)
        })
    };
    if draft.platform.backup.is_some() && stable.is_some_and(is_before) {
        return Some("backups are asked for since it was migrated, and there is no dump of then");
    }
    (rehearsal == RehearsalData::Backup && !is_restored)
        .then_some("the newest backup was never restored")
}

fn newest_record<'m>(memory: &'m Memory, release: &str) -> Option<&'m ReleaseRecord> {
    let mut records = memory.releases.iter();
    records.find(|record| record.release == release)
}

/// Why the candidate begins again: backups were asked for after the stage had passed that makes one, and nothing of it has changed the live database yet.
pub(super) fn came_too_late(draft: &Draft<'_>, candidate: &Candidate) -> Option<Finding> {
    let record = newest_record(&draft.memory, &candidate.release);
    let stages = record.map_or(&[][..], |record| &record.stages);
    let of = |name: Stage| stages.iter().find(|stage| stage.name == name);
    let is_made = of(Stage::Backup).is_some_and(|stage| stage.verdict == Some(Verdict::Passed));
    let begun = of(Stage::Migrate).is_some_and(|stage| !stage.jobs.is_empty());
    let is_between = candidate.stage > Stage::Backup && candidate.stage <= Stage::Migrate;
    let lacks_it = is_between
        && !is_made
        && !begun
        && candidate.code_of.is_none()
        && candidate.rollback.is_none()
        && is_wanted(draft, candidate)
        && draft.live_migration("").is_none();
    let message = "backups are asked for since: it begins again, with a dump of the live database";
    lacks_it.then(|| Finding::new(SUPERSEDED, message))
}
