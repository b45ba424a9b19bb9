//! Live traffic of the model: which pods the Services select, after every single write. Requests never meet a Service without a ready pod, and the Services of
//! all services go over together.

use std::collections::BTreeSet;

use crm_operator::api::spec::StrategyType;
use crm_operator::api::status::Slot;
use crm_operator::desired::{labels, names};
use k8s_openapi::api::core::v1::Service;

use crate::world::{World, label};

/// The slots that an address selects.
pub fn slots(address: &Service) -> Vec<Slot> {
    let selector = address.spec.as_ref().and_then(|spec| spec.selector.clone());
    match selector.unwrap_or_default().get(labels::SLOT) {
        Some(slot) => vec![Slot::of_label(slot)],
        None => vec![Slot::Blue, Slot::Green],
    }
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
