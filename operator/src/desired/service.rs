//! Services: the address of each live service, of the pods of a canary alone, and of each service of a candidate on its scratch database.

use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};

use super::beside::Side;
use super::{Scope, hashed, labels, names, object};
use crate::api::status::Slot;
use crate::platform::release::ReleaseService;

/// Which live pods get the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pods {
    /// Those of one slot.
    Of(Slot),
    /// Those of both, each pod its share.
    Both,
}

/// Address of a live service. It selects live pods only, of whatever release. `also` is a port by which pods of another release than `scope`'s call it; each pod is
/// reached at its own.
pub fn live(
    scope: Scope<'_>,
    service: &ReleaseService,
    (pods, also): (Pods, Option<i32>),
) -> Service {
    let name = names::live(&scope.platform.name, &service.name);
    of_live_pods(scope, service, (name, pods, also))
}

/// Address of the pods of one slot, for tests.
pub fn preview(scope: Scope<'_>, service: &ReleaseService, slot: Slot) -> Service {
    let name = names::preview(&scope.platform.name, &service.name);
    of_live_pods(scope, service, (name, Pods::Of(slot), None))
}

fn of_live_pods(
    scope: Scope<'_>,
    service: &ReleaseService,
    (name, pods, also): (String, Pods, Option<i32>),
) -> Service {
    let labels = labels::service(scope, &service.name, labels::STABLE);
    let mut selector = labels::selector(scope, &service.name, labels::STABLE);
    if let Pods::Of(slot) = pods {
        selector[labels::SLOT] = json!(slot.label());
    }
    let ports = [("http", Some(service.port)), ("other", also)];
    let ports = ports
        .into_iter()
        .filter_map(|(name, port)| Some(by(name, port?)));
    address(scope, name, (labels, selector), ports.collect())
}

/// Address of a candidate's service.
pub fn candidate(scope: Scope<'_>, service: &ReleaseService) -> Service {
    let labels = labels::with_release(
        labels::service(scope, &service.name, labels::CANDIDATE),
        scope.id,
    );
    let mut selector = labels::selector(scope, &service.name, labels::CANDIDATE);
    selector[labels::RELEASE] = json!(scope.id);
    let name = names::candidate(&scope.platform.name, &service.name, scope.id);
    let ports = vec![by("http", service.port)];
    address(scope, name, (labels, selector), ports)
}

/// Address of a service on one side of a comparison.
pub(super) fn beside(scope: Scope<'_>, service: &ReleaseService, side: Side) -> Service {
    let labels = labels::service(scope, &service.name, side.track());
    let labels = labels::with_release(labels, scope.id);
    let mut selector = labels::selector(scope, &service.name, side.track());
    selector[labels::RELEASE] = json!(scope.id);
    let name = side.host(scope, &service.name);
    let ports = vec![by("http", service.port)];
    address(scope, name, (labels, selector), ports)
}

/// A port, which leads to the one that each pod calls `http`.
fn by(name: &str, port: i32) -> Value {
    json!({ "name": name, "port": port, "targetPort": "http", "protocol": "TCP", "appProtocol": "http" })
}

type Labels = serde_json::Map<String, Value>;

fn address(
    scope: Scope<'_>,
    name: String,
    (labels, selector): (Labels, Value),
    ports: Vec<Value>,
) -> Service {
    object(hashed(json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": name, "namespace": scope.platform.namespace, "labels": labels, "ownerReferences": [scope.platform.owner] },
        "spec": { "selector": selector, "ports": ports }
    })))
}
