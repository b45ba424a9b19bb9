//! What stands around the pods of a platform: `CrmPlatformSpec` in; autoscaling, connections and exposure out, or [`Invalid`]. None of it is part of a release.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

use std::collections::BTreeMap;

use super::{Invalid, invalid};
use crate::api::spec::{AutoscalingSpec, CrmPlatformSpec, EgressSpec, ExposureSpec};

/// The services that are scaled by their load.
///
/// # Errors
/// [`Invalid`] when one can have no number of pods, or nothing to compare its load with.
pub(super) fn autoscaling(
    spec: &CrmPlatformSpec,
) -> Result<BTreeMap<String, AutoscalingSpec>, Invalid> {
    let mut all = BTreeMap::new();
    for service in &spec.services {
        let Some(autoscaling) = &service.autoscaling else {
            continue;
        };
        let field = format!("spec.services[{}].autoscaling", service.name);
        if autoscaling.min_replicas > autoscaling.max_replicas {
            let remedy = "set maxReplicas to at least minReplicas";
            return Err(invalid(
                &field,
                "has more pods at least than at most",
                remedy,
            ));
        }
        if !service.resources.requests.contains_key("cpu") {
            let problem = "has nothing to compare the use of CPU with";
            let remedy = "set resources.requests.cpu of this service";
            return Err(invalid(&field, problem, remedy));
        }
        all.insert(service.name.clone(), autoscaling.clone());
    }
    Ok(all)
}

/// Where live pods may connect to beside what the platform needs, by service.
pub(super) fn egress(spec: &CrmPlatformSpec) -> BTreeMap<String, Vec<EgressSpec>> {
    let services = spec.services.iter();
    services
        .filter(|service| !service.egress.is_empty())
        .map(|service| (service.name.clone(), service.egress.clone()))
        .collect()
}

/// How the platform is reached from outside.
///
/// # Errors
/// [`Invalid`] when it is not exactly one way.
pub(super) fn exposure(spec: &CrmPlatformSpec) -> Result<Option<ExposureSpec>, Invalid> {
    match &spec.exposure {
        Some(exposure) if exposure.gateway.is_some() == exposure.ingress.is_some() => Err(invalid(
            "spec.exposure",
            "is ambiguous",
            "set exactly one of gateway and ingress",
        )),
        exposure => Ok(exposure.clone()),
    }
}
