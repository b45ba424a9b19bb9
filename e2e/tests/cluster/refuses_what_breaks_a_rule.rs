//! The API server takes the definition without a warning, refuses what breaks a rule and says what to do; nothing comes of it.

use e2e::scenario::Platform;
use serde_json::{Value, json};

use crate::setting::Setting;

type Break = fn(&mut Value);

/// What is refused, and words of why. All rules are broken once in `operator/tests/generated/rules.rs`, without a cluster.
const REFUSED: [(&str, Break); 7] = [
    ("add a test with when: [Gate]", |object| {
        object["spec"]["tests"] = json!([])
    }),
    ("goes with spec.database.secret", |object| {
        object["spec"]["database"]["appSecret"] = json!("app")
    }),
    ("this variable is set by the operator", |object| {
        object["spec"]["services"][0]["env"] = json!([{ "name": "PGHOST", "value": "elsewhere" }])
    }),
    ("dependsOn must name other services", |object| {
        object["spec"]["services"][1]["dependsOn"] = json!(["marketing"])
    }),
    ("should be less than or equal to", |object| {
        object["spec"]["services"][0]["replicas"] = json!(100_000)
    }),
    ("serviceAccountName", |object| {
        object["spec"]["serviceAccountName"] = json!("admin")
    }),
    ("metadata.name must have at most 30 characters", |object| {
        object["metadata"]["name"] = json!("a-name-of-more-than-thirty-letters")
    }),
];

/// What an object that is there may not become.
const KEPT: [(&str, Break); 2] = [
    ("volumes of a StatefulSet keep their size", |object| {
        object["spec"]["database"]["embedded"]["storage"] = json!("2Gi")
    }),
    ("cannot go from Delete to Retain", |object| {
        object["spec"]["deletionPolicy"] = json!("Retain")
    }),
];

fn assert_refused(platform: &Platform, object: &Value, (words, break_it): (&str, Break)) {
    let mut broken = object.clone();
    break_it(&mut broken);
    match platform.apply(&broken) {
        Ok(said) => panic!("{words}: it was taken: {said}"),
        Err(error) => assert!(error.to_string().contains(words), "{words}: {error:#}"),
    }
}

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn refuses_what_breaks_a_rule() {
    let setting = Setting::new("rules");
    let platform = &setting.platform;
    platform.try_definition().unwrap();
    // Paused, and of an image that is nowhere: nothing begins.
    let mut object = platform.sample("registry.invalid/crm:1").unwrap();
    object["spec"]["paused"] = json!(true);
    object["spec"]["deletionPolicy"] = json!("Delete");
    for case in REFUSED {
        assert_refused(platform, &object, case);
    }
    let all = platform.kubectl(&["get", "crmplatforms", "--output=name"]);
    assert_eq!(all.unwrap(), "", "nothing of it is there");
    platform.apply(&object).unwrap();
    for case in KEPT {
        assert_refused(platform, &object, case);
    }
}
