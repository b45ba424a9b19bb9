//! The strategies BlueGreen and Canary: a second full set of live pods, to which the requests go over at once or in steps. In: how far that was by the memory.
//! Out: the next writes, or a memory that allows them. No Service is ever written before the memory says that all pods for it were ready.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::super::draft::Draft;
use super::super::{Progress, gate};
use super::live::{self, Kept, Place};
use super::{late, moving, written};
use crate::api::conditions::{CANARY_FAILED, TRAFFIC_SHIFTED};
use crate::api::spec::{CanaryStep, StrategyType, TestPhase};
use crate::api::status::{ALL, Shift, Stage};
use crate::desired::service::Pods;
use crate::desired::{Track, labels};

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
    let addressed = addresses(draft, place, shift);
    if was_restarted(draft, place, shift) {
        let message =
            "a pod of the canary was started again: look at the log of its previous container";
        return Progress::failed(CANARY_FAILED, message.to_owned());
    }
    for wanted in &place.release.services {
        let size = size(
            live::replicas(draft, &wanted.name, place.slot),
            shift.weight,
        );
        match live::pods(draft, place, wanted, size) {
            Kept::Complete => {}
            Kept::Written => return written(draft, &wanted.name),
            Kept::Moving => return waiting(draft, place, (shift, &wanted.name)),
            Kept::Overdue(why) => return late(&wanted.name, &why),
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
    };
    for wanted in &release.services {
        let size = live::replicas(draft, &wanted.name, place.slot);
        live::pods(draft, place, wanted, size);
    }
}

/// Makes the Services select what the memory says; true when they all did so already.
fn addresses(draft: &mut Draft<'_>, place: Place<'_>, shift: &Shift) -> bool {
    let stable = draft.memory.stable.clone();
    let stable = stable.and_then(|stable| draft.release(&stable.release));
    let shared = match (shift.is_over(), shift.has_traffic()) {
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

/// Pods for a share of the requests beside `stable` pods of stable, by their number: at least one, and not more than stable has.
fn size(stable: i32, weight: i32) -> i32 {
    if weight >= ALL {
        return stable;
    }
    let pods = (stable * weight + (ALL - weight) - 1) / (ALL - weight);
    pods.clamp(1, stable.max(1))
}

/// Whether a pod of the canary was started again since its roll-out began.
fn was_restarted(draft: &Draft<'_>, place: Place<'_>, shift: &Shift) -> bool {
    let is_canary = shift.weight < ALL || shift.from > 0;
    let candidate = draft.memory.candidate.as_ref();
    let rolls_out = candidate.is_some_and(|candidate| candidate.stage == Stage::Rollout);
    is_canary && rolls_out && restarts(draft, place.id) > shift.restarts
}

/// How often live pods of a release were started again.
fn restarts(draft: &Draft<'_>, id: &str) -> i32 {
    let pods = draft.observed.pods.iter();
    let live = pods.filter(|pod| pod.release == id && pod.track == labels::STABLE);
    live.map(|pod| pod.restarts).sum()
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
        let services = place.release.services.iter();
        let shares: Vec<_> = services
            .map(|own| {
                let stable = live::replicas(draft, &own.name, place.slot);
                let canary = size(stable, shift.weight);
                format!("{} {canary} of {} pods", own.name, canary + stable)
            })
            .collect();
        format!(
            "release {} gets {} % of the requests, as near as the number of pods allows: {}",
            place.id,
            shift.weight,
            shares.join(", ")
        )
    };
    draft.note(false, TRAFFIC_SHIFTED, message);
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
        reasons: (CANARY_FAILED, CANARY_FAILED),
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
    use super::*;

    #[test]
    fn a_share_is_made_of_pods_beside_all_of_stable() {
        let sizes = [(3, 25), (3, 10), (4, 50), (2, 20), (10, 20), (1, 1)];
        let pods = sizes.map(|(stable, weight)| size(stable, weight));
        assert_eq!(pods, [1, 1, 4, 1, 3, 1]);
        assert_eq!(size(3, 90), 3, "never more than stable has");
        assert_eq!((size(5, ALL), size(0, 50)), (5, 1));
    }
}
