//! The ConfigMap in which whole reports and logs of a release are kept, compressed, after its pods are gone.
//!
//! It belongs to the record of the release and goes with it, so that nobody has to remove it. Each step of a release applies its own keys under a field manager of its own:
//! a later try of a step takes the place of the one before, and no step needs to know what the others left.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;

use super::{Scope, labels, names, object};

/// What one step of a release leaves; `record` is the UID of the release's ControllerRevision.
pub fn config_map(scope: Scope<'_>, record: &str, kept: Vec<(String, Vec<u8>)>) -> ConfigMap {
    let mut map: ConfigMap = object(json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": names::reports(&scope.platform.name, scope.id),
            "namespace": scope.platform.namespace,
            "labels": labels::with_release(labels::platform(&scope.platform.name), scope.id),
            "ownerReferences": [{
                "apiVersion": "apps/v1",
                "kind": "ControllerRevision",
                "name": names::revision(&scope.platform.name, scope.id),
                "uid": record,
            }],
        },
    }));
    let kept = kept
        .into_iter()
        .map(|(key, bytes)| (key, ByteString(bytes)));
    map.binary_data = Some(kept.collect());
    map
}
