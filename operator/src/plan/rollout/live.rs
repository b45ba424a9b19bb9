//! The live objects of one release in one slot: Services and Deployments as they should be, and the removal of what should not be. In: a draft and the place.
//! Out: its writes, and how the pods stand.

use k8s_openapi::api::apps::v1::Deployment;

use super::super::action::{Object, Replicas, Target, TargetKind};
use super::super::draft::Draft;
use super::super::{around, judge, usable};
use crate::api::status::{Slot, Stage};
use crate::desired::{deployment, labels, names, service};
use crate::observed::{ContainerState, Observed, PodView, WorkloadView, content_hash};
use crate::platform::release::{Release, ReleaseService};

/// A release, and where its live pods stand.
#[derive(Clone, Copy)]
pub(super) struct Place<'p> {
    pub id: &'p str,
    pub release: &'p Release,
    pub slot: Slot,
    /// Why its objects are written.
    pub because: &'p str,
    /// Whether pods that stand are started again when a Secret that they read has changed.
    pub renews: bool,
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

/// How many pods a Deployment shall have.
#[derive(Clone, Copy)]
pub(super) enum Size {
    /// So many.
    Of(i32),
    /// As many as its autoscaler says; so many while there are none.
    Scaled(i32),
}

/// How many pods a service has where it serves.
pub(super) fn size(draft: &Draft<'_>, service: &str, slot: Slot) -> Size {
    let pods = replicas(draft, service, slot);
    // An autoscaler that the user made is left alone, too.
    match is_theirs(draft, service, slot) || around::is_scaled(draft, service) {
        true => Size::Scaled(pods),
        false => Size::Of(pods),
    }
}

/// Whether an autoscaler that the user made has set the number of pods. Where ours did, the Deployment says so. None acts where there is no pod.
pub(super) fn is_theirs(draft: &Draft<'_>, service: &str, slot: Slot) -> bool {
    let name = names::pods(&draft.platform.name, service, slot);
    let seen = draft.observed.deployments.get(&name);
    seen.is_some_and(|seen| seen.autoscaled && !seen.scaled && seen.replicas > 0)
}

/// How many pods a service shall have; with an autoscaler as many as stable has now, with one of the user's no fewer. One that left the spec keeps its pods until
/// the release without it rolls out.
pub(super) fn replicas(draft: &Draft<'_>, service: &str, slot: Slot) -> i32 {
    let seen = |slot: Slot| {
        let name = names::pods(&draft.platform.name, service, slot);
        draft
            .observed
            .deployments
            .get(&name)
            .map(|seen| seen.replicas)
    };
    if let Some(scaled) = draft.platform.autoscaling.get(service) {
        let stable = draft.stable_slot();
        let pods = seen(stable).or(seen(stable.other())).unwrap_or(0);
        return pods.max(scaled.min_replicas);
    }
    let wanted = draft.platform.replicas(service);
    let wanted = wanted.or(seen(slot)).or(seen(slot.other())).unwrap_or(1);
    let stable = draft.stable_slot();
    let theirs = seen(stable).filter(|_| is_theirs(draft, service, stable));
    wanted.max(theirs.unwrap_or(0))
}

/// Makes the address of a service select these pods; true when it did so already.
pub(super) fn address(
    draft: &mut Draft<'_>,
    place: Place<'_>,
    wanted: &ReleaseService,
    pods: service::Pods,
) -> bool {
    let scope = draft.scope(place.id, place.release);
    let also = other_port(draft, wanted);
    // One that has not got the other port when a release returns needs it no more: nothing was made that calls it there.
    if also.is_some() && returns(draft) && has(draft, &service::live(scope, wanted, (pods, None))) {
        return true;
    }
    let address = service::live(scope, wanted, (pods, also));
    stands(draft, address, place.because)
}

fn returns(draft: &Draft<'_>) -> bool {
    let candidate = draft.memory.candidate.as_ref();
    candidate.is_some_and(|candidate| candidate.returning.is_some())
}

/// The port of a service that the pods of another release call while two are live: each of them knows the one of its own.
pub(in crate::plan) fn other_port(draft: &Draft<'_>, wanted: &ReleaseService) -> Option<i32> {
    let candidate = draft.memory.candidate.as_ref();
    let candidate = candidate.filter(|candidate| candidate.stage >= Stage::Rollout)?;
    let stable = draft.memory.stable.as_ref()?;
    let ids = [&stable.release, &candidate.release].into_iter();
    let mut ports = ids.filter_map(|id| Some(draft.release(id)?.service(&wanted.name)?.port));
    ports.find(|port| *port != wanted.port)
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
    let stands = has(draft, &address);
    if !stands {
        draft.apply(Object::Service(Box::new(address)), because);
    }
    stands
}

/// Whether an address is there as it should be.
fn has(draft: &Draft<'_>, address: &k8s_openapi::api::core::v1::Service) -> bool {
    let name = address.metadata.name.clone().unwrap_or_default();
    let seen = draft.observed.others.get(&format!("Service/{name}"));
    seen == Some(&content_hash(&address.metadata))
}

/// Makes the pods of a service.
pub(super) fn pods(
    draft: &mut Draft<'_>,
    place: Place<'_>,
    wanted: &ReleaseService,
    size: Size,
) -> Kept {
    let name = names::pods(&draft.platform.name, &wanted.name, place.slot);
    let seen = draft.observed.deployments.get(&name);
    if let Some(by) = seen.and_then(|seen| seen.contested.as_ref()) {
        draft.wait(contested(by, &name), 60.0);
    }
    let replicas = match (size, seen) {
        // Where there is no pod no autoscaler acts.
        (Size::Scaled(_), Some(seen)) if seen.replicas > 0 => None,
        (Size::Of(pods) | Size::Scaled(pods), _) => Some(pods),
    };
    let is_scaled = around::is_scaled(draft, &wanted.name);
    let secrets = secrets(draft, place, (wanted, &name));
    let pods = literal(draft, place, wanted, (replicas, &secrets));
    let fits = |seen: &WorkloadView| match replicas {
        // Somebody may have scaled it by hand: none of no pods are ready, too.
        Some(replicas) => replicas == seen.replicas,
        // What is the user's autoscaler's is let go, for nothing else says that it is.
        None => is_scaled || !seen.owns_replicas,
    };
    match seen {
        Some(seen) if seen.hash == content_hash(&pods.metadata) && fits(seen) => {
            match (
                seen.complete && seen.contested.is_none(),
                seen.deadline_exceeded,
            ) {
                (true, _) => Kept::Complete,
                (false, true) => Kept::Overdue(seen.message.clone().unwrap_or_default()),
                (false, false) => Kept::Moving,
            }
        }
        seen => {
            if let Some(seen) = seen.filter(|seen| replicas.is_none() && seen.owns_replicas) {
                let now = Replicas {
                    deployment: name,
                    uid: seen.uid.clone(),
                    replicas: seen.replicas,
                };
                draft.keep_replicas(now, "its autoscaler sets the number of its pods");
            }
            let because = match seen {
                Some(seen) if seen.release == place.id && seen.secrets != secrets => {
                    "a Secret that its pods read has changed"
                }
                _ => place.because,
            };
            draft.apply(Object::Deployment(Box::new(pods)), because);
            Kept::Written
        }
    }
}

/// The Deployment as it should be, with so many pods that carry the versions of these Secrets.
fn literal(
    draft: &Draft<'_>,
    place: Place<'_>,
    wanted: &ReleaseService,
    (replicas, secrets): (Option<i32>, &str),
) -> Deployment {
    let scope = draft.scope(place.id, place.release);
    let mut pods = deployment::live(scope, wanted, place.slot, replicas);
    if around::is_scaled(draft, &wanted.name) {
        pods = deployment::scaled(&pods);
    }
    match secrets.is_empty() {
        true => pods,
        false => deployment::with_secrets(&pods, secrets),
    }
}

/// The versions of Secrets that pods shall carry: those of today when they are made or may be started again, and else what they carry.
fn secrets(draft: &Draft<'_>, place: Place<'_>, (wanted, name): (&ReleaseService, &str)) -> String {
    let seen = draft.observed.deployments.get(name);
    let standing = seen.filter(|seen| seen.release == place.id);
    let today = usable::version(draft, place.release, wanted);
    let today = today.filter(|_| place.renews || standing.is_none());
    today.unwrap_or_else(|| standing.map_or_else(String::new, |seen| seen.secrets.clone()))
}

/// Whether a Secret has changed since the pods of a service were made.
pub(super) fn lags(draft: &Draft<'_>, place: Place<'_>, wanted: &ReleaseService) -> bool {
    let name = names::pods(&draft.platform.name, &wanted.name, place.slot);
    let seen = draft.observed.deployments.get(&name);
    let today = usable::version(draft, place.release, wanted);
    seen.zip(today)
        .is_some_and(|(seen, today)| seen.release == place.id && seen.secrets != today)
}

/// Makes the pods of a service, as many as the spec wants, and its address, which selects only them.
pub(super) fn keep(draft: &mut Draft<'_>, place: Place<'_>, wanted: &ReleaseService) -> Kept {
    let addressed = address(draft, place, wanted, service::Pods::Of(place.slot));
    let size = size(draft, &wanted.name, place.slot);
    match pods(draft, place, wanted, size) {
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
        let mut first = Vec::new();
        if keeps.is_none_or(|keeps| keeps.service(&seen.service).is_none()) {
            let live = names::live(&draft.platform.name, &seen.service);
            first.extend(remove_address(draft, live, &because));
        }
        first.extend(remove_preview(draft, &seen.service, &because));
        let target = Target {
            kind: TargetKind::Deployment,
            name: seen.name.clone(),
            uid: seen.uid.clone(),
        };
        // As long as they stand they lead here again.
        draft.delete_after(target, because, first);
    }
    others.is_empty()
}

fn contested(by: &str, deployment: &str) -> String {
    format!("{by} to leave Deployment {deployment} alone, which it changes whenever it is put back")
}

/// Why pods of a service are not what they should be: somebody else wants others, or they cannot be started, in the words of who tries.
pub(super) fn trouble(draft: &Draft<'_>, place: Place<'_>, service: &str) -> Option<String> {
    let name = names::pods(&draft.platform.name, service, place.slot);
    let seen = draft.observed.deployments.get(&name);
    let by = seen.and_then(|seen| seen.contested.as_ref());
    if let Some(by) = by {
        return Some(format!("it waits for {}", contested(by, &name)));
    }
    let Some(seen) = seen.filter(|seen| seen.release == place.id) else {
        return Some(format!(
            "Deployment {name} is not as it should be: it was not written in time, or somebody changes it whenever it is"
        ));
    };
    let pods = own_pods(draft, place, service);
    // One that broke speaks of the release, whatever keeps others away.
    if pods.iter().any(|pod| is_broken(pod)) {
        return None;
    }
    let refused = seen.refused.as_ref();
    let refused = refused.map(|why| format!("not all pods could be made: {why}"));
    let none = || {
        let words = seen.message.as_deref();
        let words = words.unwrap_or("look at the events of its ReplicaSet");
        pods.is_empty()
            .then(|| format!("no pod could be made: {words}"))
    };
    refused.or_else(none).or_else(|| judge::unstartable(&pods))
}

/// Whether a pod has run and did not stay up.
fn is_broken(pod: &PodView) -> bool {
    let is_over = matches!(pod.state, ContainerState::Terminated { .. });
    (pod.restarts > 0 && pod.unready_since.is_some()) || (is_over && !pod.disrupted)
}

/// Live pods of a service of a release.
pub(super) fn own_pods<'o>(draft: &Draft<'o>, place: Place<'_>, service: &str) -> Vec<&'o PodView> {
    let observed: &'o Observed = draft.observed;
    let pods = observed.pods.iter();
    let own = pods.filter(|pod| {
        pod.release == place.id && pod.track == labels::STABLE && pod.service == service
    });
    own.collect()
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

/// Removes the address of a canary alone, once no route names it; answers as [`remove_address`] does.
pub(super) fn remove_preview(
    draft: &mut Draft<'_>,
    service: &str,
    because: &str,
) -> Option<String> {
    let name = names::preview(&draft.platform.name, service);
    let is_free = around::is_exposed(draft) && !around::names_canary(draft);
    is_free.then(|| remove_address(draft, name, because))?
}

/// Removes an address, if it is there; answers with what is removed, as `Kind/name`.
pub(super) fn remove_address(draft: &mut Draft<'_>, name: String, because: &str) -> Option<String> {
    let target = Target {
        kind: TargetKind::Service,
        name,
        uid: String::new(),
    };
    let key = target.key();
    let is_there = draft.observed.others.contains_key(&key);
    is_there.then(|| {
        draft.delete(target, because);
        key
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::{fresh, now};

    /// What is told of pods of service sales, of a Deployment that is of this release.
    fn told(of: &str, refused: Option<&str>, pods: &[PodView]) -> Option<String> {
        let (platform, mut observed) = fresh();
        let release = platform.wanted(&observed.memory.images).unwrap();
        let seen = WorkloadView {
            name: "acme-sales".into(),
            release: of.into(),
            refused: refused.map(str::to_owned),
            ..WorkloadView::default()
        };
        observed.deployments.insert(seen.name.clone(), seen);
        observed.pods = pods.to_vec();
        let place = Place {
            id: "r1",
            release: &release,
            slot: Slot::Blue,
            because: "",
            renews: false,
        };
        trouble(&Draft::new(&platform, &observed, now()), place, "sales")
    }

    #[test]
    fn what_keeps_pods_away_says_nothing_of_a_release_unless_one_of_them_broke() {
        let pod = PodView {
            name: "p".into(),
            release: "r1".into(),
            track: labels::STABLE.into(),
            service: "sales".into(),
            ..PodView::default()
        };
        let recovered = PodView {
            restarts: 1,
            ..pod.clone()
        };
        let broken = PodView {
            restarts: 3,
            unready_since: Some(now()),
            ..pod.clone()
        };
        let unplaced = PodView {
            unschedulable: Some("no room".into()),
            ..pod.clone()
        };
        let cases = [
            ("r0", None, vec![], Some("was not written in time")),
            ("r1", None, vec![], Some("no pod could be made")),
            (
                "r1",
                Some("quota"),
                vec![pod.clone()],
                Some("not all pods could be made: quota"),
            ),
            (
                "r1",
                None,
                vec![pod.clone(), unplaced.clone()],
                Some("finds no node: no room"),
            ),
            ("r1", None, vec![pod], None),
            ("r1", Some("quota"), vec![broken.clone(), unplaced], None),
            ("r1", None, vec![broken], None),
            (
                "r1",
                Some("quota"),
                vec![recovered],
                Some("not all pods could be made: quota"),
            ),
        ];
        for (of, refused, pods, wanted) in cases {
            let told = told(of, refused, &pods);
            let is_told = match (&told, wanted) {
                (Some(told), Some(wanted)) => told.contains(wanted),
                (told, wanted) => told.is_none() && wanted.is_none(),
            };
            assert!(is_told, "{of} {refused:?} {wanted:?}: {told:?}");
        }
    }
}
