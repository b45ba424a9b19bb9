//! What stands around the pods: the whole as snapshots, and who may connect to whom by labels of the pods that are really made.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::desired::exposure::Way;

const AROUND: &str = "
image: registry.example/crm:1
services:
- name: customer
  autoscaling: {minReplicas: 2, maxReplicas: 10}
  egress:
  - {cidr: 203.0.113.7/32, ports: [587]}
  - {namespaceLabels: {kubernetes.io/metadata.name: search}, podLabels: {app: search}, ports: [9200]}
  resources: {requests: {cpu: 50m}}
  migrate: {args: [migrate]}
- {name: sales, port: 9090}
database: {embedded: {}}
network: {from: [{namespaceLabels: {kubernetes.io/metadata.name: monitoring}}, {cidr: 10.1.0.0/16}]}
exposure: {hosts: [crm.acme.example], gateway: {name: public, namespace: infra, sectionName: https}}
tests: [{name: smoke, when: [Gate, Verify], args: [test]}]
";

fn yaml<T: serde::Serialize>(objects: &[T]) -> String {
    let text: Vec<_> = objects
        .iter()
        .map(|object| serde_saphyr::to_string(object).unwrap())
        .collect();
    text.join("---\n")
}

fn ways(canary: Option<i32>) -> [Way; 2] {
    [("customer", 8080), ("sales", 9090)].map(|(service, port)| Way {
        service: service.into(),
        port,
        canary: canary.map(|share| (share, port)),
    })
}

fn scaling() -> [Value; 2] {
    let (platform, _) = platform(AROUND);
    let spec = &platform.autoscaling["customer"];
    [
        json!(scale::autoscaler(&platform, "customer", Slot::Green, spec)),
        json!(scale::budget(&platform, "sales")),
    ]
}

fn ways_in() -> [Value; 3] {
    let (gateway, _) = platform(AROUND);
    let exposure = gateway.exposure.clone().unwrap();
    let parent = exposure.gateway.as_ref().unwrap();
    let ingress = "ingress: {className: nginx, tlsSecret: acme-tls}";
    let by_ingress = "gateway: {name: public, namespace: infra, sectionName: https}";
    let (ingress, _) = platform(&AROUND.replace(by_ingress, ingress));
    let spec = ingress.exposure.clone().unwrap().ingress.unwrap();
    [
        json!(exposure::route(&gateway, parent, &ways(None))),
        json!(exposure::route(&gateway, parent, &ways(Some(15)))),
        json!(exposure::ingress(&ingress, &spec, &ways(None))),
    ]
}

/// All that is applied around the pods.
pub fn applied() -> Vec<Value> {
    let (platform, _) = platform(AROUND);
    let policies = network::policies(&platform).into_iter();
    let policies = policies.map(|policy| json!(policy));
    policies.chain(scaling()).chain(ways_in()).collect()
}

#[test]
fn who_scales_pods_and_how_many_may_be_gone() {
    insta::assert_snapshot!(yaml(&scaling()));
}

#[test]
fn the_way_in_by_a_gateway_and_by_an_ingress() {
    insta::assert_snapshot!(yaml(&ways_in()));
}

#[test]
fn every_network_policy_of_a_platform() {
    let (platform, _) = platform(AROUND);
    insta::assert_snapshot!(yaml(&network::policies(&platform)));
}

#[test]
fn a_database_elsewhere_is_reached_where_the_spec_says_it_is() {
    let elsewhere = AROUND.replace("{embedded: {}}", "{secret: db}");
    let egress = |spec: &str| {
        let (platform, _) = platform(spec);
        let policies = json!(network::policies(&platform));
        let mut all = policies.as_array().unwrap().clone();
        all.retain(|policy| policy["metadata"]["name"] == "acme-database-clients");
        all[0]["spec"]["egress"].clone()
    };
    let port = |port: i32| json!([{ "port": port, "protocol": "TCP" }]);
    assert_eq!(egress(&elsewhere), json!([{ "ports": port(5432) }]));
    let there = "network: {database: [{cidr: 10.2.0.9/32, ports: [6432]}], from: [";
    let to = json!([{ "ipBlock": { "cidr": "10.2.0.9/32" } }]);
    assert_eq!(
        egress(&elsewhere.replace("network: {from: [", there)),
        json!([{ "to": to, "ports": port(6432) }])
    );
}

#[test]
fn no_policies_where_the_spec_wants_none() {
    let (platform, _) = platform(&AROUND.replace("network: {", "network: {policies: None, "));
    assert!(network::policies(&platform).is_empty());
}

/// Labels of every kind of pod that a platform has.
fn pods(scope: Scope<'_>) -> BTreeMap<&'static str, Value> {
    let customer = &scope.release.services[0];
    let test = |stage, track| {
        json!(job::test(
            scope,
            &step(stage, "smoke"),
            &scope.release.tests[0],
            track
        ))
    };
    let objects = [
        (
            "live",
            json!(deployment::live(scope, customer, Slot::Green, None)),
        ),
        ("candidate", json!(deployment::candidate(scope, customer))),
        ("gate test", test(Stage::Gate, Track::Scratch)),
        ("canary test", test(Stage::Rollout, Track::Preview)),
        ("live test", test(Stage::Verify, Track::Live)),
        (
            "scratch database",
            json!(scratch::create(scope, &step(Stage::Rehearse, "scratch"))),
        ),
        (
            "seeding",
            json!(job::seed(
                scope,
                &step(Stage::Rehearse, "seed"),
                customer,
                &[]
            )),
        ),
        (
            "backfill of the copy",
            json!(job::migration(
                scope,
                &step(Stage::Gate, "backfill-on-the-copy-customer"),
                &job::Migration {
                    service: customer,
                    migration: customer.migrate.as_ref().unwrap(),
                    phase: "backfill",
                    track: Track::Beside,
                    soaked_seconds: 0,
                }
            )),
        ),
        (
            "live migration",
            json!(job::migration(
                scope,
                &step(Stage::Migrate, "expand-customer"),
                &job::Migration {
                    service: customer,
                    migration: customer.migrate.as_ref().unwrap(),
                    phase: "expand",
                    track: Track::Live,
                    soaked_seconds: 0,
                }
            )),
        ),
        ("dump", dump(scope)),
        ("restore", restore(scope)),
        (
            "database",
            json!(database::stateful_set(scope.platform, None)),
        ),
    ];
    objects
        .into_iter()
        .map(|(name, object)| {
            (
                name,
                object["spec"]["template"]["metadata"]["labels"].clone(),
            )
        })
        .collect()
}

fn dump(scope: Scope<'_>) -> Value {
    let spec = serde_json::from_value(json!({})).unwrap();
    let kept = backup::Kept {
        listed: &[],
        stable: None,
    };
    json!(backup::dump(
        scope,
        &step(Stage::Backup, "dump"),
        (&spec, &kept)
    ))
}

fn restore(scope: Scope<'_>) -> Value {
    let record =
        json!({ "id": "a", "release": ID, "at": "2026-01-01T00:00:00Z", "bytes": 1, "sha256": "" });
    let record = serde_json::from_value(record).unwrap();
    json!(backup::restore(
        scope,
        &step(Stage::Rehearse, "restore"),
        (&record, 60)
    ))
}

fn selects(selector: &Value, labels: &Value) -> bool {
    let all = selector["matchLabels"].as_object().into_iter().flatten();
    let mut all = all.map(|(key, value)| labels[key] == *value);
    let expressions = selector["matchExpressions"]
        .as_array()
        .into_iter()
        .flatten();
    let mut expressions = expressions.map(|expression| {
        let values = expression["values"].as_array().unwrap();
        let is_in = values.contains(&labels[expression["key"].as_str().unwrap()]);
        is_in == (expression["operator"] == "In")
    });
    all.all(|fits| fits) && expressions.all(|fits| fits)
}

/// Whether the policies let a pod connect to another at a port, by the rules of Kubernetes: of all policies that select a pod in a direction, one rule must fit.
fn may(policies: &Value, (from, to): (&Value, &Value), port: &Value) -> bool {
    let direction = |kind: &str, (rules, peers): (&str, &str), (own, other): (&Value, &Value)| {
        let all = policies.as_array().unwrap().iter();
        let mut selecting = all
            .map(|policy| &policy["spec"])
            .filter(|spec| {
                spec["policyTypes"]
                    .as_array()
                    .unwrap()
                    .contains(&json!(kind))
            })
            .filter(|spec| selects(&spec["podSelector"], own))
            .peekable();
        assert!(selecting.peek().is_some(), "nothing limits {own}");
        let rules = selecting.flat_map(|spec| spec[rules].as_array().into_iter().flatten());
        rules.into_iter().any(|rule| {
            let on_port = rule["ports"]
                .as_array()
                .is_none_or(|ports| ports.iter().any(|own| own["port"] == *port));
            let peers = rule[peers].as_array();
            let mut pods = peers.into_iter().flatten();
            on_port
                && (peers.is_none()
                    || pods.any(|peer| {
                        peer["namespaceSelector"].is_null()
                            && peer["podSelector"].is_object()
                            && selects(&peer["podSelector"], other)
                    }))
        })
    };
    direction("Egress", ("egress", "to"), (from, to))
        && direction("Ingress", ("ingress", "from"), (to, from))
}

#[test]
fn a_candidate_has_no_way_out_but_its_scratch_database_and_its_own() {
    let (platform, release) = platform(AROUND);
    let scope = Scope {
        platform: &platform,
        id: ID,
        release: &release,
    };
    let (pods, policies) = (pods(scope), json!(network::policies(&platform)));
    let (http, sql) = (json!("http"), json!(5432));
    let wanted: &[(&str, &str)] = &[
        ("live", "live"),
        ("canary test", "live"),
        ("live test", "live"),
        ("gate test", "candidate"),
        ("candidate", "candidate"),
    ];
    let rehearsal = [
        "scratch database",
        "seeding",
        "backfill of the copy",
        "restore",
        "dump",
    ];
    let database = ["live", "candidate", "live migration"];
    let database = [&database[..], &rehearsal].concat();
    for (from, own) in &pods {
        for (to, other) in pods
            .iter()
            .filter(|(to, _)| ["live", "candidate"].contains(to))
        {
            let may = may(&policies, (own, other), &http);
            // A Job of the rehearsal belongs to the candidate too, and so does that of its dump.
            let rehearses = rehearsal.contains(from) && *to == "candidate";
            assert_eq!(
                may,
                wanted.contains(&(from, to)) || rehearses,
                "{from} to {to}"
            );
        }
        let may = may(&policies, (own, &pods["database"]), &sql);
        assert_eq!(may, database.contains(from), "{from} to the database");
    }
}
