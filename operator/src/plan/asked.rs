//! Since when the spec asks for a release: lead time and the time of Resolve count from there. In: what the spec asks for. Out: `memory.asked`; nothing is decided.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::draft::Draft;
use super::{admit, record, requests};
use crate::api::status::{Asked, Stage};
use crate::cost::whole_seconds;

/// Notes that the spec asks for something that does not serve and is not being tried.
pub(super) fn note(draft: &mut Draft<'_>) {
    let was = draft.memory.asked.clone();
    note_release(draft);
    bind(draft, was);
}

fn note_release(draft: &mut Draft<'_>) {
    let now = Time(draft.now);
    let generation = draft.platform.generation;
    let release = draft.wanted.as_ref().map(|(id, _)| id.clone());
    let at_work = draft.memory.candidate.as_ref();
    let is_at_work = at_work.is_some_and(|at_work| Some(&at_work.release) == release.as_ref());
    if draft.wants_stable() || is_at_work {
        // What the spec has left in between is asked for anew when it comes back to it.
        let asked = draft.memory.asked.take();
        draft.memory.asked = asked.filter(|asked| is_at_work && asked.release == release);
        return;
    }
    let rejected = release
        .as_ref()
        .is_some_and(|id| admit::is_rejected(draft, id));
    if rejected && draft.memory.asked.is_none() {
        return;
    }
    let known = draft.memory.asked.take();
    let asked = match known {
        // The images of this spec were not known until now.
        Some(asked) if asked.generation == generation && asked.release.is_none() => Asked {
            resolved_at: release.as_ref().map(|_| now),
            release,
            ..asked
        },
        // As it was, or the spec is a newer one with the same release.
        Some(asked) if release.is_none() && asked.generation == generation => asked,
        Some(asked) if release.is_some() && asked.release == release => Asked {
            generation,
            ..asked
        },
        _ => Asked {
            generation,
            at: now.clone(),
            resolved_at: release.as_ref().map(|_| now),
            release,
            waiting_since: None,
            skip_gate: None,
        },
    };
    draft.memory.asked = Some(asked);
}

/// Notes what a waiting request to skip the gate speaks of: what the spec asks for when the request is first seen. `was` is what was noted before.
fn bind(draft: &mut Draft<'_>, was: Option<Asked>) {
    let Some(waits) = requests::to_skip_the_gate(draft) else {
        return;
    };
    let meant = was.filter(|was| was.skip_gate.as_ref() == Some(&waits));
    match &mut draft.memory.asked {
        Some(asked) if meant.is_none() || asked.skip_gate.as_ref() == Some(&waits) => {
            asked.skip_gate = Some(waits);
        }
        _ => draft.skips_nothing = true,
    }
}

/// Notes that a pause keeps the release from beginning.
pub(super) fn wait(draft: &mut Draft<'_>) {
    let now = draft.now;
    if let Some(asked) = &mut draft.memory.asked {
        asked.waiting_since.get_or_insert(Time(now));
    }
}

/// A release has begun: its first stage began when the spec was seen, unless it is tried again.
pub(super) fn begin(draft: &mut Draft<'_>, id: &str) {
    let now = draft.now;
    let asked = draft.memory.asked.as_mut();
    let Some(asked) = asked.filter(|asked| asked.release.as_deref() == Some(id)) else {
        return;
    };
    let (at, known) = (asked.at.clone(), asked.resolved_at.take());
    let paused = asked.waiting_since.take();
    let releases = &mut draft.memory.releases;
    if let Some(record) = record::of(releases, id) {
        record.asked_at = Some(at.clone());
    }
    if let Some(stage) = record::stage(releases, id, Stage::Resolve)
        && known.is_some()
    {
        stage.started_at = at;
        stage.ready_at = known;
        stage.human_wait_seconds = paused.map(|since| whole_seconds(since.0, now));
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::observed::Observed;
    use crate::plan::plan;
    use crate::plan::tests::{fresh, now};
    use crate::platform::Platform;

    fn after(seconds: i64) -> Timestamp {
        now() + SignedDuration::from_secs(seconds)
    }

    /// Looks at these seconds, one after the other.
    fn look(platform: &Platform, observed: &mut Observed, seconds: i64) {
        observed.memory = plan(platform, observed, after(seconds)).memory;
    }

    #[test]
    fn a_pause_counts_as_people_and_lead_time_as_all_of_it() {
        let (mut platform, mut observed) = fresh();
        platform.paused = true;
        for seconds in [0, 60] {
            look(&platform, &mut observed, seconds);
        }
        assert!(observed.memory.candidate.is_none());
        platform.paused = false;
        look(&platform, &mut observed, 100);
        let record = &observed.memory.releases[0];
        assert_eq!(record.asked_at, Some(Time(now())));
        let resolve = &record.stages[0];
        assert_eq!(resolve.human_wait_seconds, Some(100));
        assert_eq!(
            (resolve.running_seconds, resolve.queued_seconds),
            (Some(0), None)
        );
        assert_eq!(record.delivery.as_ref().unwrap().build.seconds, "0");
    }

    #[test]
    fn the_time_until_a_tag_is_known_is_that_of_get() {
        let (platform, mut observed) = fresh();
        let known = std::mem::take(&mut observed.memory.images);
        look(&platform, &mut observed, 0);
        assert_eq!(observed.memory.asked.as_ref().unwrap().release, None);
        observed.memory.images = known;
        look(&platform, &mut observed, 7);
        let record = &observed.memory.releases[0];
        assert_eq!(record.stages[0].running_seconds, Some(7));
        assert_eq!(record.delivery.as_ref().unwrap().build.seconds, "7");
    }

    #[test]
    fn what_the_spec_had_left_is_asked_for_anew() {
        let (mut platform, mut observed) = fresh();
        platform.paused = true;
        look(&platform, &mut observed, 0);
        let other = observed.memory.asked.clone().unwrap();
        let other = Asked {
            release: Some("r0000000000".into()),
            ..other
        };
        observed.memory.asked = Some(other);
        look(&platform, &mut observed, 50);
        assert_eq!(observed.memory.asked.unwrap().at, Time(after(50)));
    }

    #[test]
    fn a_newer_spec_with_the_same_release_has_been_waiting_as_long() {
        let (mut platform, mut observed) = fresh();
        platform.paused = true;
        look(&platform, &mut observed, 0);
        platform.generation += 1;
        look(&platform, &mut observed, 30);
        let asked = observed.memory.asked.clone().unwrap();
        assert_eq!(
            (asked.at, asked.generation),
            (Time(now()), platform.generation)
        );
    }
}
