//! The copy of the scratch database on which stable and candidate serve side by side: taken when expand is done, masked before any pod sees it, and backfilled
//! between two runs of stable's tests. Where nothing is to be compared it is not made.

use super::{Opposite, Pair, opposite};
use crate::api::conditions::{REHEARSAL_FAILED, REHEARSAL_INCONCLUSIVE};
use crate::api::status::Stage;
use crate::desired::job::{self, Migration};
use crate::desired::{Track, scratch};
use crate::plan::draft::Draft;
use crate::plan::judge::Kind;
use crate::plan::rehearse::restored::MASK;
use crate::plan::rehearse::{offers, wanted_after_expand, work};
use crate::plan::steps::{self, Work};
use crate::plan::{Progress, record};
use crate::platform::release::{Release, ReleaseService};

/// Jobs made for a migration of the copy while nothing can be found out.
const TRIES: i32 = 3;
/// Begins the names of steps of the gate; no test can be called so.
const BACKFILL: &str = "backfill-on-the-copy-";

/// Keeps a copy of the scratch database as expand left it.
pub(in crate::plan) fn copy(draft: &mut Draft<'_>, (id, release): (&str, &Release)) -> Progress {
    match opposite(draft, release) {
        Opposite::None(_) => Progress::Skipped,
        Opposite::Unknown => Progress::Waiting,
        Opposite::Stable(..) => {
            let work = work(id, "copy".to_owned(), Kind::Preparation);
            steps::run(draft, &work, |draft, step| {
                scratch::copy(draft.scope(id, release), step)
            })
        }
    }
}

/// Masks the rows of the copy, as those of the scratch database are; of a service that the candidate does not have, by stable's own image.
pub(in crate::plan) fn mask(draft: &mut Draft<'_>, (id, release): (&str, &Release)) -> Progress {
    let (stable, of) = match opposite(draft, release) {
        Opposite::None(_) => return Progress::Skipped,
        Opposite::Unknown => return Progress::Waiting,
        Opposite::Stable(stable, of) => (stable, of),
    };
    let own = release.services.iter().map(|service| (id, service));
    let left = of.services.iter().map(|service| (stable.as_str(), service));
    let left = left.filter(|(_, service)| release.service(&service.name).is_none());
    let mut all = Vec::new();
    let all_services = own.chain(left);
    for (whose, service) in all_services.filter(|(_, own)| own.migrate.is_some()) {
        if offers(draft, whose, &service.name, MASK) {
            let work = work(id, format!("copy-mask-{}", service.name), Kind::Migration);
            all.push(migrate(draft, release, (&work, service, MASK)));
        } else if let Some(stage) = record::stage(&mut draft.memory.releases, id, Stage::Rehearse) {
            // Where it is the candidate's own, the stage says so already.
            let words = format!(
                "stable sees real rows of {} beside the candidate",
                service.name
            );
            stage.message.get_or_insert(words);
        }
    }
    Progress::worst(all)
}

/// One phase of a service's migration on the copy.
fn migrate(
    draft: &mut Draft<'_>,
    release: &Release,
    (work, service, phase): (&Work<'_>, &ReleaseService, &str),
) -> Progress {
    let Some(migration) = &service.migrate else {
        return Progress::Skipped;
    };
    steps::run(draft, work, |draft, step| {
        let migration = Migration {
            service,
            migration,
            phase,
            track: Track::Beside,
            soaked_seconds: 0,
        };
        job::migration(draft.scope(work.release, release), step, &migration)
    })
}

/// Backfills the copy; skipped where there is nothing to do.
pub(super) fn backfill(draft: &mut Draft<'_>, pair: &Pair<'_>) -> Progress {
    let mut all = Vec::new();
    for service in &pair.release.services {
        let expand = format!("expand-{}", service.name);
        if !wanted_after_expand(draft, pair.id, Stage::Rehearse, &expand, "backfill") {
            continue;
        }
        let work = Work {
            release: pair.id,
            stage: Stage::Gate,
            step: format!("{BACKFILL}{}", service.name),
            kind: Kind::Migration,
            tries: TRIES,
            reasons: (REHEARSAL_FAILED, REHEARSAL_INCONCLUSIVE),
        };
        all.push(migrate(draft, pair.release, (&work, service, "backfill")));
    }
    Progress::worst(all)
}
