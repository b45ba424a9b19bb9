//! The rules of the API that are more than types: each is broken once and told with its remedy; and of the schema, that nothing in a spec is without bound or words.

use crm_operator::api::CrmPlatform;
use kube::CustomResourceExt;
use kube::core::cel::{validate_cel, validate_cel_update};
use serde_json::{Value, json};

use super::platforms;

type Break = fn(&mut Value);

fn sound() -> Value {
    serde_json::to_value(&platforms("manifests/samples/acme.yaml")[0]).unwrap()
}

fn broken(break_it: Break) -> CrmPlatform {
    let mut object = sound();
    break_it(&mut object);
    serde_json::from_value(object).unwrap()
}

/// What breaks a rule, and words of its message.
fn cases() -> Vec<(&'static str, Break)> {
    vec![
        ("exactly one of spec.exposure.gateway", |object| {
            object["spec"]["exposure"] = json!({ "hosts": ["a.example"] })
        }),
        ("set resources.requests.cpu", |object| {
            let service = &mut object["spec"]["services"][0];
            service["autoscaling"] = json!({ "minReplicas": 2, "maxReplicas": 5 });
            service["resources"]["requests"] = json!({});
        }),
        ("must not be greater than maxReplicas", |object| {
            object["spec"]["services"][0]["autoscaling"] =
                json!({ "minReplicas": 6, "maxReplicas": 5 })
        }),
        ("say where to", |object| {
            object["spec"]["services"][0]["egress"] = json!([{ "ports": [25] }])
        }),
        ("cidr stands for addresses", |object| {
            let from = json!({ "cidr": "10.0.0.0/8", "podLabels": {} });
            object["spec"]["network"] = json!({ "from": [from] });
        }),
        ("embedded.storage is a whole number", |object| {
            object["spec"]["database"] = json!({ "embedded": { "storage": "1 GB" } })
        }),
        ("backup.storage is a whole number", |object| {
            object["spec"]["database"]["backup"] = json!({ "storage": "0.5Gi" })
        }),
        ("spec.tests is empty", |object| {
            object["spec"]["tests"] = json!([])
        }),
        ("has when: [Gate]", |object| {
            for test in object["spec"]["tests"].as_array_mut().unwrap() {
                test["when"] = json!(["Verify"]);
            }
        }),
        ("spec.image is not set", |object| {
            object["spec"]["image"] = serde_json::Value::Null
        }),
        ("tests[].service must name a service", |object| {
            object["spec"]["tests"][0]["service"] = json!("marketing")
        }),
        ("a test of a service has that service's image", |object| {
            object["spec"]["tests"][0]["service"] = json!("customer");
            object["spec"]["tests"][0]["image"] = object["spec"]["image"].clone();
        }),
        ("dependsOn must name other services", |object| {
            object["spec"]["services"][1]["dependsOn"] = json!(["marketing"])
        }),
        (
            "exactly one of spec.database.embedded and spec.database.secret",
            |object| object["spec"]["database"]["secret"] = json!("acme-db"),
        ),
        ("this variable is set by the operator", |object| {
            object["spec"]["services"][0]["env"] = json!([{ "name": "PGHOST", "value": "x" }])
        }),
        ("steps belong to type Canary", |object| {
            object["spec"]["release"]["strategy"] =
                json!({ "type": "BlueGreen", "steps": [{ "weight": 25 }] })
        }),
        ("a Canary is tested in each step", |object| {
            object["spec"]["release"]["strategy"] =
                json!({ "type": "Canary", "steps": [{ "weight": 25 }] });
            object["spec"]["tests"][1]["when"] = json!(["Gate"]);
        }),
        ("which needs at least one", |object| {
            object["spec"]["release"]["strategy"] = json!({ "type": "Canary" })
        }),
        ("cannot be called green or preview", |object| {
            object["spec"]["services"][0]["name"] = json!("sales-green")
        }),
        ("not a version of three numbers", |object| {
            object["spec"]["image"] = json!("registry.example:5000/crm-service:latest");
            object["spec"]["imageUpdate"] = json!({ "semver": "1.x" })
        }),
        ("without a digest", |object| {
            object["spec"]["image"] = json!("registry.example/crm-service:1.0.0@sha256:aa");
            object["spec"]["imageUpdate"] = json!({ "semver": "1.x" })
        }),
        ("make it an entry of its own", |object| {
            object["spec"]["tests"][1]["when"] = json!(["Gate", "Performance"])
        }),
        ("maxRegressionPercent is the budget", |object| {
            object["spec"]["tests"][0]["maxRegressionPercent"] = json!(20)
        }),
        ("the name of a service begins with stable-", |object| {
            object["spec"]["services"][0]["name"] = json!("stable-customer");
            object["spec"]["services"][1]["dependsOn"] = json!([]);
            let speed = json!({ "name": "speed", "when": ["Performance"] });
            object["spec"]["tests"].as_array_mut().unwrap().push(speed);
        }),
        ("metadata.name must have at most 30 characters", |object| {
            object["metadata"]["name"] = json!("1acme")
        }),
        ("goes with spec.database.secret", |object| {
            object["spec"]["database"]["appSecret"] = json!("acme-app")
        }),
        ("restores the backup of each release", |object| {
            object["spec"]["database"]["rehearsal"] = json!({ "data": "Backup" })
        }),
        ("minTests counts the tests of a report", |object| {
            object["spec"]["tests"][1]["minTests"] = json!(3)
        }),
        ("cannot be called postgres", |object| {
            object["spec"]["services"][1]["name"] = json!("crm-postgres")
        }),
        ("a test has no image of its own", |object| {
            object["spec"]["image"] = Value::Null;
            for service in object["spec"]["services"].as_array_mut().unwrap() {
                service["image"] = json!("registry.example/crm-service:1.0.0");
            }
        }),
    ]
}

/// What may be so and may not become so.
fn changes() -> Vec<(&'static str, Break, Break)> {
    vec![
        (
            "volumes of a StatefulSet keep their size",
            |_| {},
            |object| object["spec"]["database"]["embedded"]["storage"] = json!("2Gi"),
        ),
        (
            "cannot change between embedded and secret",
            |_| {},
            |object| {
                let database = &mut object["spec"]["database"];
                database["embedded"] = Value::Null;
                database["secret"] = json!("acme-db");
            },
        ),
        (
            "cannot go from Delete to Retain",
            |object| object["spec"]["deletionPolicy"] = json!("Delete"),
            |object| object["spec"]["deletionPolicy"] = json!("Retain"),
        ),
    ]
}

#[test]
fn what_breaks_a_rule_is_refused_with_its_remedy() {
    for (message, break_it) in cases() {
        let errors = format!("{:?}", validate_cel(&broken(break_it)).expect_err(message));
        assert!(
            errors.contains(message),
            "{message:?} is not told: {errors}"
        );
    }
}

#[test]
fn what_may_not_become_so_is_refused_with_its_remedy() {
    for (message, before, after) in changes() {
        let (before, after) = (broken(before), broken(after));
        validate_cel(&after).unwrap_or_else(|errors| panic!("{message}: {errors:?}"));
        let errors = validate_cel_update(&after, &before).expect_err(message);
        let errors = format!("{errors:?}");
        assert!(
            errors.contains(message),
            "{message:?} is not told: {errors}"
        );
    }
}

/// The schema of the only version.
fn schema() -> Value {
    let definition = serde_json::to_value(CrmPlatform::crd()).unwrap();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// Calls `look` with each schema within one, and where it stands.
fn each(schema: &Value, place: &str, look: &mut impl FnMut(&str, &Value)) {
    look(place, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        each(property, &format!("{place}.{name}"), look);
    }
    for (key, name) in [("items", "[]"), ("additionalProperties", "{}")] {
        if schema[key].is_object() {
            each(&schema[key], &format!("{place}{name}"), look);
        }
    }
}

#[test]
fn every_rule_is_broken_once() {
    let mut told: Vec<_> = cases().into_iter().map(|(message, _)| message).collect();
    told.extend(changes().into_iter().map(|(message, ..)| message));
    let mut rules = 0;
    each(&schema(), "", &mut |place, schema| {
        let own = schema["x-kubernetes-validations"].as_array();
        for rule in own.into_iter().flatten() {
            let message = rule["message"].as_str().unwrap();
            let is_broken = told.iter().any(|words| message.contains(words));
            assert!(is_broken, "nothing breaks the rule of {place}: {message}");
            rules += 1;
        }
    });
    assert!(rules > 20, "only {rules} rules were found");
}

/// What `kubectl explain` says of a field; its elements are told of with it.
fn assert_explained(place: &str, schema: &Value) {
    let is_element = place.ends_with("[]") || place.ends_with("{}");
    assert!(
        is_element || schema["description"].is_string(),
        "kubectl explain says nothing of {place}"
    );
}

/// An unbounded field makes the cost of a rule unbounded, and a status larger than it may be.
#[test]
fn every_field_of_a_spec_has_a_bound_and_words() {
    let mut fields = 0;
    each(
        &schema()["properties"]["spec"],
        "spec",
        &mut |place, schema| {
            let has = |key: &str| !schema[key].is_null();
            let bound = match schema["type"].as_str() {
                Some("string") => has("maxLength") || has("enum"),
                Some("array") => has("maxItems"),
                Some("object") if has("additionalProperties") => has("maxProperties"),
                _ => true,
            };
            assert!(bound, "{place} has no bound: {schema}");
            assert_explained(place, schema);
            fields += 1;
        },
    );
    assert!(fields > 100, "only {fields} fields were found");
}

/// A person who may write a platform must not get by it what the cluster keeps from them: other namespaces, other accounts, the node.
#[test]
fn no_field_of_a_spec_reaches_beyond_the_namespace() {
    let forbidden = [
        "account",
        "host",
        "volume",
        "template",
        "privileged",
        "securitycontext",
        "node",
        "capabilities",
        "command",
        "namespace",
    ];
    // Names of the web, labels to be matched, and the namespace of a Gateway, which itself decides whom it takes.
    let known = [
        "spec.exposure.hosts",
        "spec.exposure.gateway.namespace",
        "spec.network.from[].namespaceLabels",
        "spec.network.database[].namespaceLabels",
        "spec.services[].egress[].namespaceLabels",
    ];
    each(&schema()["properties"]["spec"], "spec", &mut |place, _| {
        let name = place.rsplit('.').next().unwrap().to_lowercase();
        let name = name.trim_end_matches("[]").trim_end_matches("{}");
        let reaches = forbidden.iter().any(|word| name.contains(word));
        let place = place.trim_end_matches("[]").trim_end_matches("{}");
        assert!(!reaches || known.contains(&place), "{place}");
    });
}

#[test]
fn every_field_of_a_status_has_words() {
    let mut fields = 0;
    each(
        &schema()["properties"]["status"],
        "status",
        &mut |place, schema| {
            assert_explained(place, schema);
            fields += 1;
        },
    );
    assert!(fields > 100, "only {fields} fields were found");
}
