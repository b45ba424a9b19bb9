//! What stands around the pods of a platform: `CrmPlatformSpec` in; autoscaling, connections and exposure out, or [`Invalid`]. None of it is part of a release.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Invalid, invalid};
use crate::api::spec::{AutoscalingSpec, CrmPlatformSpec, EgressSpec, ExposureSpec, NetworkSpec};

/// Most characters of one part of the name of a host, by RFC 1123.
const LABEL: usize = 63;

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
///
/// # Errors
/// [`Invalid`] when an address or the key of a label cannot be one: the API server would refuse the policy, and with it what the plan writes after it.
pub(super) fn egress(spec: &CrmPlatformSpec) -> Result<BTreeMap<String, Vec<EgressSpec>>, Invalid> {
    let mut all = BTreeMap::new();
    for service in spec.services.iter().filter(|own| !own.egress.is_empty()) {
        let field = format!("spec.services[{}].egress[].cidr", service.name);
        addresses(&field, service.egress.iter().map(|to| &to.cidr))?;
        let field = format!("spec.services[{}].egress[]", service.name);
        labels(
            &field,
            service
                .egress
                .iter()
                .flat_map(|to| [&to.namespace_labels, &to.pod_labels]),
        )?;
        all.insert(service.name.clone(), service.egress.clone());
    }
    Ok(all)
}

/// Who may connect to live pods, and where the database is.
///
/// # Errors
/// [`Invalid`] as for [`egress`].
pub(super) fn network(spec: &CrmPlatformSpec) -> Result<NetworkSpec, Invalid> {
    let network = &spec.network;
    addresses(
        "spec.network.from[].cidr",
        network.from.iter().map(|from| &from.cidr),
    )?;
    let from = network.from.iter();
    let from = from.flat_map(|from| [&from.namespace_labels, &from.pod_labels]);
    labels("spec.network.from[]", from)?;
    let database = network.database.iter();
    let database = database.flat_map(|to| [&to.namespace_labels, &to.pod_labels]);
    labels("spec.network.database[]", database)?;
    let database = network.database.iter().map(|to| &to.cidr);
    addresses("spec.network.database[].cidr", database)?;
    Ok(network.clone())
}

/// Of pods and namespaces by labels: the schema cannot look at the keys of a map.
fn labels<'l>(
    field: &str,
    all: impl Iterator<Item = &'l Option<BTreeMap<String, String>>>,
) -> Result<(), Invalid> {
    for key in all.flatten().flat_map(BTreeMap::keys) {
        if !is_label(key) {
            let problem = format!("{key:?} is no key of a label");
            let remedy =
                "write it as team or example.com/team, with letters, digits, '-', '_' and '.'";
            return Err(invalid(field, &problem, remedy));
        }
    }
    Ok(())
}

/// The form that Kubernetes asks of the key of a label.
fn is_label(key: &str) -> bool {
    let (prefix, name) = key.split_once('/').unwrap_or(("example", key));
    let is_word = |text: &str, longest: usize, between: &[char]| {
        let inner = |c: char| c.is_ascii_alphanumeric() || between.contains(&c);
        let ends = |c: char| c.is_ascii_alphanumeric();
        (1..=longest).contains(&text.len())
            && text.chars().all(inner)
            && text.starts_with(ends)
            && text.ends_with(ends)
    };
    let of_name = is_word(name, LABEL, &['-', '_', '.']);
    let is_lower = !prefix.contains(|c: char| c.is_ascii_uppercase());
    of_name && is_lower && prefix.split('.').all(|part| is_word(part, LABEL, &['-']))
}

fn addresses<'c>(
    field: &str,
    all: impl Iterator<Item = &'c Option<String>>,
) -> Result<(), Invalid> {
    for cidr in all.flatten() {
        let is_sound = cidr.split_once('/').is_some_and(|(address, bits)| {
            let most = match address.parse() {
                Ok(IpAddr::V4(_)) => 32,
                Ok(IpAddr::V6(_)) => 128,
                Err(_) => return false,
            };
            bits.parse::<u8>().is_ok_and(|bits| bits <= most)
                && !(bits.len() > 1 && bits.starts_with('0'))
        });
        if !is_sound {
            let problem = format!("{cidr:?} is no range of addresses");
            return Err(invalid(
                field,
                &problem,
                "write it as 203.0.113.0/24 or 2001:db8::/32",
            ));
        }
    }
    Ok(())
}

/// How the platform is reached from outside.
///
/// # Errors
/// [`Invalid`] when it is not exactly one way, or a host that no Ingress and no HTTPRoute may have.
pub(super) fn exposure(spec: &CrmPlatformSpec) -> Result<Option<ExposureSpec>, Invalid> {
    let mut hosts = spec.exposure.iter().flat_map(|exposure| &exposure.hosts);
    let is_unfit = |host: &&String| {
        host.parse::<IpAddr>().is_ok() || host.split('.').any(|label| label.len() > LABEL)
    };
    if let Some(host) = hosts.find(is_unfit) {
        let problem = format!("{host:?} is no name of a host");
        let remedy = "give names such as crm.acme.example, each part of 63 characters at most";
        return Err(invalid("spec.exposure.hosts", &problem, remedy));
    }
    match &spec.exposure {
        Some(exposure) if exposure.gateway.is_some() == exposure.ingress.is_some() => Err(invalid(
            "spec.exposure",
            "is ambiguous",
            "set exactly one of gateway and ingress",
        )),
        exposure => Ok(exposure.clone()),
    }
}
