//! The live objects of one release in one slot: Services and Deployments as they should be, and the removal of what should not be. In: a draft and the place.
//! Out: its writes, and how the pods stand.

use super::super::action::{Object, Target, TargetKind};
use super::super::draft::Draft;
use super::super::judge;
use crate::api::status::Slot;
use crate::desired::{deployment, labels, names, service};
use crate::observed::{WorkloadView, content_hash};
use crate::platform::release::{Release, ReleaseService};

/// A release, and where its live pods stand.
#[derive(Clone, Copy)]
pub(super) struct Place<'p> {
    pub id: &'p str,
    pub release: &'p Release,
    pub slot: Slot,
    /// Why its objects are written.
    pub because: &'p str,
}

/// How the pods of a service stand.
pub(super) enum Kept {
    /// All pods are as they should be.
    Complete,
    /// The objects are; their pods are on their way.
    Moving,
    /// The objects are, and their controller gave up.
    Overdue(String),
    /// The objects are written by this plan.
    Written,
}

/// How many pods a service shall have. One that left the spec keeps its pods until the release without it rolls out.
pub(super) fn replicas(draft: &Draft<'_>, service: &str, slot: Slot) -> i32 {
    let seen = |slot: Slot| {
        let name = names::pods(&draft.platform.name, service, slot);
        draft
            .observed
            .deployments
            .get(&name)
            .map(|seen| seen.replicas)
    };
    let wanted = draft.platform.replicas(service);
    wanted.or(seen(slot)).or(seen(slot.other())).unwrap_or(1)
}

/// Makes the address of a service select these pods; true when it did so already.
pub(super) fn address(
    draft: &mut Draft<'_>,
    place: Place<'_>,
    wanted: &ReleaseService,
    pods: service::Pods,
) -> bool {
    let address = service::live(draft.scope(place.id, place.release), wanted, pods);
    stands(draft, address, place.because)
}

/// The address of a canary alone; true when it was there already.
pub(super) fn preview(draft: &mut Draft<'_>, place: Place<'_>, wanted: &ReleaseService) -> bool {
    let address = service::preview(draft.scope(place.id, place.release), wanted, place.slot);
    stands(draft, address, place.because)
}

fn stands(
    draft: &mut Draft<'_>,
    address: k8s_openapi::api::core::v1::Service,
    because: &str,
) -> bool {
    let name = address.metadata.name.clone().unwrap_or_default();
    let seen = draft.observed.others.get(&format!("Service/{name}"));
    let stands = seen == Some(&content_hash(&address.metadata));
    if !stands {
        draft.apply(Object::Service(Box::new(address)), because);
    }
    stands
}

/// Makes the pods of a service.
pub(super) fn pods(
    draft: &mut Draft<'_>,
    place: Place<'_>,
    wanted: &ReleaseService,
    replicas: i32,
) -> Kept {
    let scope = draft.scope(place.id, place.release);
    let pods = deployment::live(scope, wanted, place.slot, replicas);
    let name = pods.metadata.name.clone().unwrap_or_default();
    match draft.observed.deployments.get(&name) {
        // Somebody may have scaled it by hand: none of no pods are ready, too.
        Some(seen) if seen.hash == content_hash(&pods.metadata) && seen.replicas == replicas => {
            match (seen.complete, seen.deadline_exceeded) {
                (true, _) => Kept::Complete,
                (false, true) => Kept::Overdue(seen.message.clone().unwrap_or_default()),
                (false, false) => Kept::Moving,
            }
        }
        _ => {
            draft.apply(Object::Deployment(Box::new(pods)), place.because);
            Kept::Written
        }
    }
}

/// Makes the pods of a service, as many as the spec wants, and its address, which selects only them.
pub(super) fn keep(draft: &mut Draft<'_>, place: Place<'_>, wanted: &ReleaseService) -> Kept {
    let addressed = address(draft, place, wanted, service::Pods::Of(place.slot));
    let wanted_pods = replicas(draft, &wanted.name, place.slot);
    match pods(draft, place, wanted, wanted_pods) {
        Kept::Complete | Kept::Moving if !addressed => Kept::Written,
        kept => kept,
    }
}

/// Removes live pods, and the addresses that `keeps` does not have; true when there was nothing to remove.
pub(super) fn remove(
    draft: &mut Draft<'_>,
    keeps: Option<&Release>,
    unwanted: impl Fn(&WorkloadView) -> bool,
) -> bool {
    let others: Vec<_> = draft
        .observed
        .deployments
        .values()
        .filter(|seen| seen.track == labels::STABLE && unwanted(seen))
        .cloned()
        .collect();
    for seen in &others {
        let because = format!("release {} does not serve", seen.release);
        if keeps.is_none_or(|keeps| keeps.service(&seen.service).is_none()) {
            let live = names::live(&draft.platform.name, &seen.service);
            remove_address(draft, live, &because);
        }
        let preview = names::preview(&draft.platform.name, &seen.service);
        remove_address(draft, preview, &because);
        let target = Target {
            kind: TargetKind::Deployment,
            name: seen.name.clone(),
            uid: seen.uid.clone(),
        };
        draft.delete(target, because);
    }
    others.is_empty()
}

/// Why pods of a service cannot be started, in the words of who tries.
pub(super) fn trouble(draft: &Draft<'_>, place: Place<'_>, service: &str) -> Option<String> {
    let pods = draft.observed.pods.iter();
    let pods = pods.filter(|pod| {
        pod.release == place.id && pod.track == labels::STABLE && pod.service == service
    });
    judge::unstartable(&pods.collect::<Vec<_>>())
}

/// Removes the addresses of services that came with a release and that the one that `keeps` does not have.
pub(super) fn remove_addresses(draft: &mut Draft<'_>, came: &Release, keeps: Option<&Release>) {
    let gone = |service: &&ReleaseService| {
        keeps.is_none_or(|keeps| keeps.service(&service.name).is_none())
    };
    for service in came.services.iter().filter(gone) {
        let because = "its release does not serve";
        let platform = draft.platform.name.clone();
        remove_address(draft, names::live(&platform, &service.name), because);
        remove_address(draft, names::preview(&platform, &service.name), because);
    }
}

/// Removes an address, if it is there.
pub(super) fn remove_address(draft: &mut Draft<'_>, name: String, because: &str) {
    let is_there = |draft: &Draft<'_>| {
        let key = format!("Service/{name}");
        draft.observed.others.contains_key(&key)
    };
    if is_there(draft) {
        let target = Target {
            kind: TargetKind::Service,
            name,
            uid: String::new(),
        };
        draft.delete(target, because);
    }
}
