//! How many pods a live service has by its load, and how many of them may be gone at once.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde_json::{Value, json};

use super::{hashed, labels, names, object};
use crate::api::spec::AutoscalingSpec;
use crate::api::status::Slot;
use crate::platform::Platform;

/// Sets the number of the pods of a service in the slot that serves. Of a pod the container of the service counts alone: one that was injected may request nothing.
pub fn autoscaler(
    platform: &Platform,
    service: &str,
    slot: Slot,
    spec: &AutoscalingSpec,
) -> HorizontalPodAutoscaler {
    object(hashed(json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata(platform, service),
        "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": names::pods(&platform.name, service, slot) },
            "minReplicas": spec.min_replicas,
            "maxReplicas": spec.max_replicas,
            "metrics": [{
                "type": "ContainerResource",
                "containerResource": { "name": "cpu", "container": "service", "target": { "type": "Utilization", "averageUtilization": spec.cpu_percent } }
            }]
        }
    })))
}

/// Lets a drain take one live pod of a service at a time, in whatever slot; pods that are not ready hold up no drain.
pub fn budget(platform: &Platform, service: &str) -> PodDisruptionBudget {
    let selector = json!({ labels::PLATFORM: platform.name, labels::SERVICE: service, labels::TRACK: labels::STABLE });
    object(hashed(json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(platform, service),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": { "matchLabels": selector }
        }
    })))
}

fn metadata(platform: &Platform, service: &str) -> Value {
    json!({
        "name": names::live(&platform.name, service),
        "namespace": platform.namespace,
        "labels": labels::around(&platform.name, service),
        "ownerReferences": [platform.owner]
    })
}
