//! A rehearsal on real rows: the backup of the release is restored into the scratch database, and once the candidate's migrations have run on it, personal data
//! is masked by those images that can do so. Candidate pods come after that.

use super::{migrate, offers, work};
use crate::api::conditions::{BACKUP_FAILED, BACKUP_NOT_RESTORABLE};
use crate::api::status::{Finding, Stage};
use crate::desired::backup as objects;
use crate::plan::draft::Draft;
use crate::plan::judge::Kind;
use crate::plan::steps::{self, Work};
use crate::plan::{Progress, backup, record};
use crate::platform::release::Release;

/// The phase of a migration that puts substitutes in the place of personal data.
pub(in crate::plan) const MASK: &str = "mask";

/// Restores the dump that was made for this release.
pub(super) fn restore(draft: &mut Draft<'_>, (id, release): (&str, &Release)) -> Progress {
    let deadline = draft
        .platform
        .backup
        .as_ref()
        .map(|own| own.deadline_seconds);
    let (Some(dump), Some(deadline)) = (backup::of(draft, id), deadline) else {
        let message = format!(
            "there is no backup of release {id} to rehearse on: spec.database.backup makes one"
        );
        return Progress::Inconclusive(Finding::new(BACKUP_FAILED, message));
    };
    let work = Work {
        reasons: (BACKUP_NOT_RESTORABLE, BACKUP_NOT_RESTORABLE),
        ..work(id, "restore".to_owned(), Kind::Preparation)
    };
    let progress = steps::run(draft, &work, |draft, step| {
        objects::restore(draft.scope(id, release), step, (&dump, deadline))
    });
    if progress.is_good() {
        backup::restored(draft, &dump.id);
    }
    progress
}

/// Masks the rows of each service whose image offers it; the stage tells which ones do not.
pub(super) fn mask(draft: &mut Draft<'_>, (id, release): (&str, &Release)) -> Progress {
    let migrating = release.services.iter().filter(|own| own.migrate.is_some());
    let cannot: Vec<_> = migrating
        .filter(|own| !offers(draft, id, &own.name, MASK))
        .map(|own| own.name.clone())
        .collect();
    if !cannot.is_empty()
        && let Some(stage) = record::stage(&mut draft.memory.releases, id, Stage::Rehearse)
    {
        let services = cannot.join(", ");
        stage.message = Some(format!(
            "the candidate sees real rows: the image of {services} does not offer the phase mask"
        ));
    }
    migrate(draft, (id, release), release, (MASK, ""))
}
