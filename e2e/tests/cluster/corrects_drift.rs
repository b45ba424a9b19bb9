//! Somebody changes or removes what the operator owns: each is back within 5 seconds and told; what others added stays.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::setting::Setting;

/// Within which drift is corrected.
const CORRECTED: Duration = Duration::from_secs(5);
const PODS: &str = "acme-customer";

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn corrects_drift() {
    let setting = Setting::new("corrects-drift");
    setting.installed(&setting.images.current, |_| {});
    let foreign = json!({ "metadata": { "labels": { "team": "sales" }, "annotations": { "example.com/owner": "ops" } } });
    edit(&setting, "deployment", &foreign);
    edit(&setting, "service", &foreign);

    let container = |change: Value| {
        let mut container = json!({ "name": "service" });
        container
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        json!({ "spec": { "template": { "spec": { "containers": [container] } } } })
    };
    let cases = [
        ("deployment", container(json!({ "args": ["sleep"] }))),
        (
            "deployment",
            container(json!({ "env": [{ "name": "CRM_SERVICE", "value": "mine" }] })),
        ),
        (
            "deployment",
            container(json!({ "image": "registry.example/mine:1" })),
        ),
        (
            "service",
            json!({ "spec": { "selector": { "crmplatform.io/service": "sales" } } }),
        ),
        (
            "service",
            json!({ "spec": { "ports": [{ "port": 8080, "targetPort": 1 }] } }),
        ),
    ];
    for (kind, change) in cases {
        let before = owned(&setting, kind);
        edit(&setting, kind, &change);
        back(&setting, kind, &before, &change.to_string());
    }
    let before = owned(&setting, "deployment");
    setting
        .platform
        .kubectl(&["scale", "deployment", PODS, "--replicas=0"])
        .unwrap();
    back(&setting, "deployment", &before, "a scale to none");
    let before = owned(&setting, "service");
    setting
        .platform
        .kubectl(&["delete", "service", PODS])
        .unwrap();
    back(&setting, "service", &before, "a removed Service");

    for field in ["labels/team", "annotations/example.com~1owner"] {
        let stored = get(&setting, "deployment").unwrap();
        let left = stored.pointer(&format!("/metadata/{field}"));
        assert!(left.is_some(), "{field} is left alone: {stored}");
    }
    told(&setting);
    at_rest(&setting);
}

fn edit(setting: &Setting, kind: &str, change: &Value) {
    let change = change.to_string();
    let arguments = [
        "patch",
        kind,
        PODS,
        "--type=strategic",
        "--field-manager=kubectl-edit",
        "--patch",
        &change,
    ];
    setting.platform.kubectl(&arguments).unwrap();
}

fn get(setting: &Setting, kind: &str) -> Option<Value> {
    let text = setting
        .platform
        .kubectl(&["get", kind, PODS, "--output=json"])
        .ok()?;
    serde_json::from_str(&text).ok()
}

/// The spec, without what the API server gives a Service anew.
fn owned(setting: &Setting, kind: &str) -> Value {
    let Some(mut object) = get(setting, kind) else {
        return Value::Null;
    };
    for given in ["clusterIP", "clusterIPs"] {
        object["spec"].as_object_mut().unwrap().remove(given);
    }
    object["spec"].take()
}

fn back(setting: &Setting, kind: &str, before: &Value, what: &str) {
    let changed = Instant::now();
    while owned(setting, kind) != *before {
        assert!(
            changed.elapsed() < CORRECTED,
            "{kind} {PODS} is not back after {what}: {} instead of {before}",
            owned(setting, kind)
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Each object is named once at least; the same one again within a minute is only counted.
fn told(setting: &Setting) {
    let wanted = [
        "Deployment/acme-customer was changed by others (field manager kubectl-edit",
        "Service/acme-customer was changed by others (field manager kubectl-edit",
    ];
    setting
        .platform
        .watch("the events of the corrections", 30, |_| {
            let events = setting.platform.kubectl(&[
                "get",
                "events",
                "--field-selector=reason=DriftCorrected",
                "--output=jsonpath={.items[*].message}",
            ])?;
            Ok(wanted.iter().all(|message| events.contains(message)))
        })
        .unwrap();
}

/// A correction is made once: nothing is written when nobody changes anything.
fn at_rest(setting: &Setting) {
    setting.platform.wait_ready(300).unwrap();
    let versions = || {
        ["deployment", "service"].map(|kind| {
            let object = get(setting, kind).unwrap();
            // The status of a Deployment has a version too.
            (
                object["metadata"]["generation"].clone(),
                object["metadata"]["managedFields"].clone(),
            )
        })
    };
    let before = versions();
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(versions(), before);
}
