//! What stands around the pods of the model: autoscalers that change the number of pods, and a route with weights. Who owns the number of pods is as the API
//! server has it: an apply that leaves it out makes it one when nobody else owns it.

use std::collections::BTreeMap;

use crm_operator::api::conditions;
use crm_operator::api::spec::StrategyType::{BlueGreen, Canary, RollingUpdate};
use crm_operator::api::spec::{ExposureSpec, GatewaySpec};
use crm_operator::api::status::{Finding, Slot, Stable};
use crm_operator::desired::route::HttpRoute;
use crm_operator::desired::{labels, names};
use crm_operator::observed::content_hash;
use crm_operator::plan::action::{Object, Replicas, TargetKind};
use serde_json::json;

use crate::api_server::{apply, update};
use crate::operator::Fault;
use crate::stories::Act::{Autoscale, Expose, Image, Load, Strategy};
use crate::traffic::slots;
use crate::world::{World, name};
use crate::{Run, STORIES, Story, tail};

/// What stands around the pods.
#[derive(Clone, Debug, Default)]
pub struct Around {
    /// Content hash by kind and name.
    all: BTreeMap<(&'static str, String), String>,
    /// The Deployment of each autoscaler.
    targets: BTreeMap<String, String>,
    /// Fewest pods of each of those.
    fewest: BTreeMap<String, i32>,
    /// The route and its rules.
    route: Option<HttpRoute>,
    /// Whether there is a Gateway API.
    pub gateway_api: bool,
    /// Whether an admission policy refuses every route.
    pub refuses: bool,
    /// Why the last write was refused.
    pub refused: Option<Finding>,
}

impl Around {
    pub fn hashes(&self) -> impl Iterator<Item = (String, String)> {
        let all = self.all.iter();
        all.map(|((kind, name), hash)| (format!("{kind}/{name}"), hash.clone()))
    }

    pub fn remove(&mut self, kind: TargetKind, name: &str) {
        self.all.remove(&(kind.name(), name.to_owned()));
        match kind {
            TargetKind::Autoscaler => {
                self.targets.remove(name);
            }
            TargetKind::Route => self.route = None,
            TargetKind::Budget | TargetKind::Policy | TargetKind::Ingress => {}
            other => panic!("{other:?} does not stand around pods"),
        }
    }
}

impl World {
    pub fn apply_around(&mut self, object: &Object) {
        let name = name(object.metadata());
        let hash = content_hash(object.metadata());
        match object {
            Object::Autoscaler(object) => {
                let target = object.spec.scale_target_ref.name.clone();
                let fewest = object.spec.min_replicas.unwrap_or(1);
                self.around.fewest.insert(target.clone(), fewest);
                self.around.targets.insert(name.clone(), target);
            }
            Object::Route(_) if self.around.refuses => {
                let why = Finding::new(conditions::APPLY_FAILED, "the host is taken");
                self.around.refused = Some(why);
                return;
            }
            Object::Route(route) => {
                self.assert_may_route(route);
                self.around.route = Some(*route.clone());
            }
            _ => {}
        }
        self.around.all.insert((object.kind(), name), hash);
    }

    /// As the API server takes it: another number is a conflict, which the operator lets be.
    pub fn keep_replicas(&mut self, kept: &Replicas) {
        let Some(seen) = self.deployments.get(&kept.deployment) else {
            return;
        };
        let same = seen.object.spec.replicas == Some(kept.replicas);
        if seen.uid == kept.uid && same {
            let config = json!({ "spec": { "replicas": kept.replicas } });
            let live = json!(seen.object);
            let object = apply(Some(&live), &config, &labels::replicas_manager("acme"));
            self.set_deployment(&kept.deployment, serde_json::from_value(object).unwrap());
        }
    }

    /// What an autoscaler does, whoever made it: by the controller manager.
    pub fn autoscaler_sets(&mut self, target: &str, pods: i32) {
        let live = json!(self.deployments[target].object);
        let object = update(&live, "kube-controller-manager", |object| {
            object["spec"]["replicas"] = json!(pods);
        });
        self.set_deployment(target, serde_json::from_value(object).unwrap());
        self.say(format!("autoscaler: {target} gets {pods} pods"));
    }

    /// Each autoscaler finds that so many pods are needed.
    pub fn scale(&mut self, pods: i32) {
        for target in self.around.targets.clone().into_values() {
            self.autoscaler_sets(&target, pods);
        }
    }

    /// Whether an autoscaler sets the number of pods of a Deployment, and the spec still says so.
    pub fn is_scaled(&self, deployment: &str) -> bool {
        let mut services = self.platform.spec.services.iter();
        let asked = services.any(|service| {
            service.autoscaling.is_some()
                && [Slot::Blue, Slot::Green]
                    .map(|slot| names::pods("acme", &service.name, slot))
                    .contains(&deployment.to_owned())
        });
        let mut targets = self.around.targets.values();
        asked && targets.any(|target| target == deployment)
    }

    pub fn expose(&mut self) {
        self.around.gateway_api = true;
        self.platform.spec.exposure = Some(ExposureSpec {
            hosts: vec!["crm.acme.example".into()],
            gateway: Some(GatewaySpec {
                name: "public".into(),
                namespace: None,
                section_name: None,
            }),
            ingress: None,
        });
    }

    /// Pods of each live Deployment.
    pub fn live_sizes(&self) -> String {
        let live = self.deployments.iter();
        let sizes: Vec<_> = live
            .map(|(name, seen)| (name, seen.object.spec.replicas, seen.pods.len()))
            .collect();
        format!("{sizes:?}")
    }

    /// Pods that get all requests are as many as stable has, where load decides on that.
    pub fn assert_as_many(&self, service: &str, (stable, slot): (&Stable, Slot), slots: usize) {
        let mut services = self.platform.spec.services.iter();
        let asked = services.any(|own| own.name == service && own.autoscaling.is_some());
        let served = names::pods("acme", service, stable.slot);
        let served = self.deployments.get(&served);
        let scaled = asked || served.is_some_and(|seen| seen.view.autoscaled);
        let (ready, _) = self.ready(service, slot);
        let (_, wanted) = self.ready(service, stable.slot);
        assert!(
            !scaled || slots > 1 || slot == stable.slot || self.lag.is_any() || ready >= wanted,
            "{service} goes over from {wanted} pods to {ready}"
        );
    }

    /// Where the route leads, by service: Service, port and weight.
    fn ways(route: &HttpRoute) -> Vec<Vec<(String, i64, i64)>> {
        let backend = |backend: &serde_json::Value| {
            (
                backend["name"].as_str().unwrap().to_owned(),
                backend["port"].as_i64().unwrap(),
                backend["weight"].as_i64().unwrap(),
            )
        };
        let rules = route.spec["rules"].as_array().unwrap();
        let backends = rules.iter().map(|rule| rule["backendRefs"].as_array());
        backends
            .map(|all| all.unwrap().iter().map(backend).collect())
            .collect()
    }

    /// All services go over by the same share, and only to pods that are ready.
    fn assert_may_route(&self, route: &HttpRoute) {
        let ways = Self::ways(route);
        let shares = |way: &Vec<(String, i64, i64)>| {
            let weights = way.iter().map(|(_, _, weight)| *weight);
            weights.filter(|weight| *weight > 0).collect()
        };
        let weights: Vec<Vec<i64>> = ways.iter().map(shares).collect();
        assert!(
            weights.iter().all(|weight| *weight == weights[0]),
            "shares differ: {weights:?}"
        );
        assert!(weights.iter().all(|way| way.iter().sum::<i64>() == 100));
        let stable = self.memory().stable.unwrap();
        for (service, _, _) in ways.iter().flatten().filter(|(_, _, weight)| *weight > 0) {
            let address = &self.services[service];
            let service = crate::world::label(&address.metadata, "crmplatform.io/service");
            for slot in slots(address) {
                let (ready, wanted) = self.ready(&service, slot);
                let good = slot == stable.slot || (ready > 0 && ready >= wanted);
                assert!(good, "the route leads to {ready} ready pods of {wanted}");
            }
        }
    }

    /// Each request by the route meets a pod.
    pub fn assert_routed(&self) {
        let ways = self.around.route.iter().flat_map(Self::ways).flatten();
        for (name, port, weight) in ways {
            if weight == 0 {
                continue;
            }
            let address = self.services.get(&name);
            let address = address.unwrap_or_else(|| panic!("the route leads to no Service {name}"));
            let ports = crate::traffic::ports(address);
            assert!(
                ports.iter().any(|own| i64::from(*own) == port),
                "of Service {name}: {ports:?}"
            );
            let service = crate::world::label(&address.metadata, "crmplatform.io/service");
            let all = slots(address).into_iter();
            let ready: usize = all.map(|slot| self.ready(&service, slot).0).sum();
            assert!(ready > 0, "requests by the route to {name} meet no pod");
        }
    }
}

/// Stable loses load to a canary, and must not lose pods for that: they are the way back.
#[test]
fn stable_keeps_its_pods_while_requests_go_over() {
    let acts = &[
        Image("v1"),
        Autoscale(true),
        Load(5),
        Strategy(Canary),
        Image("v1b"),
    ];
    let mut run = Run::new(Story { acts, ..STORIES[0] });
    let mut kept = 0;
    for _ in 0..crate::LIMIT {
        let over = run.turn(None);
        let memory = run.world.memory();
        let shift = memory.candidate.and_then(|candidate| candidate.shift);
        let served = run.world.deployments.get("acme-customer");
        let pods = served.and_then(|seen| seen.object.spec.replicas);
        if shift.is_some_and(|shift| shift.from > 0 && !shift.is_over()) {
            assert_eq!(pods, Some(5), "{}", tail(&run.world));
            assert_eq!(run.world.around.fewest["acme-customer"], 5);
            kept += 1;
        }
        if over {
            break;
        }
    }
    assert!(kept > 0, "no request went over in steps");
    assert!(run.world.serves(), "{}", tail(&run.world));
    let last = run.world.around.targets["acme-customer"].clone();
    assert_eq!(run.world.around.fewest[&last], 2, "as the spec says again");
}

/// The host of the spec is changed to one that an admission policy refuses.
fn refuse(run: &mut Run) {
    run.world.around.refuses = true;
    let exposure = run.world.platform.spec.exposure.as_mut().unwrap();
    exposure.hosts = vec!["taken.example".into()];
    run.world.new_spec();
}

/// Sets an image and lets things go on until all is quiet.
fn release(run: &mut Run, tag: &'static str) {
    run.world.act(Image(tag));
    run.rest();
}

fn exposed(world: &World) -> (String, String, String) {
    let conditions = world.platform.status.clone().unwrap().conditions;
    let mut all = conditions.into_iter();
    let exposed = all.find(|condition| condition.type_ == "Exposed").unwrap();
    (exposed.status, exposed.reason, exposed.message)
}

#[test]
fn a_release_returns_although_the_route_is_refused() {
    for strategy in [RollingUpdate, BlueGreen, Canary] {
        let acts = Box::leak(Box::new([Image("v1"), Expose, Strategy(strategy)]));
        let mut run = Run::new(Story { acts, ..STORIES[0] });
        run.rest();
        refuse(&mut run);
        release(&mut run, "crash");
        let (open, reason, message) = exposed(&run.world);
        assert_eq!((open.as_str(), reason.as_str()), ("False", "ApplyFailed"));
        assert!(message.contains("the host is taken"), "{message}");
        let memory = run.world.memory();
        assert!(memory.candidate.is_none(), "{}", crate::tail(&run.world));
        let rejected = &memory.rejected[0].message;
        let named = rejected.contains("HTTPRoute acme") && rejected.contains("spec.exposure");
        assert_eq!(named, strategy == Canary, "{rejected}");
        run.world.around.refuses = false;
        release(&mut run, "v2");
        assert!(run.world.serves(), "{}", crate::tail(&run.world));
        let (open, _, message) = exposed(&run.world);
        assert!(open == "True" && message.contains("taken.example"));
    }
}

/// The route goes on sending a share to the address of a canary that failed: that leads to stable then, until the route has left it.
#[test]
fn a_share_that_cannot_be_taken_back_by_the_route_goes_to_stable() {
    let acts = &[Image("v1"), Expose, Strategy(Canary), Image("unverified")];
    let mut run = Run::new(Story { acts, ..STORIES[0] });
    let has_share = |run: &Run| {
        let memory = run.world.memory();
        let shift = memory.candidate.and_then(|candidate| candidate.shift);
        let ways = run.world.around.route.iter().flat_map(World::ways);
        shift.is_some_and(|shift| shift.share() > 0) && ways.flatten().count() > 2
    };
    while !has_share(&run) {
        assert!(!run.turn(None), "{}", crate::tail(&run.world));
    }
    refuse(&mut run);
    run.rest();
    assert!(run.world.memory().candidate.is_none());
    let preview = &run.world.services["acme-customer-preview"];
    assert_eq!(slots(preview), [Slot::Blue], "stable's pods");
    // Nor does the next canary get that share before it has shown anything.
    run.world.act(Image("v2"));
    for _ in 0..200 {
        run.turn(None);
        let preview = &run.world.services["acme-customer-preview"];
        assert_eq!(slots(preview), [Slot::Blue], "{}", crate::tail(&run.world));
    }
    run.world.around.refuses = false;
    run.rest();
    release(&mut run, "v1b");
    assert!(run.world.serves(), "{}", crate::tail(&run.world));
    assert!(!run.world.services.contains_key("acme-customer-preview"));
}

/// The controller manager stays an owner of the number when its autoscaler is gone, also of one that the spec happens to name.
#[test]
fn the_number_of_the_spec_counts_once_its_autoscaler_is_gone() {
    let acts = &[Image("v1"), Autoscale(true), Load(8)];
    let mut scaled = Run::installed(Story { acts, ..STORIES[0] });
    scaled.rest();
    let faults = [Fault::CrashBefore, Fault::CrashAfter, Fault::LostAnswer];
    let faults = faults.map(|fault| (0..3).map(move |write| Some((write, fault))));
    for fault in faults.into_iter().flatten().chain([None]) {
        let mut run = scaled.clone();
        // As many as the spec names, beside many.
        run.world.scale(if fault.is_none() { 2 } else { 5 });
        run.world.act(Autoscale(false));
        run.writes.fault = fault.map(|(write, fault)| (run.writes.made + write, fault));
        for replicas in [2, 3] {
            run.world.platform.spec.services[0].replicas = replicas;
            run.world.new_spec();
            run.rest();
            let pods = run.world.deployments["acme-customer"].object.spec.replicas;
            assert_eq!(pods, Some(replicas), "{fault:?} {}", tail(&run.world));
        }
        assert!(run.world.around.targets.is_empty());
    }
}

/// A gateway that forgets an address before it follows the route refuses requests: it goes only when the route names it no more, and it does go.
#[test]
fn an_address_of_a_canary_outlives_its_place_in_the_route() {
    for (image, serves) in [("v2", true), ("unverified", false)] {
        let mut run = Run::installed(Story {
            acts: &[Image("v1"), Expose, Strategy(Canary)],
            ..STORIES[0]
        });
        run.rest();
        run.world.set_image(image);
        let named = |run: &Run| {
            let ways = run
                .world
                .around
                .route
                .iter()
                .flat_map(World::ways)
                .flatten();
            ways.filter(|(name, ..)| name.ends_with("-preview")).count()
        };
        let mut was_named = false;
        while !run.turn(None) {
            was_named |= named(&run) == 2;
            let mut services = run.world.services.keys();
            let is_there = services.any(|name| name.ends_with("-preview"));
            assert!(is_there || named(&run) == 0, "{}", tail(&run.world));
        }
        let mut services = run.world.services.keys();
        assert!(was_named && !services.any(|name| name.ends_with("-preview")));
        assert_eq!(run.world.serves(), serves);
    }
}
