//! Stage Migrate: expand on the live database, one service after the other, while stable serves. Also the ledger of all migrations of the live database.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::Progress;
use super::draft::Draft;
use super::judge::{Kind, SchemaSummary};
use super::steps::{self, Work};
use crate::api::conditions::{MIGRATION_FAILED, MIGRATION_INCONCLUSIVE};
use crate::api::status::{JobRecord, SchemaRecord, Stage, Verdict};
use crate::desired::{Track, job};

/// Jobs made for a service while its lock is held by another.
const TRIES: i32 = 5;

/// Runs expand for each service in turn.
pub(super) fn migrate(draft: &mut Draft<'_>) -> Progress {
    let id = draft.candidate_id();
    let Some(release) = draft.release(&id) else {
        return Progress::Waiting;
    };
    if !super::foundation::release(draft, &id) {
        return Progress::Waiting;
    }
    if !draft.database_answers {
        return super::foundation::await_database(draft);
    }
    let mut any = false;
    for service in &release.services {
        let Some(migration) = &service.migrate else {
            continue;
        };
        any = true;
        let work = Work {
            release: &id,
            stage: Stage::Migrate,
            step: format!("expand-{}", service.name),
            kind: Kind::Migration,
            tries: TRIES,
            reasons: (MIGRATION_FAILED, MIGRATION_INCONCLUSIVE),
        };
        let progress = steps::run(draft, &work, |draft, step| {
            let expand = job::Migration {
                service,
                migration,
                phase: "expand",
                track: Track::Live,
                soaked_seconds: 0,
            };
            job::migration(draft.scope(&id, &release), step, &expand)
        });
        if !progress.is_good() {
            return progress;
        }
    }
    if any {
        Progress::Passed
    } else {
        Progress::Skipped
    }
}

/// Writes a finished migration of the live database into the ledger, once per Job.
pub(super) fn enter_ledger(
    draft: &mut Draft<'_>,
    work: &Work<'_>,
    ended: &JobRecord,
    schema: SchemaSummary,
) {
    let live = matches!(work.stage, Stage::Migrate | Stage::Optimise);
    let Some(job_uid) = ended
        .uid
        .clone()
        .filter(|_| live && ended.verdict == Some(Verdict::Passed))
    else {
        return;
    };
    if draft
        .memory
        .schema
        .iter()
        .any(|record| record.job_uid == job_uid)
    {
        return;
    }
    let Some((phase, service)) = work.step.split_once('-') else {
        return;
    };
    let record = SchemaRecord {
        service: service.to_owned(),
        phase: phase.to_owned(),
        release: work.release.to_owned(),
        job_uid,
        at: ended.finished_at.clone().unwrap_or(Time(draft.now)),
        from: schema.from,
        to: schema.to,
        floor: schema.floor,
    };
    draft.memory.schema.insert(0, record);
}
