//! Services: the address of each live service, of the pods of a canary alone, and of each service of a candidate on its scratch database.

use k8s_openapi::api::core::v1::Service;
use serde_json::json;

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

/// Address of a live service. It selects live pods only, of whatever release.
pub fn live(scope: Scope<'_>, service: &ReleaseService, pods: Pods) -> Service {
    let name = names::live(&scope.platform.name, &service.name);
    of_live_pods(scope, service, (name, pods))
}

/// Address of the pods of one slot, for tests.
pub fn preview(scope: Scope<'_>, service: &ReleaseService, slot: Slot) -> Service {
    let name = names::preview(&scope.platform.name, &service.name);
    of_live_pods(scope, service, (name, Pods::Of(slot)))
}

fn of_live_pods(
    scope: Scope<'_>,
    service: &ReleaseService,
    (name, pods): (String, Pods),
) -> Service {
    let labels = labels::service(scope, &service.name, labels::STABLE);
    let mut selector = labels::selector(scope, &service.name, labels::STABLE);
    if let Pods::Of(slot) = pods {
        selector[labels::SLOT] = json!(slot.label());
    }
    address(scope, service, name, (labels, selector))
}

/// Address of a candidate's service.
pub fn candidate(scope: Scope<'_>, service: &ReleaseService) -> Service {
    let labels = labels::with_release(
        labels::service(scope, &service.name, labels::CANDIDATE),
        scope.id,
    );
    let mut selector = labels::selector(scope, &service.name, labels::CANDIDATE);
    selector[labels::RELEASE] = json!(scope.id);
    address(
        scope,
        service,
        names::candidate(&scope.platform.name, &service.name, scope.id),
        (labels, selector),
    )
}

/// Address of a service on one side of a comparison.
pub(super) fn beside(scope: Scope<'_>, service: &ReleaseService, side: Side) -> Service {
    let labels = labels::service(scope, &service.name, side.track());
    let labels = labels::with_release(labels, scope.id);
    let mut selector = labels::selector(scope, &service.name, side.track());
    selector[labels::RELEASE] = json!(scope.id);
    let name = side.host(scope, &service.name);
    address(scope, service, name, (labels, selector))
}

type Labels = serde_json::Map<String, serde_json::Value>;

fn address(
    scope: Scope<'_>,
    service: &ReleaseService,
    name: String,
    (labels, selector): (Labels, serde_json::Value),
) -> Service {
    object(hashed(json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": name, "namespace": scope.platform.namespace, "labels": labels, "ownerReferences": [scope.platform.owner] },
        "spec": {
            "selector": selector,
            "ports": [{ "name": "http", "port": service.port, "targetPort": "http", "protocol": "TCP", "appProtocol": "http" }]
        }
    })))
}
