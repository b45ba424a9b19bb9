//! What stands around the pods: an autoscaler whose number of pods survives a release, disruption budgets, network policies and an Ingress.
//!
//! The network of the local node does not enforce NetworkPolicies, so that this shows only that the API server takes them and that they are there. Whom they let through
//! is shown by `operator/src/desired/tests/around.rs`.

use e2e::scenario::{self, Platform};
use serde_json::{Value, json};

use crate::setting::{RELEASE, Setting};

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn exposes_and_scales() {
    let setting = Setting::new("exposes");
    let platform = &setting.platform;
    setting.installed(&setting.images.previous, |object| {
        let spec = &mut object["spec"];
        spec["services"][0]["autoscaling"] = json!({ "minReplicas": 2, "maxReplicas": 5 });
        spec["services"][0]["egress"] = json!([{ "cidr": "203.0.113.7/32", "ports": [587] }]);
        spec["exposure"] =
            json!({ "hosts": ["crm.acme.example"], "ingress": { "className": "none" } });
    });
    everything_is_there(platform);

    // Nothing measures CPU here, so a person stands in for the autoscaler, by the same subresource.
    platform
        .kubectl(&["scale", "deployment", "acme-customer", "--replicas=3"])
        .unwrap();
    platform
        .patch(&json!({ "image": setting.images.current }))
        .unwrap();
    let after = platform.wait_ready(RELEASE).unwrap();
    let images = after["status"]["stable"]["images"].to_string();
    let deployment = object(platform, "deployment", "acme-customer");
    let image = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
    assert!(images.contains(image.as_str().unwrap()), "{images}");
    assert_eq!(
        deployment["spec"]["replicas"], 3,
        "a release keeps its pods"
    );
    let managers = deployment["metadata"]["managedFields"].as_array().unwrap();
    let own = managers
        .iter()
        .find(|one| one["manager"] == "crm-operator/acme");
    let own = &own.unwrap()["fieldsV1"]["f:spec"];
    assert!(
        own["f:template"].is_object() && own["f:replicas"].is_null(),
        "{own}"
    );

    without_exposure(platform);
    without_autoscaling(platform);
}

fn everything_is_there(platform: &Platform) {
    let scaler = object(platform, "horizontalpodautoscaler", "acme-customer");
    assert_eq!(scaler["spec"]["scaleTargetRef"]["name"], "acme-customer");
    assert_eq!(scaler["spec"]["maxReplicas"], 5);
    for name in ["acme-customer", "acme-sales"] {
        let budget = object(platform, "poddisruptionbudget", name);
        assert_eq!(budget["spec"]["maxUnavailable"], 1);
    }
    let policies = platform
        .list("networkpolicies", "crmplatform.io/platform=acme")
        .unwrap();
    let mut names: Vec<_> = policies
        .iter()
        .filter_map(|policy| policy["metadata"]["name"].as_str())
        .collect();
    names.sort_unstable();
    let wanted = [
        "acme-candidate",
        "acme-customer-egress",
        "acme-database",
        "acme-database-clients",
        "acme-isolated",
        "acme-live",
        "acme-live-tests",
    ];
    assert_eq!(names, wanted);
    let ingress = object(platform, "ingress", "acme");
    let paths = ingress["spec"]["rules"][0]["http"]["paths"]
        .as_array()
        .unwrap();
    let paths: Vec<_> = paths.iter().map(|path| &path["path"]).collect();
    assert_eq!(paths, ["/api/customer", "/api/sales"]);
    let now = platform.get().unwrap();
    assert_eq!(scenario::reason(&now, "Exposed"), "RoutesMade");
}

/// Nothing asks for it any more.
fn without_exposure(platform: &Platform) {
    platform.patch(&json!({ "exposure": null })).unwrap();
    platform
        .watch("the Ingress to go", 30, |_| {
            Ok(platform
                .list("ingresses", "crmplatform.io/platform=acme")?
                .is_empty())
        })
        .unwrap();
}

/// Without autoscaling the spec says how many pods there are, at once.
fn without_autoscaling(platform: &Platform) {
    let mut services = platform.get().unwrap()["spec"]["services"].clone();
    services[0].as_object_mut().unwrap().remove("autoscaling");
    platform.patch(&json!({ "services": services })).unwrap();
    platform
        .watch("the autoscaler to go and two pods to be left", 60, |_| {
            let scalers =
                platform.list("horizontalpodautoscalers", "crmplatform.io/platform=acme")?;
            let replicas = &object(platform, "deployment", "acme-customer")["spec"]["replicas"];
            Ok(scalers.is_empty() && replicas == 2)
        })
        .unwrap();
}

fn object(platform: &Platform, kind: &str, name: &str) -> Value {
    let text = platform.kubectl(&["get", kind, name, "--show-managed-fields", "--output=json"]);
    serde_json::from_str(&text.unwrap()).unwrap()
}
