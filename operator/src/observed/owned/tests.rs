//! Every kind that the operator applies, as the API server gives it back, and as others change it.

use serde_json::{Value, json};

use super::*;
use crate::desired::tests::applied;

#[path = "../../../tests/simulation/api_server.rs"]
mod api_server;

use api_server::{apply, update};

const OURS: &str = "crm-operator/acme";

fn stamp_of(object: &Value) -> Stamp {
    match object["kind"].as_str().unwrap() {
        "Deployment" => stamp(&read::<k8s_openapi::api::apps::v1::Deployment>(object)),
        "StatefulSet" => stamp(&read::<k8s_openapi::api::apps::v1::StatefulSet>(object)),
        "Service" => stamp(&read::<k8s_openapi::api::core::v1::Service>(object)),
        "ConfigMap" => stamp(&read::<k8s_openapi::api::core::v1::ConfigMap>(object)),
        "HorizontalPodAutoscaler" => stamp(&read::<
            k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler,
        >(object)),
        "PodDisruptionBudget" => stamp(&read::<k8s_openapi::api::policy::v1::PodDisruptionBudget>(
            object,
        )),
        "NetworkPolicy" => stamp(&read::<k8s_openapi::api::networking::v1::NetworkPolicy>(
            object,
        )),
        "Ingress" => stamp(&read::<k8s_openapi::api::networking::v1::Ingress>(object)),
        "HTTPRoute" => stamp(&read::<crate::desired::route::HttpRoute>(object)),
        other => panic!("{other} is not applied"),
    }
}

fn read<K: serde::de::DeserializeOwned>(object: &Value) -> K {
    serde_json::from_value(object.clone()).unwrap()
}

fn hash(object: &Value) -> &str {
    object["metadata"]["annotations"][labels::HASH]
        .as_str()
        .unwrap()
}

fn find(kind: &str) -> Value {
    let mut all = applied().into_iter();
    all.find(|object| object["kind"] == kind).unwrap()
}

/// Puts a value where a pointer shows.
fn set<'c>(path: &'c str, value: Value) -> impl FnOnce(&mut Value) + 'c {
    move |object| {
        let (parent, name) = path.rsplit_once('/').unwrap();
        object.pointer_mut(parent).unwrap()[name] = value;
    }
}

#[test]
fn what_was_applied_is_found_in_what_is_stored() {
    for object in applied() {
        let stored = apply(None, &object, OURS);
        let seen = stamp_of(&stored);
        assert_eq!(seen.drift, None, "{object:#}\n{stored:#}");
        assert_eq!(seen.hash, hash(&object));
        let again = stamp_of(&apply(Some(&stored), &object, OURS));
        assert_eq!(again, seen, "and again");
    }
}

#[test]
fn what_others_add_is_no_drift_and_stays() {
    let template = "/spec/template/metadata/annotations";
    let all = applied().into_iter().flat_map(|object| {
        let mut paths = vec![
            ("/metadata/labels/team", json!("sales")),
            (
                "/metadata/annotations/deployment.kubernetes.io~1revision",
                json!("3"),
            ),
        ];
        if object["kind"] == "Deployment" {
            paths.push((
                template,
                json!({ "kubectl.kubernetes.io/restartedAt": "now" }),
            ));
            paths.push((
                "/spec/template/spec/volumes/0/emptyDir",
                json!({ "sizeLimit": "1Gi" }),
            ));
            paths.push(("/spec/template/spec/priorityClassName", json!("high")));
        }
        paths.into_iter().map(move |path| (object.clone(), path))
    });
    for (object, (path, value)) in all {
        let path = path.replace("~1", ".");
        let stored = apply(None, &object, OURS);
        let changed = update(&stored, "kubectl-edit", set(&path, value.clone()));
        assert_eq!(stamp_of(&changed).drift, None, "{path}\n{changed:#}");
        let again = apply(Some(&changed), &object, OURS);
        assert_eq!(again.pointer(&path), Some(&value), "{path} is left alone");
        assert_eq!(stamp_of(&again).drift, None, "{path}");
    }
    let object = find("Deployment");
    let sidecar = |object: &mut Value| {
        let containers = object
            .pointer_mut("/spec/template/spec/containers")
            .unwrap();
        let proxy = json!({ "name": "proxy", "image": "mesh:1" });
        containers.as_array_mut().unwrap().insert(0, proxy);
    };
    let changed = update(&apply(None, &object, OURS), "injector", sidecar);
    assert_eq!(stamp_of(&changed).drift, None);
}

#[test]
fn what_others_change_of_ours_is_drift_and_goes_with_the_next_apply() {
    let container = "/spec/template/spec/containers/0";
    let cases = [
        ("StatefulSet", "/spec/replicas".to_owned(), json!(0)),
        (
            "HorizontalPodAutoscaler",
            "/spec/maxReplicas".to_owned(),
            json!(99),
        ),
        (
            "PodDisruptionBudget",
            "/spec/maxUnavailable".to_owned(),
            json!(9),
        ),
        (
            "NetworkPolicy",
            "/spec/podSelector".to_owned(),
            json!({ "matchLabels": { "app": "mine" } }),
        ),
        ("Ingress", "/spec/rules".to_owned(), json!([])),
        (
            "HTTPRoute",
            "/spec/rules/0/backendRefs/0/weight".to_owned(),
            json!(7),
        ),
        ("Deployment", format!("{container}/image"), json!("mine:1")),
        ("Deployment", format!("{container}/args"), json!(["sleep"])),
        (
            "Deployment",
            format!("{container}/env/0/value"),
            json!("mine"),
        ),
        (
            "Deployment",
            format!("{container}/env/1/value"),
            json!("not empty"),
        ),
        ("Deployment", format!("{container}/env"), json!([])),
        (
            "Deployment",
            format!("{container}/resources/limits/memory"),
            json!("2Gi"),
        ),
        (
            "Deployment",
            "/metadata/ownerReferences".to_owned(),
            json!([]),
        ),
        (
            "Service",
            "/spec/selector".to_owned(),
            json!({ "app": "mine" }),
        ),
        ("Service", "/spec/ports/0/targetPort".to_owned(), json!(1)),
        ("StatefulSet", format!("{container}/image"), json!("mine:1")),
        ("ConfigMap", "/data/roles.sh".to_owned(), json!("")),
    ];
    for (kind, path, value) in &cases {
        let object = find(kind);
        let stored = apply(None, &object, OURS);
        let changed = update(&stored, "kubectl-edit", set(path, value.clone()));
        let seen = stamp_of(&changed);
        let drift = seen
            .drift
            .unwrap_or_else(|| panic!("{kind} {path}\n{changed:#}"));
        assert_eq!(
            (seen.hash.as_str(), drift.claims.as_str()),
            ("", hash(&object))
        );
        let mended = stamp_of(&apply(Some(&changed), &object, OURS));
        assert_eq!(
            (mended.hash.as_str(), mended.drift),
            (hash(&object), None),
            "{kind} {path}"
        );
    }
}

/// An autoscaler may set it; where none does, the plan compares it.
#[test]
fn the_number_of_pods_of_a_deployment_is_no_drift() {
    let stored = apply(None, &find("Deployment"), OURS);
    let scaled = update(&stored, "autoscaler", set("/spec/replicas", json!(9)));
    assert_eq!(stamp_of(&scaled), stamp_of(&stored));
}

#[test]
fn who_wrote_last_is_named() {
    let mut object = update(
        &apply(None, &find("Service"), OURS),
        "kubectl-edit",
        |object| {
            object["spec"]["selector"] = json!({ "app": "mine" });
        },
    );
    let entries = object["metadata"]["managedFields"].as_array_mut().unwrap();
    entries[1]["time"] = json!("2026-01-01T00:00:02Z");
    for (subresource, time) in [
        ("status", "2026-01-01T00:00:03Z"),
        ("scale", "2026-01-01T00:00:01Z"),
    ] {
        entries.push(json!({ "manager": subresource, "operation": "Update", "subresource": subresource, "time": time }));
    }
    assert_eq!(stamp_of(&object).drift.unwrap().by, "kubectl-edit");
}

#[test]
fn lost_lists_of_owners_are_drift_and_older_hashes_are_believed() {
    let mut object = apply(None, &find("Service"), OURS);
    let whole = object.clone();
    object["metadata"]["managedFields"] = json!([]);
    assert!(
        stamp_of(&object).drift.is_some(),
        "then nothing is known of it"
    );
    let mut tampered = whole.clone();
    tampered["metadata"]["annotations"][labels::HASH] = json!("0-0");
    assert!(stamp_of(&tampered).drift.is_some());
    let mut older = whole.clone();
    older["metadata"]["annotations"][labels::HASH] = json!("0123456789abcdef");
    let seen = stamp_of(&older);
    assert_eq!((seen.hash.as_str(), seen.drift), ("0123456789abcdef", None));
    let mut going = whole;
    going["spec"]["selector"] = json!({});
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(stamp_of(&going).drift, None, "it goes anyway");
}
