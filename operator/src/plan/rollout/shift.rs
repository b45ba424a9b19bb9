//! The strategies BlueGreen and Canary: a second full set of live pods, to which the requests go over at once or in steps. In: how far that was by the memory.
//! Out: the next writes, or a memory that allows them. No Service is ever written before the memory says that all pods for it were ready.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::super::action::Origin;
use super::super::draft::Draft;
use super::super::{Progress, around, gate, keep, record};
use super::live::{self, Kept, Place, Size};
use super::{late, moving, written};
use crate::api::conditions::{CANARY_FAILED, CANARY_INCONCLUSIVE, TRAFFIC_SHIFTED};
use crate::api::spec::{CanaryStep, StrategyType, TestPhase};
use crate::api::status::{ALL, Finding, Shift, Stage};
use crate::desired::service::Pods;
use crate::desired::{Track, labels, names};
use crate::observed::{Observed, PodView};

/// How the traffic will go over to the candidate whose Rollout begins; nothing where pods are replaced in stable's place.
pub(in super::super) fn begin(draft: &Draft<'_>) -> Option<Shift> {
    draft.memory.stable.as_ref()?;
    let candidate = draft.memory.candidate.as_ref()?;
    let first = step_after(draft, 0);
    (draft.platform.strategy.kind != StrategyType::RollingUpdate).then(|| Shift {
        slot: draft.stable_slot().other(),
        from: 0,
        weight: first.weight,
        seconds: first.seconds,
        since: Time(draft.now),
        ready_at: None,
        unready_since: None,
        restarts: restarts(draft, &candidate.release),
        routed: first.weight < ALL && around::has_route(draft),
    })
}

/// The first step of the spec beyond a share; after the last one all requests.
fn step_after(draft: &Draft<'_>, weight: i32) -> CanaryStep {
    let mut steps = draft.platform.strategy.steps.iter();
    let next = steps.find(|step| step.weight > weight);
    let all = CanaryStep {
        weight: ALL,
        seconds: 0,
    };
    next.copied().unwrap_or(all)
}

/// Goes on with the candidate beside stable.
pub(super) fn rollout(draft: &mut Draft<'_>, place: Place<'_>, shift: &Shift) -> Progress {
    keep_stable(draft);
    let led = !shift.routed || around::is_exposed(draft);
    // A route that was not taken back from another canary would send its share here before anything was shown.
    if !led && !shift.has_traffic() {
        return unrouted(draft, shift);
    }
    let addressed = addresses(draft, place, shift);
    if was_restarted(draft, place, shift) {
        return broken(draft, place);
    }
    for wanted in &place.release.services {
        let size = size_of(draft, &wanted.name, shift);
        match live::pods(draft, place, wanted, size) {
            Kept::Complete => {}
            Kept::Written if shift.ready_at.is_some() => return written(draft, &wanted.name),
            // A write that is refused is made again and again.
            Kept::Written | Kept::Moving => return waiting(draft, place, (shift, &wanted.name)),
            Kept::Overdue(why) => return late(draft, place, (&wanted.name, Some(why))),
        }
    }
    if shift.ready_at.is_none() {
        return reach(draft, place, shift);
    }
    let shift = &shift.clone().recovered(draft.now);
    if let Some(candidate) = &mut draft.memory.candidate {
        candidate.shift = Some(shift.clone());
    }
    if !addressed {
        draft.wait("all Services to be switched", 2.0);
        return Progress::Waiting;
    }
    if !led {
        return unrouted(draft, shift);
    }
    if shift.weight == ALL {
        return Progress::Passed;
    }
    prove(draft, place, shift)
}

/// Stable's pods stay as they are until another release serves: the way back is a matter of Services only.
fn keep_stable(draft: &mut Draft<'_>) {
    let stable = draft.memory.stable.clone();
    let stable = stable.and_then(|stable| Some((draft.release(&stable.release)?, stable)));
    let Some((release, stable)) = stable else {
        return;
    };
    let place = Place {
        id: &stable.release,
        release: &release,
        slot: stable.slot,
        because: "stable stays until another release serves",
        renews: false,
    };
    draft.restores = true;
    draft.writing_for(Origin::Standing, |draft| {
        for wanted in &release.services {
            let size = live::size(draft, &wanted.name, place.slot);
            live::pods(draft, place, wanted, size);
        }
    });
    draft.restores = false;
}

/// Makes the Services select what the memory says; true when they all did so already.
fn addresses(draft: &mut Draft<'_>, place: Place<'_>, shift: &Shift) -> bool {
    let stable = draft.memory.stable.clone();
    let stable = stable.and_then(|stable| draft.release(&stable.release));
    let by_pods = shift.has_traffic() && !shift.routed;
    let shared = match (shift.is_over(), by_pods) {
        (true, _) => Pods::Of(shift.slot),
        (false, true) => Pods::Both,
        (false, false) => Pods::Of(shift.slot.other()),
    };
    let mut stand = true;
    for wanted in &place.release.services {
        let old = stable
            .as_ref()
            .and_then(|stable| stable.service(&wanted.name));
        stand &= match old {
            // The port stays what its clients know until all of them go over.
            Some(old) if !shift.is_over() => live::address(draft, place, old, shared),
            Some(_) => live::address(draft, place, wanted, shared),
            // A service that stable does not have serves only the candidate's own pods.
            None => live::address(draft, place, wanted, Pods::Of(shift.slot)),
        };
        if shift.weight < ALL {
            stand &= live::preview(draft, place, wanted);
        }
    }
    stand
}

/// The route is not as it should be. One that cannot be written holds up no release for ever.
fn unrouted(draft: &mut Draft<'_>, shift: &Shift) -> Progress {
    let route = names::exposure(&draft.platform.name);
    let since = shift.ready_at.as_ref().unwrap_or(&shift.since);
    if draft.seconds_since(since) > f64::from(draft.platform.progress_deadline_seconds) {
        let message = format!(
            "HTTPRoute {route}, whose weights give a canary its share, could not be written in time: condition Exposed and the events of this platform say why; correct spec.exposure, or what refuses the route"
        );
        return Progress::Inconclusive(Finding::new(CANARY_INCONCLUSIVE, message));
    }
    draft.wait(format!("HTTPRoute {route} to be as it should be"), 5.0);
    Progress::Waiting
}

/// Pods of the candidate for its share. What its Services select is scaled by its load from then on.
fn size_of(draft: &Draft<'_>, service: &str, shift: &Shift) -> Size {
    let stable = live::replicas(draft, service, shift.slot);
    let mut slots = [shift.slot, shift.slot.other()].into_iter();
    let is_theirs = slots.any(|slot| live::is_theirs(draft, service, slot));
    match is_theirs || around::is_scaled(draft, service) {
        true if shift.is_over() => Size::Scaled(stable),
        _ => Size::Of(size(stable, shift)),
    }
}

/// Pods for a share of the requests beside `stable` pods of stable: at least one, and not more than stable has. A route makes the share by itself, so that
/// they only have to bear it; without one it is made by their number.
fn size(stable: i32, shift: &Shift) -> i32 {
    let weight = shift.weight;
    let beside = if shift.routed { ALL } else { ALL - weight };
    if weight >= ALL {
        return stable;
    }
    let pods = (stable * weight + beside - 1) / beside;
    pods.clamp(1, stable.max(1))
}

/// Whether a pod of the canary was started again since its roll-out began.
fn was_restarted(draft: &Draft<'_>, place: Place<'_>, shift: &Shift) -> bool {
    let is_canary = shift.weight < ALL || shift.from > 0;
    let candidate = draft.memory.candidate.as_ref();
    let rolls_out = candidate.is_some_and(|candidate| candidate.stage == Stage::Rollout);
    is_canary && rolls_out && restarts(draft, place.id) > shift.restarts
}

/// A canary that broke, with its last words.
fn broken(draft: &mut Draft<'_>, place: Place<'_>) -> Progress {
    let pods: Vec<_> = live_pods(draft, place.id).collect();
    let Some(words) = keep::last_words(draft, (place.id, Stage::Rollout), &pods) else {
        return Progress::Waiting;
    };
    let words = words.unwrap_or_else(|| "look at the log of its previous container".to_owned());
    let message = format!("a pod of the canary was started again: {words}");
    Progress::failed(CANARY_FAILED, message)
}

/// How often live pods of a release were started again.
fn restarts(draft: &Draft<'_>, id: &str) -> i32 {
    live_pods(draft, id).map(|pod| pod.restarts).sum()
}

fn live_pods<'o>(draft: &Draft<'o>, id: &str) -> impl Iterator<Item = &'o PodView> {
    let observed: &'o Observed = draft.observed;
    let pods = observed.pods.iter();
    pods.filter(move |pod| pod.release == id && pod.track == labels::STABLE)
}

/// Pods are on their way, or broke after they were ready.
fn waiting(draft: &mut Draft<'_>, place: Place<'_>, (shift, service): (&Shift, &str)) -> Progress {
    let now = Time(draft.now);
    let since = match &shift.ready_at {
        None => shift.since.clone(),
        Some(_) => shift.unready_since.clone().unwrap_or(now),
    };
    if shift.ready_at.is_some()
        && let Some(candidate) = &mut draft.memory.candidate
    {
        candidate.shift = Some(Shift {
            unready_since: Some(since.clone()),
            ..shift.clone()
        });
    }
    moving(draft, place, (service, draft.seconds_since(&since)))
}

/// All pods for the next share are ready: once that is saved, the Services are written.
fn reach(draft: &mut Draft<'_>, place: Place<'_>, shift: &Shift) -> Progress {
    let message = if shift.weight == ALL {
        format!("all Services go over to release {} now", place.id)
    } else {
        share(draft, place, shift)
    };
    draft.note(false, TRAFFIC_SHIFTED, message);
    record::ready(
        &mut draft.memory.releases,
        (place.id, Stage::Rollout),
        draft.now,
    );
    let ready_at = Some(Time(draft.now));
    remember(
        draft,
        Shift {
            ready_at,
            ..shift.clone()
        },
    );
    Progress::Waiting
}

/// The share of a canary in words.
fn share(draft: &Draft<'_>, place: Place<'_>, shift: &Shift) -> String {
    let services = place.release.services.iter();
    let pods: Vec<_> = services
        .map(|own| {
            let stable = live::replicas(draft, &own.name, place.slot);
            let canary = size(stable, shift);
            format!("{} {canary} of {} pods", own.name, canary + stable)
        })
        .collect();
    let (id, weight, pods) = (place.id, shift.weight, pods.join(", "));
    if shift.routed {
        let route = names::exposure(&draft.platform.name);
        return format!(
            "release {id} gets {weight} % of the requests that come by HTTPRoute {route}, and none from inside the cluster: {pods}"
        );
    }
    format!(
        "release {id} gets {weight} % of the requests, as near as the number of pods allows: {pods}"
    )
}

/// The canary serves its share for a while; then the tests of Verify are run against its pods.
fn prove(draft: &mut Draft<'_>, place: Place<'_>, shift: &Shift) -> Progress {
    let seconds = shift.seconds;
    let served = shift
        .ready_at
        .as_ref()
        .map_or(0.0, |ready| draft.seconds_since(ready));
    let left = f64::from(seconds) - served;
    if left > 0.0 {
        let what = format!(
            "the canary to have served {} % of the requests for {seconds} s",
            shift.weight
        );
        draft.wait(what, left);
        return Progress::Waiting;
    }
    let run = gate::Run {
        id: place.id,
        release: place.release,
        phase: TestPhase::Verify,
        stage: Stage::Rollout,
        track: Track::Preview,
        prefix: format!("canary-{}-", shift.weight),
        // Both return to stable, for live traffic is at stake.
        reasons: (CANARY_FAILED, CANARY_INCONCLUSIVE),
    };
    let tested = gate::tests(draft, &run);
    if !tested.is_good() {
        return tested;
    }
    let next = step_after(draft, shift.weight);
    let next = Shift {
        from: shift.weight,
        weight: next.weight,
        seconds: next.seconds,
        since: Time(draft.now),
        ready_at: None,
        routed: around::has_route(draft),
        ..shift.clone()
    };
    remember(draft, next);
    Progress::Waiting
}

/// What allows the next writes is saved before them.
fn remember(draft: &mut Draft<'_>, shift: Shift) {
    if let Some(candidate) = &mut draft.memory.candidate {
        candidate.shift = Some(shift);
    }
    draft.moved = true;
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::*;
    use crate::api::status::Slot;

    #[test]
    fn a_share_is_made_of_pods_beside_all_of_stable() {
        let sizes = [(3, 25), (3, 10), (4, 50), (2, 20), (10, 20), (1, 1)];
        let pods = sizes.map(|(stable, weight)| size(stable, &to(weight, false)));
        assert_eq!(pods, [1, 1, 4, 1, 3, 1]);
        let all = size(3, &to(90, false));
        assert_eq!(all, 3, "never more than stable has");
        let ends = (size(5, &to(ALL, false)), size(0, &to(50, false)));
        assert_eq!(ends, (5, 1));
    }

    #[test]
    fn a_share_by_a_route_needs_only_the_pods_that_bear_it() {
        let sizes = [(3, 25), (3, 90), (4, 50), (10, 15), (1, 1), (5, ALL)];
        let pods = sizes.map(|(stable, weight)| size(stable, &to(weight, true)));
        assert_eq!(pods, [1, 3, 2, 2, 1, 5]);
    }

    fn to(weight: i32, routed: bool) -> Shift {
        Shift {
            slot: Slot::Green,
            from: 0,
            weight,
            seconds: 0,
            since: Time(Timestamp::UNIX_EPOCH),
            ready_at: None,
            unready_since: None,
            restarts: 0,
            routed,
        }
    }
}
