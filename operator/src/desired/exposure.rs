//! The way in from outside: an HTTPRoute or an Ingress, from `/api/<service>/` to the live Service. Paths are not rewritten: an Ingress could not.

use k8s_openapi::api::networking::v1::Ingress;
use serde_json::{Value, json};

use super::route::HttpRoute;
use super::{hashed, labels, names, object};
use crate::api::spec::{GatewaySpec, IngressSpec};
use crate::platform::Platform;

/// Where the requests to one service go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The service.
    pub service: String,
    /// Port of its live Service.
    pub port: i32,
    /// Percent of the requests that go to the pods of a canary, and the port of its Service.
    pub canary: Option<(i32, i32)>,
}

/// The HTTPRoute of a platform.
pub fn route(platform: &Platform, gateway: &GatewaySpec, ways: &[Way]) -> HttpRoute {
    let mut parent =
        json!({ "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": gateway.name });
    if let Some(namespace) = &gateway.namespace {
        parent["namespace"] = json!(namespace);
    }
    if let Some(section) = &gateway.section_name {
        parent["sectionName"] = json!(section);
    }
    let rules: Vec<_> = ways.iter().map(|way| rule(platform, way)).collect();
    object(hashed(json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": metadata(platform),
        "spec": { "parentRefs": [parent], "hostnames": hosts(platform), "rules": rules }
    })))
}

fn rule(platform: &Platform, way: &Way) -> Value {
    let backend = |name: String, port: i32, weight: i32| json!({ "group": "", "kind": "Service", "name": name, "port": port, "weight": weight });
    let live = names::live(&platform.name, &way.service);
    let share = way.canary.map_or(0, |(share, _)| share);
    let mut backends = vec![backend(live, way.port, 100 - share)];
    if let Some((share, port)) = way.canary {
        let canary = names::preview(&platform.name, &way.service);
        backends.push(backend(canary, port, share));
    }
    json!({
        "matches": [{ "path": { "type": "PathPrefix", "value": path(&way.service) } }],
        "backendRefs": backends
    })
}

/// The Ingress of a platform. It names ports by their name, so that it stays the same when a release changes one.
pub fn ingress(platform: &Platform, spec: &IngressSpec, ways: &[Way]) -> Ingress {
    let paths: Vec<_> = ways
        .iter()
        .map(|way| {
            let service = json!({ "name": names::live(&platform.name, &way.service), "port": { "name": "http" } });
            json!({ "path": path(&way.service), "pathType": "Prefix", "backend": { "service": service } })
        })
        .collect();
    let rules: Vec<_> = hosts(platform)
        .iter()
        .map(|host| json!({ "host": host, "http": { "paths": paths } }))
        .collect();
    let mut body = json!({ "rules": rules });
    if let Some(class) = &spec.class_name {
        body["ingressClassName"] = json!(class);
    }
    if let Some(secret) = &spec.tls_secret {
        body["tls"] = json!([{ "hosts": hosts(platform), "secretName": secret }]);
    }
    object(hashed(json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": metadata(platform),
        "spec": body
    })))
}

/// Compared by whole elements: `/api/sales` is neither `/api/sales-archive` nor a part of it.
fn path(service: &str) -> String {
    format!("/api/{service}")
}

fn hosts(platform: &Platform) -> &[String] {
    let exposure = platform.exposure.as_ref();
    exposure.map_or(&[], |exposure| &exposure.hosts)
}

fn metadata(platform: &Platform) -> Value {
    json!({
        "name": names::exposure(&platform.name),
        "namespace": platform.namespace,
        "labels": labels::platform(&platform.name),
        "ownerReferences": [platform.owner]
    })
}
