//! Deployments: live services, and the candidate's pods on the scratch database.

use k8s_openapi::api::apps::v1::Deployment;
use serde_json::{Map, Value, json};

use super::beside::Side;
use super::environment::{self, Role};
use super::{
    SERVICE_USER, Scope, Track, container_security, hashed, labels, names, object, pod_security,
};
use crate::api::status::Slot;
use crate::platform::release::ReleaseService;

/// Seconds a pod gets to drain: the service's own delay (8 s), requests in flight (20 s) and room.
const GRACE_SECONDS: i64 = 45;

/// Deployment of a live service in a slot with so many pods; `None` leaves their number to whoever has set it.
pub fn live(
    scope: Scope<'_>,
    service: &ReleaseService,
    slot: Slot,
    replicas: Option<i32>,
) -> Deployment {
    let all = labels::service(scope, &service.name, labels::STABLE);
    let mut selector = labels::selector(scope, &service.name, labels::STABLE);
    selector[labels::SLOT] = json!(slot.label());
    let shape = Shape {
        name: names::pods(&scope.platform.name, &service.name, slot),
        labels: labels::with_slot(all, slot),
        spread: spread(&selector),
        selector,
        env: environment(scope, Track::Live),
        replicas,
    };
    deployment(scope, service, shape)
}

/// The same Deployment whose pods carry the versions of their Secrets: a new version starts them again.
pub fn with_secrets(pods: &Deployment, version: &str) -> Deployment {
    changed(pods, |literal| {
        literal["spec"]["template"]["metadata"]["annotations"][labels::SECRETS] = json!(version);
    })
}

/// The same Deployment, which says that an autoscaler of ours sets the number of its pods. Its pods do not say it: none is started again.
pub fn scaled(pods: &Deployment) -> Deployment {
    changed(pods, |literal| {
        literal["metadata"]["annotations"][labels::SCALED] = json!("true");
    })
}

/// The same Deployment with a change, and the content hash of that.
fn changed(pods: &Deployment, change: impl FnOnce(&mut Value)) -> Deployment {
    let mut literal = json!(pods);
    if let Some(annotations) = literal["metadata"]["annotations"].as_object_mut() {
        annotations.remove(labels::HASH);
    }
    let replicas = literal["spec"].as_object_mut();
    let replicas = replicas.and_then(|spec| spec.remove("replicas"));
    change(&mut literal);
    with_replicas(hashed(literal), replicas)
}

/// The number of pods has other owners too, so it is compared by itself, and is no part of the content hash.
fn with_replicas(mut literal: Value, replicas: Option<Value>) -> Deployment {
    if let Some(replicas) = replicas {
        literal["spec"]["replicas"] = replicas;
    }
    object(literal)
}

/// Deployment of a candidate: one pod, on the scratch database, which no live Service selects.
pub fn candidate(scope: Scope<'_>, service: &ReleaseService) -> Deployment {
    let mut selector = labels::selector(scope, &service.name, labels::CANDIDATE);
    selector[labels::RELEASE] = json!(scope.id);
    let shape = Shape {
        name: names::candidate(&scope.platform.name, &service.name, scope.id),
        labels: labels::service(scope, &service.name, labels::CANDIDATE),
        selector,
        env: environment(scope, Track::Scratch),
        replicas: Some(1),
        spread: Value::Null,
    };
    deployment(scope, service, shape)
}

/// Deployment of one side of a comparison: one pod with the environment `env`, which only the Service of that side selects. Its label names the release for
/// which the two are compared, whichever of them it is of.
pub(super) fn beside(
    scope: Scope<'_>,
    service: &ReleaseService,
    (side, env): (Side, Vec<Value>),
) -> Deployment {
    let mut selector = labels::selector(scope, &service.name, side.track());
    selector[labels::RELEASE] = json!(scope.id);
    let shape = Shape {
        name: side.host(scope, &service.name),
        labels: labels::service(scope, &service.name, side.track()),
        selector,
        env,
        replicas: Some(1),
        spread: Value::Null,
    };
    deployment(scope, service, shape)
}

/// Database and addresses of what serves on a track.
fn environment(scope: Scope<'_>, track: Track) -> Vec<Value> {
    let mut env = environment::database(scope, Role::App, track);
    env.extend(environment::delivery(scope, track));
    env
}

/// What Deployments differ in.
struct Shape {
    name: String,
    /// Labels without the release.
    labels: Map<String, Value>,
    selector: Value,
    /// Database and addresses.
    env: Vec<Value>,
    replicas: Option<i32>,
    /// How its pods are spread; null for a single one.
    spread: Value,
}

/// Over nodes and zones, as far as there is room. Each generation of pods by itself, so that the pods of a roll-out do not all land where there were none before.
fn spread(selector: &Value) -> Value {
    let over = |topology: &str| {
        json!({
            "maxSkew": 1,
            "topologyKey": topology,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": { "matchLabels": selector },
            "matchLabelKeys": ["pod-template-hash"]
        })
    };
    json!([
        over("kubernetes.io/hostname"),
        over("topology.kubernetes.io/zone")
    ])
}

fn deployment(scope: Scope<'_>, service: &ReleaseService, shape: Shape) -> Deployment {
    let all = labels::with_release(shape.labels, scope.id);
    let mut literal = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": shape.name, "namespace": scope.platform.namespace, "labels": all, "ownerReferences": [scope.platform.owner] },
        "spec": {
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
                    "containers": [container(service, shape.env)],
                    "volumes": [{ "name": "tmp", "emptyDir": {} }]
                }
            }
        }
    });
    if !shape.spread.is_null() {
        literal["spec"]["template"]["spec"]["topologySpreadConstraints"] = shape.spread;
    }
    with_replicas(
        hashed(literal),
        shape.replicas.map(|replicas| json!(replicas)),
    )
}

fn container(service: &ReleaseService, delivered: Vec<Value>) -> Value {
    let mut env: Vec<Value> = service
        .env
        .iter()
        .map(|entry| environment::variable(&entry.name, &entry.value))
        .collect();
    env.push(environment::variable("CRM_SERVICE", &service.name));
    env.extend(delivered);
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
