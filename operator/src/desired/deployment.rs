//! Deployments: live services, and the candidate's pods on the scratch database.

use k8s_openapi::api::apps::v1::Deployment;
use serde_json::{Map, Value, json};

use super::environment::{self, Role};
use super::{
    SERVICE_USER, Scope, Track, container_security, hashed, labels, names, object, pod_security,
};
use crate::api::status::Slot;
use crate::platform::release::ReleaseService;

/// Seconds a pod gets to drain: the service's own delay (8 s), requests in flight (20 s) and room.
const GRACE_SECONDS: i64 = 45;

/// Deployment of a live service in a slot with so many pods.
pub fn live(scope: Scope<'_>, service: &ReleaseService, slot: Slot, replicas: i32) -> Deployment {
    let all = labels::service(scope, &service.name, labels::STABLE);
    let mut selector = labels::selector(scope, &service.name, labels::STABLE);
    selector[labels::SLOT] = json!(slot.label());
    let shape = Shape {
        name: names::pods(&scope.platform.name, &service.name, slot),
        labels: labels::with_slot(all, slot),
        selector,
        track: Track::Live,
        replicas,
    };
    deployment(scope, service, shape)
}

/// Deployment of a candidate: one pod, on the scratch database, which no live Service selects.
pub fn candidate(scope: Scope<'_>, service: &ReleaseService) -> Deployment {
    let mut selector = labels::selector(scope, &service.name, labels::CANDIDATE);
    selector[labels::RELEASE] = json!(scope.id);
    let shape = Shape {
        name: names::candidate(&scope.platform.name, &service.name, scope.id),
        labels: labels::service(scope, &service.name, labels::CANDIDATE),
        selector,
        track: Track::Scratch,
        replicas: 1,
    };
    deployment(scope, service, shape)
}

/// What Deployments differ in.
struct Shape {
    name: String,
    /// Labels without the release.
    labels: Map<String, Value>,
    selector: Value,
    track: Track,
    replicas: i32,
}

fn deployment(scope: Scope<'_>, service: &ReleaseService, shape: Shape) -> Deployment {
    let all = labels::with_release(shape.labels, scope.id);
    object(hashed(json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": shape.name, "namespace": scope.platform.namespace, "labels": all, "ownerReferences": [scope.platform.owner] },
        "spec": {
            "replicas": shape.replicas,
            "revisionHistoryLimit": 2,
            "progressDeadlineSeconds": scope.platform.progress_deadline_seconds,
            "selector": { "matchLabels": shape.selector },
            "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } },
            "template": {
                "metadata": { "labels": all },
                "spec": {
                    "automountServiceAccountToken": false,
                    "enableServiceLinks": false,
                    "terminationGracePeriodSeconds": GRACE_SECONDS,
                    "securityContext": pod_security(SERVICE_USER),
                    "containers": [container(scope, service, shape.track)],
                    "volumes": [{ "name": "tmp", "emptyDir": {} }]
                }
            }
        }
    })))
}

fn container(scope: Scope<'_>, service: &ReleaseService, track: Track) -> Value {
    let mut env: Vec<Value> = service
        .env
        .iter()
        .map(|entry| environment::variable(&entry.name, &entry.value))
        .collect();
    env.push(environment::variable("CRM_SERVICE", &service.name));
    env.extend(environment::database(scope, Role::App, track));
    env.extend(environment::delivery(scope, track));
    let probe = |path: &str, period: i32, failures: i32| json!({ "httpGet": { "path": path, "port": "http" }, "periodSeconds": period, "timeoutSeconds": 3, "failureThreshold": failures });
    json!({
        "name": "service",
        "image": service.image,
        "args": service.args,
        "ports": [{ "name": "http", "containerPort": service.port, "protocol": "TCP" }],
        "env": env,
        "envFrom": service.secrets.iter().map(|name| json!({ "secretRef": { "name": name } })).collect::<Vec<_>>(),
        "resources": service.resources,
        "securityContext": container_security(),
        "startupProbe": probe("/livez", 1, 60),
        "livenessProbe": probe("/livez", 10, 3),
        "readinessProbe": probe("/readyz", 2, 2),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{ "name": "tmp", "mountPath": "/tmp" }]
    })
}
