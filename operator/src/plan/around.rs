//! What stands around the pods of a platform: who may connect to them, who scales them, how many of them may be gone at once, and the way in from outside. In: the
//! memory of the release that serves. Out: writes. None of it is part of a release, and nothing waits for it but the share of a canary.

use std::collections::BTreeSet;

use super::action::{Object, Target, TargetKind};
use super::correction;
use super::draft::Draft;
use super::rollout::{self, ROUTE_SECONDS};
use crate::api::conditions::{GATEWAY_API_MISSING, PROGRESSING};
use crate::api::spec::AutoscalingSpec;
use crate::api::status::{Finding, Shift, Slot, Stage};
use crate::desired::exposure::{self, Way};
use crate::desired::service::{self, Pods};
use crate::desired::{names, network, scale};
use crate::observed::content_hash;
use crate::platform::release::{Release, ReleaseService};

/// Seconds after which a cluster without the Gateway API is looked at again.
const MISSING_SECONDS: f64 = 60.0;

/// Limits connections, before there is a pod that could make one.
pub(super) fn isolation(draft: &mut Draft<'_>) {
    let mut stay = BTreeSet::new();
    let policies = network::policies(draft.platform);
    let is_isolated = !policies.is_empty();
    for policy in policies {
        keep(draft, &mut stay, Object::Policy(Box::new(policy)));
    }
    // A service that left the spec and serves on goes on with what it may call.
    let serving = stable(draft).map_or_else(Vec::new, |release| release.services);
    let left = serving
        .iter()
        .filter(|service| is_isolated && draft.platform.replicas(&service.name).is_none());
    let platform = &draft.platform.name;
    stay.extend(left.map(|service| {
        let name = names::egress_policy(platform, &service.name);
        format!("NetworkPolicy/{name}")
    }));
    remove_others(draft, TargetKind::Policy, &stay);
}

/// Keeps what stands around the pods of stable, unless people work on it by hand.
pub(super) fn live_pods(draft: &mut Draft<'_>) {
    let candidate = draft.memory.candidate.as_ref();
    let rolls_out = candidate.is_some_and(|candidate| candidate.stage >= Stage::Rollout);
    if draft.platform.paused && !rolls_out {
        return;
    }
    let Some(release) = stable(draft) else {
        return;
    };
    scaling(draft, &release);
    way_in(draft, &release);
}

/// Whether there is a route whose weights decide who gets the requests from outside.
pub(super) fn has_route(draft: &Draft<'_>) -> bool {
    let exposure = draft.platform.exposure.as_ref();
    exposure.is_some_and(|exposure| exposure.gateway.is_some()) && draft.observed.knows_routes
}

/// Whether an autoscaler of ours sets the number of pods of a service: the spec asks for it, or it is still there.
pub(super) fn is_scaled(draft: &Draft<'_>, service: &str) -> bool {
    let name = names::live(&draft.platform.name, service);
    let is_there = || is_ours(draft, &TargetKind::Autoscaler.key(&name));
    draft.platform.autoscaling.contains_key(service) || is_there()
}

/// Whether the way in from outside leads where the memory says.
pub(super) fn is_exposed(draft: &Draft<'_>) -> bool {
    let Some((release, true)) = stable(draft).map(|release| (release, has_route(draft))) else {
        return true;
    };
    let leads = |ways: &[Way]| way_in_by(draft, ways).is_none_or(|object| stands(draft, &object));
    let mut ways = ways(draft, &release);
    if leads(&ways) {
        return true;
    }
    // An address without a share may be in it or not.
    for way in &mut ways {
        way.canary = way.canary.filter(|(share, _)| *share > 0);
    }
    leads(&ways)
}

fn stable(draft: &Draft<'_>) -> Option<Release> {
    let stable = draft.memory.stable.as_ref()?;
    draft.release(&stable.release)
}

/// The shift of a candidate that is on its way to live traffic, not back.
fn shift<'d>(draft: &'d Draft<'_>) -> Option<&'d Shift> {
    let candidate = draft.memory.candidate.as_ref()?;
    let shift = candidate.shift.as_ref();
    shift.filter(|_| candidate.returning.is_none())
}

/// Where the pods are that get the requests.
fn serving_slot(draft: &Draft<'_>) -> Slot {
    let over = shift(draft).filter(|shift| shift.is_over());
    over.map_or_else(|| draft.stable_slot(), |shift| shift.slot)
}

fn scaling(draft: &mut Draft<'_>, release: &Release) {
    let (platform, slot) = (draft.platform, serving_slot(draft));
    let mut stay = BTreeSet::new();
    for service in &release.services {
        let name = names::live(&platform.name, &service.name);
        let Some(replicas) = platform.replicas(&service.name) else {
            // It left the spec and serves on: it stays as it is.
            stay.extend([TargetKind::Autoscaler, TargetKind::Budget].map(|kind| kind.key(&name)));
            continue;
        };
        let autoscaling = platform.autoscaling.get(&service.name);
        if let Some(spec) = autoscaling {
            let spec = kept_while_shifting(draft, (&service.name, slot), spec);
            let object = scale::autoscaler(platform, &service.name, slot, &spec);
            keep(draft, &mut stay, Object::Autoscaler(Box::new(object)));
        } else if !is_marked(draft, &service.name, slot) {
            stay.insert(TargetKind::Autoscaler.key(&name));
        }
        if autoscaling.map_or(replicas, |spec| spec.max_replicas) > 1 {
            let object = scale::budget(platform, &service.name);
            keep(draft, &mut stay, Object::Budget(Box::new(object)));
        }
    }
    remove_others(draft, TargetKind::Autoscaler, &stay);
    remove_others(draft, TargetKind::Budget, &stay);
}

/// Whether a Deployment says so when its number of pods is one that an autoscaler of ours has left. Without that nobody would know it from one of the user's.
fn is_marked(draft: &Draft<'_>, service: &str, slot: Slot) -> bool {
    let name = names::pods(&draft.platform.name, service, slot);
    let seen = draft.observed.deployments.get(&name);
    seen.is_none_or(|seen| seen.scaled || !seen.autoscaled)
}

/// While requests go over to a candidate, stable loses load and must not lose pods: they are the way back, and the candidate's number follows theirs.
fn kept_while_shifting(
    draft: &Draft<'_>,
    (service, slot): (&str, Slot),
    spec: &AutoscalingSpec,
) -> AutoscalingSpec {
    let name = names::pods(&draft.platform.name, service, slot);
    let seen = draft.observed.deployments.get(&name);
    let pods = seen.filter(|_| shift(draft).is_some_and(|shift| !shift.is_over()));
    let pods = pods.map_or(spec.min_replicas, |seen| seen.replicas);
    AutoscalingSpec {
        min_replicas: pods.clamp(spec.min_replicas, spec.max_replicas),
        ..spec.clone()
    }
}

fn way_in(draft: &mut Draft<'_>, release: &Release) {
    let mut stay = BTreeSet::new();
    if let Some(object) = wanted_way_in(draft, release) {
        keep(draft, &mut stay, object);
    }
    remove_others(draft, TargetKind::Route, &stay);
    remove_others(draft, TargetKind::Ingress, &stay);
}

/// Why nobody reaches from outside what serves, although the spec says so. Told of every plan, also of one that makes no write.
pub(super) fn tell_way_in(draft: &mut Draft<'_>) {
    let Some(release) = stable(draft) else {
        return;
    };
    let exposure = draft.platform.exposure.as_ref();
    let gateway = exposure.and_then(|exposure| exposure.gateway.as_ref());
    if let Some(gateway) = gateway.filter(|_| !draft.observed.knows_routes) {
        let message = format!(
            "the cluster does not know HTTPRoute (gateway.networking.k8s.io/v1), so Gateway {} leads nowhere: install the Gateway API, or use spec.exposure.ingress",
            gateway.name
        );
        draft.unexposed = Some(Finding::new(GATEWAY_API_MISSING, message));
        draft.wake_in(MISSING_SECONDS);
    } else if let Some(object) = wanted_way_in(draft, &release) {
        let key = object.key();
        if !draft.observed.others.contains_key(&key) {
            let message = format!("{} is not there yet", key.replace('/', " "));
            draft.unexposed = Some(Finding::new(PROGRESSING, message));
        }
        draft.way_in_lags = (!stands(draft, &object)).then_some(key);
    }
}

/// The route or Ingress as it should be; nothing where there is none to be, or none can be.
fn wanted_way_in(draft: &Draft<'_>, release: &Release) -> Option<Object> {
    way_in_by(draft, &ways(draft, release))
}

fn ways(draft: &Draft<'_>, release: &Release) -> Vec<Way> {
    let services = release.services.iter();
    services.map(|service| way(draft, service)).collect()
}

fn way_in_by(draft: &Draft<'_>, ways: &[Way]) -> Option<Object> {
    let platform = draft.platform;
    let exposure = platform.exposure.as_ref()?;
    if let Some(ingress) = &exposure.ingress {
        let object = exposure::ingress(platform, ingress, ways);
        return Some(Object::Ingress(Box::new(object)));
    }
    let gateway = exposure.gateway.as_ref()?;
    let route = exposure::route(platform, gateway, ways);
    let known = draft.observed.knows_routes;
    known.then(|| Object::Route(Box::new(route)))
}

/// Where the requests to a service of stable go.
fn way(draft: &Draft<'_>, stable: &ReleaseService) -> Way {
    let mut way = Way {
        service: stable.name.clone(),
        port: stable.port,
        canary: None,
    };
    let preview = names::preview(&draft.platform.name, &stable.name);
    let preview = format!("Service/{preview}");
    let has_preview = draft.observed.others.contains_key(&preview);
    let candidate = draft.memory.candidate.as_ref();
    let candidate = candidate.filter(|at_work| at_work.stage >= Stage::Rollout);
    let Some((at_work, release)) =
        candidate.and_then(|at_work| Some((at_work, draft.release(&at_work.release)?)))
    else {
        // A gateway may follow the last change of shares later than it is seen here.
        way.canary = (has_preview && is_fresh(draft)).then_some((0, stable.port));
        return way;
    };
    let Some(wanted) = release.service(&stable.name) else {
        return way;
    };
    let returns = at_work.returning.is_some();
    let shift = at_work.shift.as_ref();
    let shared = shift.filter(|shift| shift.routed && !shift.is_over() && !returns);
    let share = shared.map_or(0, Shift::share);
    // Without a share it stays there all the same: a gateway that forgets an address, and follows the route a moment later, refuses the requests in between.
    if share > 0 || (shift.is_some() && has_preview) {
        way.canary = Some((share, wanted.port));
    }
    if returns {
        return way;
    }
    let switched = match shift {
        Some(shift) => shift.is_over(),
        None => is_addressed(draft, (&at_work.release, &release), wanted),
    };
    if switched {
        way.port = wanted.port;
    }
    way
}

/// Whether stable was promoted a moment ago.
fn is_fresh(draft: &Draft<'_>) -> bool {
    let serves = draft.memory.stable.as_ref();
    serves.is_some_and(|serves| draft.seconds_since(&serves.since) <= ROUTE_SECONDS)
}

/// Whether the route names the address of a canary, with a share or without.
pub(super) fn names_canary(draft: &Draft<'_>) -> bool {
    let candidate = draft.memory.candidate.as_ref();
    has_route(draft) && candidate.is_some_and(|at_work| at_work.shift.is_some())
}

/// Whether the Service of a service is that of the candidate already, where pods are replaced in stable's place.
fn is_addressed(
    draft: &Draft<'_>,
    (id, release): (&str, &Release),
    wanted: &ReleaseService,
) -> bool {
    let pods = (
        Pods::Of(draft.stable_slot()),
        rollout::other_port(draft, wanted),
    );
    let address = service::live(draft.scope(id, release), wanted, pods);
    stands(draft, &Object::Service(Box::new(address)))
}

fn stands(draft: &Draft<'_>, object: &Object) -> bool {
    let hash = content_hash(object.metadata());
    draft.observed.others.get(&object.key()) == Some(&hash)
}

/// Makes an object as it should be, and counts it among those that stay.
fn keep(draft: &mut Draft<'_>, stay: &mut BTreeSet<String>, object: Object) {
    let key = object.key();
    // While people work by hand, what they changed is left to them.
    let left = correction::is_left(draft, &key);
    stay.insert(key);
    if !left && !stands(draft, &object) {
        draft.apply(object, "what stands around the pods is as the spec says");
    }
}

/// What carries no hash of ours is not ours.
fn is_ours(draft: &Draft<'_>, key: &str) -> bool {
    let hash = draft.observed.others.get(key);
    hash.is_some_and(|hash| !hash.is_empty() || draft.observed.drifted.contains_key(key))
}

/// Removes those of a kind that do not stay, if they are ours.
fn remove_others(draft: &mut Draft<'_>, kind: TargetKind, stay: &BTreeSet<String>) {
    let others = draft.observed.others.keys();
    let mut left: Vec<String> = others
        .filter(|key| is_ours(draft, key) && !stay.contains(*key))
        .filter_map(|key| key.strip_prefix(kind.name())?.strip_prefix('/'))
        .map(str::to_owned)
        .collect();
    // What forbids everything goes before what lets something through.
    let forbids = names::policy(&draft.platform.name, "isolated");
    left.sort_by_key(|name| *name != forbids);
    for name in left {
        let target = Target {
            kind,
            name,
            uid: String::new(),
        };
        draft.delete(target, "the spec does not ask for it any more");
    }
}
