//! Live traffic of the model: which pods the Services select, after every single write. Requests never meet a Service without a ready pod, and the Services of
//! all services go over together.

use std::collections::BTreeSet;

use crm_operator::api::spec::StrategyType;
use crm_operator::api::status::Slot;
use crm_operator::desired::{labels, names};
use k8s_openapi::api::core::v1::Service;

use crate::stories::Act::{self, Image};
use crate::world::{World, label};
use crate::{Run, STORIES, Story};

/// The slots that an address selects.
pub fn slots(address: &Service) -> Vec<Slot> {
    let selector = address.spec.as_ref().and_then(|spec| spec.selector.clone());
    match selector.unwrap_or_default().get(labels::SLOT) {
        Some(slot) => vec![Slot::of_label(slot)],
        None => vec![Slot::Blue, Slot::Green],
    }
}

/// The ports of an address.
pub fn ports(address: &Service) -> Vec<i32> {
    let ports = address.spec.as_ref().and_then(|spec| spec.ports.clone());
    ports
        .unwrap_or_default()
        .iter()
        .map(|own| own.port)
        .collect()
}

impl World {
    /// The live addresses of services that stable has.
    fn served(&self) -> Vec<(String, &Service)> {
        let stable = &self.remembered().stable;
        let images = stable.iter().flat_map(|stable| &stable.images);
        let names = images.map(|image| image.service.clone());
        names
            .filter_map(|service| {
                let address = self.services.get(&names::live("acme", &service))?;
                Some((service, address))
            })
            .collect()
    }

    pub fn ready(&self, service: &str, slot: Slot) -> (usize, usize) {
        let name = names::pods("acme", service, slot);
        let Some(seen) = self.deployments.get(&name) else {
            return (0, 0);
        };
        let wanted = usize::try_from(seen.object.spec.replicas.unwrap_or(1)).unwrap();
        let ready = seen.pods.iter().filter(|pod| pod.phase == "Running");
        (ready.count(), wanted)
    }

    /// Each service that serves has a pod that answers.
    pub fn assert_traffic(&self) {
        if self.tampered {
            return;
        }
        for (service, address) in self.served() {
            let ready: usize = slots(address)
                .into_iter()
                .map(|slot| self.ready(&service, slot).0)
                .sum();
            assert!(ready > 0, "requests to {service} meet no pod");
        }
        self.assert_routed();
        self.assert_called();
    }

    /// Each pod that gets requests can call the others by the ports that its own release has.
    fn assert_called(&self) {
        let live = self.deployments.values();
        let live = live.filter(|seen| seen.view.track == labels::STABLE);
        let pods = live.flat_map(|seen| seen.pods.iter().map(|pod| (seen.view.slot, pod)));
        for (slot, pod) in pods.filter(|(_, pod)| pod.phase == "Running") {
            let own = self.services.get(&names::live("acme", &pod.service));
            let gets_requests = own.is_some_and(|own| slots(own).contains(&slot));
            let release = self.revisions.get(&pod.release).filter(|_| gets_requests);
            for called in release.iter().flat_map(|release| &release.services) {
                let Some(address) = self.services.get(&names::live("acme", &called.name)) else {
                    continue;
                };
                let (ports, port) = (ports(address), called.port);
                assert!(
                    ports.contains(&port),
                    "pods of {} call {} at {port}, which has {ports:?}",
                    pod.service,
                    called.name
                );
            }
        }
    }

    /// All services are served from the same place.
    pub fn assert_together(&self) {
        if self.tampered {
            return;
        }
        let all: BTreeSet<_> = self
            .served()
            .into_iter()
            .map(|(_, address)| {
                slots(address)
                    .iter()
                    .map(|slot| slot.label())
                    .collect::<Vec<_>>()
            })
            .collect();
        assert!(
            all.len() <= 1,
            "services are served from several places: {all:?}"
        );
    }

    /// What a Service may select now that it did not select before.
    pub fn assert_may_select(&self, address: &Service) {
        let memory = self.memory();
        let service = label(&address.metadata, labels::SERVICE);
        let name = address.metadata.name.clone().unwrap_or_default();
        let before = self.services.get(&name).map(slots).unwrap_or_default();
        let stable = memory.stable.filter(|stable| {
            let mut known = stable.images.iter();
            name == names::live("acme", &service) && known.any(|image| image.service == service)
        });
        let Some(stable) = stable else {
            return;
        };
        for slot in slots(address) {
            let (ready, wanted) = self.ready(&service, slot);
            assert!(
                slot == stable.slot || before.contains(&slot) || (ready > 0 && ready >= wanted),
                "{service} goes over to {ready} ready pods of {wanted}"
            );
            self.assert_as_many(&service, (&stable, slot), slots(address).len());
        }
        let leaves_stable = !slots(address).contains(&stable.slot);
        let candidate = memory
            .candidate
            .map(|candidate| candidate.images[0].image.clone());
        if self.platform.spec.release.strategy.kind == StrategyType::Canary && leaves_stable {
            let app = crate::world::app(&candidate.unwrap_or_default());
            assert!(
                app.verify == 0 && !app.restless,
                "all requests to {service} go over to a release whose canary was bad"
            );
        }
    }
}

/// A release with another port, which goes over and, with the image of some, comes back.
#[test]
fn a_port_that_changes_is_known_to_whoever_calls_it() {
    for kind in [
        StrategyType::RollingUpdate,
        StrategyType::BlueGreen,
        StrategyType::Canary,
    ] {
        for (service, image, serves) in [
            (0, "v2", true),
            (0, "unverified", false),
            (1, "v2", true),
            (1, "unverified", false),
        ] {
            let mut run = Run::installed(Story {
                acts: &[Image("v1")],
                ..STORIES[0]
            });
            let before = run.world.memory().stable.unwrap().release;
            run.world.act(Act::Strategy(kind));
            run.world.platform.spec.services[service].port = 9090;
            run.world.set_image(image);
            run.rest();
            let stable = run.world.memory().stable.unwrap().release;
            assert_eq!(stable != before, serves, "{kind:?} {image}");
            let address = ["acme-customer", "acme-sales"][service];
            let address = &run.world.services[address];
            let port = if serves { 9090 } else { 8080 };
            assert_eq!(ports(address), [port], "{kind:?} {image}");
        }
    }
}
