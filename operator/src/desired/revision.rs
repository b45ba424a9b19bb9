//! The recorded inputs of a release: a ControllerRevision, immutable by the API server, from which a release can be built again after the spec moved on.

use k8s_openapi::api::apps::v1::ControllerRevision;
use serde_json::json;

use super::{Scope, labels, names, object};

/// Record of a release.
pub fn revision(scope: Scope<'_>) -> ControllerRevision {
    object(json!({
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": names::revision(&scope.platform.name, scope.id),
            "namespace": scope.platform.namespace,
            "labels": labels::with_release(labels::platform(&scope.platform.name), scope.id),
            "ownerReferences": [scope.platform.owner],
        },
        "revision": scope.platform.generation,
        "data": scope.release,
    }))
}
