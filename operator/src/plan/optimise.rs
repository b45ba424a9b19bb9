//! Stage Optimise: backfill, soak and contract of the stable release. Nothing is begun while another release is on its way: a contract between a gate and a
//! roll-out would take the ground from under it.

use super::action::Origin;
use super::draft::Draft;
use super::judge::Kind;
use super::rehearse::wanted_after_expand;
use super::steps::{self, Work};
use super::{Progress, backup, permit, record};
use crate::api::conditions::{CONTRACT_REFUSED, OPTIMISE_FAILED};
use crate::api::status::{Finding, Stage, Verdict};
use crate::desired::{Track, job, labels};
use crate::platform::release::{Release, ReleaseService};

/// Jobs made for a phase while it is refused or held up.
const TRIES: i32 = 5;

/// Goes on with the stable release's last stage.
pub(super) fn optimise(draft: &mut Draft<'_>) {
    let Some(stable) = draft
        .memory
        .stable
        .clone()
        .filter(|stable| !stable.optimised)
    else {
        return;
    };
    let open = record::stage(&mut draft.memory.releases, &stable.release, Stage::Optimise)
        .is_some_and(|stage| stage.verdict.is_none());
    let Some(release) = draft.release(&stable.release).filter(|_| open) else {
        return;
    };
    // What serves does not wait for it, nor does a newer release.
    let served = draft.seconds_since(&stable.since);
    let progress = draft.writing_for(Origin::Aside, |draft| {
        phases(draft, &stable.release, &release, served)
    });
    match progress {
        Progress::Passed | Progress::Skipped => {
            close(draft, &stable.release, Verdict::Passed, None);
            if let Some(stable) = &mut draft.memory.stable {
                stable.optimised = true;
            }
        }
        Progress::Failed(finding) => close(draft, &stable.release, Verdict::Failed, Some(finding)),
        Progress::Inconclusive(finding) => {
            close(draft, &stable.release, Verdict::Inconclusive, Some(finding))
        }
        // Of a newer release nothing is held back by it.
        Progress::Stopped
            if !draft.superseded
                && let Some(hindrance) = permit::hindrance(draft, Stage::Optimise) =>
        {
            draft.hold_back(hindrance)
        }
        Progress::Waiting | Progress::Stopped => {}
    }
}

/// A migration of the live database for stable's last stage, whose end is not remembered yet: the newer release that begins now would never hear of it.
pub(super) fn unfinished(draft: &Draft<'_>) -> Option<String> {
    let stable = &draft.memory.stable.as_ref()?.release;
    draft.release(stable)?;
    let mut records = draft.memory.releases.iter();
    let record = records.find(|record| record.release == *stable)?;
    let mut open = record.stages.iter().filter(|stage| stage.verdict.is_none());
    let optimise = open.find(|stage| stage.name == Stage::Optimise)?;
    let mut jobs = optimise.jobs.iter();
    let job = jobs.find(|job| job.verdict.is_none())?;
    Some(format!("Job {}", job.job))
}

/// Whether no migration of the live database is at work, so that a release may begin.
pub(super) fn is_at_rest(draft: &mut Draft<'_>) -> bool {
    optimise(draft);
    let at_work = draft.live_migration("").or_else(|| unfinished(draft));
    if let Some(what) = &at_work {
        draft.wait(
            format!("{what}, a migration of the live database, which is never stopped"),
            5.0,
        );
    }
    at_work.is_none()
}

fn close(draft: &mut Draft<'_>, id: &str, verdict: Verdict, finding: Option<Finding>) {
    let message = finding.map(|finding| finding.message);
    if let Some(message) = &message {
        let reason = match verdict {
            Verdict::Failed => OPTIMISE_FAILED,
            _ => CONTRACT_REFUSED,
        };
        let ended = verdict.name();
        let words = format!("the release serves, but its last stage ended {ended}: {message}");
        draft.note(true, reason, words);
    }
    draft.close_stage(id, Stage::Optimise, verdict, message);
    draft.moved = true;
}

fn phases(draft: &mut Draft<'_>, id: &str, release: &Release, served: f64) -> Progress {
    let contracts = wanted(draft, (id, release), "contract");
    // Whatever the spec asks for since, one that has begun is never stopped, and belongs into the ledger.
    for contract in contracts.iter().copied() {
        if steps::has_begun(draft, &work(id, contract, "contract"), release) {
            let followed = step(draft, (id, release), (contract, "contract"));
            if !followed.is_good() {
                return followed;
            }
        }
    }
    let backfilled = phase(draft, (id, release), "backfill");
    if !backfilled.is_good() || contracts.is_empty() {
        return backfilled;
    }
    // What has not begun waits for nothing now: a newer release comes first.
    if draft.superseded {
        return Progress::Stopped;
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "seconds of a soak are far below 2^52"
    )]
    let left = draft.platform.soak_seconds as f64 - served;
    if left > 0.0 {
        draft.wait(
            format!(
                "release {id} to have served {} s",
                draft.platform.soak_seconds
            ),
            left,
        );
        return Progress::Waiting;
    }
    if let Some(why) = backup::unproven(draft, release.rehearsal) {
        let message = format!(
            "old columns and tables stay until a release that migrates and makes a dump, because {why}"
        );
        return Progress::Inconclusive(Finding::new(CONTRACT_REFUSED, message));
    }
    let older = draft.observed.pods.iter().find(|pod| {
        pod.track == labels::STABLE
            && pod.release != id
            && !pod.service.is_empty()
            && !pod.has_ended()
    });
    if let Some(pod) = older {
        draft.wait(format!("pod {} of an older release to end", pod.name), 5.0);
        return Progress::Waiting;
    }
    phase(draft, (id, release), "contract")
}

/// One phase for each service in turn.
fn phase(draft: &mut Draft<'_>, (id, release): (&str, &Release), phase: &str) -> Progress {
    for service in wanted(draft, (id, release), phase) {
        let progress = step(draft, (id, release), (service, phase));
        if !progress.is_good() {
            return progress;
        }
    }
    Progress::Passed
}

/// The services whose migration has such a phase, by what expand has told.
fn wanted<'r>(
    draft: &mut Draft<'_>,
    (id, release): (&str, &'r Release),
    phase: &str,
) -> Vec<&'r ReleaseService> {
    let migrating = release.services.iter();
    let migrating = migrating.filter(|service| service.migrate.is_some());
    let all = migrating.filter(|service| {
        let expand = format!("expand-{}", service.name);
        wanted_after_expand(draft, id, Stage::Migrate, &expand, phase)
    });
    all.collect()
}

fn work<'w>(id: &'w str, service: &ReleaseService, phase: &str) -> Work<'w> {
    Work {
        release: id,
        stage: Stage::Optimise,
        step: format!("{phase}-{}", service.name),
        kind: Kind::Optimisation,
        tries: TRIES,
        reasons: (OPTIMISE_FAILED, CONTRACT_REFUSED),
    }
}

/// One phase of one service.
fn step(
    draft: &mut Draft<'_>,
    (id, release): (&str, &Release),
    (service, phase): (&ReleaseService, &str),
) -> Progress {
    let Some(migration) = &service.migrate else {
        return Progress::Skipped;
    };
    // What it has served at the least: a figure that does not change while its Job is being made.
    let soaked_seconds = draft.platform.soak_seconds;
    steps::run(draft, &work(id, service, phase), |draft, step| {
        let work = job::Migration {
            service,
            migration,
            phase,
            track: Track::Live,
            soaked_seconds,
        };
        job::migration(draft.scope(id, release), step, &work)
    })
}
