//! Counts what the four figures of DORA are made of, in the plan that decides it, so that each is saved with its decision and counted once. Definitions:
//! `docs/delivery-metrics.md`.

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::draft::Draft;
use super::record;
use crate::api::status::{Candidate, DeliveryDay, Stage, Verdict};
use crate::cost::whole_seconds;

/// Days that are kept, with the last one.
pub(crate) const WINDOW: i64 = 30;
const HOURS_PER_DAY: i64 = 24;

/// A candidate serves from now on; stable is still the release before it.
pub(super) fn promoted(draft: &mut Draft<'_>, candidate: &Candidate) {
    let now = draft.now;
    let record = record::of(&mut draft.memory.releases, &candidate.release);
    let began = record.map(|record| {
        let asked = record.asked_at.clone();
        (
            asked.unwrap_or_else(|| record.started_at.clone()),
            record.started_at.clone(),
        )
    });
    let Some((asked, started)) = began else {
        return;
    };
    let day = today(draft);
    if candidate.rollback.is_some() {
        day.rolled_back += 1;
        day.restored += 1;
        day.restore_seconds += whole_seconds(started.0, now);
        return;
    }
    day.deployments += 1;
    day.lead_seconds += whole_seconds(asked.0, now);
    let served = &candidate.release;
    let asked = &mut draft.memory.asked;
    *asked = asked
        .take()
        .filter(|asked| asked.release.as_ref() != Some(served));
}

/// A candidate is over without having served. Only what met live traffic counts, and what a newer spec took the place of does not.
pub(super) fn concluded(draft: &mut Draft<'_>, candidate: &Candidate, verdict: Verdict) {
    let is_failure = !matches!(verdict, Verdict::Superseded);
    if candidate.returning.is_none() || candidate.rollback.is_some() || !is_failure {
        return;
    }
    let now = draft.now;
    let rollout = record::stage(
        &mut draft.memory.releases,
        &candidate.release,
        Stage::Rollout,
    );
    let began = rollout.map_or(candidate.since.0, |stage| stage.started_at.0);
    let has_stable = draft.memory.stable.is_some();
    let day = today(draft);
    day.taken_back += 1;
    if has_stable {
        day.restored += 1;
        day.restore_seconds += whole_seconds(began, now);
    }
}

fn today<'d>(draft: &'d mut Draft<'_>) -> &'d mut DeliveryDay {
    let (today, oldest) = (day(draft.now, 0), day(draft.now, WINDOW - 1));
    let days = &mut draft.memory.delivery_days;
    if days.first().is_none_or(|newest| newest.day < today) {
        let day = today;
        days.insert(
            0,
            DeliveryDay {
                day,
                ..DeliveryDay::default()
            },
        );
    }
    days.retain(|kept| kept.day >= oldest);
    // A clock that went back counts for the newest day.
    &mut days[0]
}

/// A day in UTC, so many days ago.
fn day(now: Timestamp, ago: i64) -> String {
    let then = now.saturating_sub(SignedDuration::from_hours(ago * HOURS_PER_DAY));
    then.unwrap_or(now).strftime("%Y-%m-%d").to_string()
}
