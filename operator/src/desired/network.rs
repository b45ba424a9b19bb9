//! NetworkPolicies: no connection for any pod of a platform, and then those that are needed. Nothing in a policy depends on a release.
//!
//! Pods are told apart by labels: live ones (`track=stable`), those of a candidate (`track=candidate`), Jobs by their stage. Tests of the stages Rollout and Verify meet
//! live pods, all others of a candidate only each other. Probes of the kubelet are let through by the cluster's network itself.

use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde_json::{Map, Value, json};

use super::{hashed, labels, names, object};
use crate::api::spec::{EgressSpec, NetworkPolicies, PeerSpec};
use crate::api::status::Stage;
use crate::platform::Platform;

const COMPONENT: &str = "app.kubernetes.io/component";

/// All policies of a platform; none where the spec wants none. The one that forbids everything comes last, so that pods that are there already keep their connections.
pub fn policies(platform: &Platform) -> Vec<NetworkPolicy> {
    if platform.network.policies == NetworkPolicies::None {
        return Vec::new();
    }
    let mut all = vec![
        database_clients(platform),
        live(platform),
        live_tests(platform),
        candidate(platform),
    ];
    if platform.embedded_storage.is_some() {
        all.push(embedded_database(platform));
    }
    let egress = platform.egress.iter();
    all.extend(egress.map(|(service, to)| calls(platform, service, to)));
    all.push(nothing(platform));
    all
}

/// Nothing but names.
fn nothing(platform: &Platform) -> NetworkPolicy {
    // 5353 is what the DNS of OpenShift listens on, 169.254.20.10 the cache that many clusters run on each node.
    let ports = [53, 5353].map(|port| ["UDP", "TCP"].map(|protocol| on(port, protocol)));
    let names = json!({
        "to": [{ "namespaceSelector": {} }, { "ipBlock": { "cidr": "169.254.20.10/32" } }],
        "ports": ports.concat()
    });
    let pods = json!({ "matchLabels": { labels::PLATFORM: platform.name } });
    let rules = json!({ "ingress": [], "egress": [names] });
    policy(
        platform,
        names::policy(&platform.name, "isolated"),
        pods,
        rules,
    )
}

/// Whoever is no test may call the database.
fn database_clients(platform: &Platform) -> NetworkPolicy {
    let servers = &platform.network.database;
    let egress = match platform.embedded_storage {
        Some(_) => json!([{ "to": [pods(embedded(platform))], "ports": [on(5432, "TCP")] }]),
        None if servers.is_empty() => json!([{ "ports": [on(5432, "TCP")] }]),
        None => json!(servers.iter().map(call).collect::<Vec<_>>()),
    };
    let name = names::policy(&platform.name, "database-clients");
    policy(
        platform,
        name,
        clients(platform),
        json!({ "egress": egress }),
    )
}

fn embedded_database(platform: &Platform) -> NetworkPolicy {
    let ingress = json!([{ "from": [pods(clients(platform))], "ports": [on(5432, "TCP")] }]);
    let name = names::policy(&platform.name, "database");
    policy(
        platform,
        name,
        embedded(platform),
        json!({ "ingress": ingress }),
    )
}

/// Live pods: with each other, with tests of what is live, and with those who may call them from outside.
fn live(platform: &Platform) -> NetworkPolicy {
    let mut ingress = vec![json!({ "from": [pods(live_pods(platform)), pods(testers(platform))] })];
    let outside = &platform.network.from;
    // Where the proxies of an exposure run is not known: many use the network of their node.
    if platform.exposure.is_some() || !outside.is_empty() {
        let mut rule = json!({ "ports": [{ "port": "http", "protocol": "TCP" }] });
        if !outside.is_empty() {
            rule["from"] = json!(outside.iter().map(peer).collect::<Vec<_>>());
        }
        ingress.push(rule);
    }
    let rules = json!({ "ingress": ingress, "egress": [{ "to": [pods(live_pods(platform))] }] });
    let name = names::policy(&platform.name, "live");
    policy(platform, name, live_pods(platform), rules)
}

fn live_tests(platform: &Platform) -> NetworkPolicy {
    let rules = json!({ "egress": [{ "to": [pods(live_pods(platform))] }] });
    let name = names::policy(&platform.name, "live-tests");
    policy(platform, name, testers(platform), rules)
}

/// What belongs to a candidate: only each other.
fn candidate(platform: &Platform) -> NetworkPolicy {
    let all = json!({
        "matchLabels": { labels::PLATFORM: platform.name },
        "matchExpressions": [{ "key": labels::TRACK, "operator": "In", "values": labels::TRIED }, { "key": labels::STAGE, "operator": "NotIn", "values": [Stage::Rollout.name(), Stage::Verify.name()] }]
    });
    let each_other = pods(all.clone());
    let rules =
        json!({ "ingress": [{ "from": [each_other] }], "egress": [{ "to": [each_other] }] });
    let name = names::policy(&platform.name, "candidate");
    policy(platform, name, all, rules)
}

/// What live pods of a service may call beside that.
fn calls(platform: &Platform, service: &str, to: &[EgressSpec]) -> NetworkPolicy {
    let mut from = live_pods(platform);
    from["matchLabels"][labels::SERVICE] = json!(service);
    let rules = json!({ "egress": to.iter().map(call).collect::<Vec<_>>() });
    policy(
        platform,
        names::egress_policy(&platform.name, service),
        from,
        rules,
    )
}

fn live_pods(platform: &Platform) -> Value {
    json!({ "matchLabels": { labels::PLATFORM: platform.name, labels::TRACK: labels::STABLE } })
}

/// Tests of what is live.
fn testers(platform: &Platform) -> Value {
    stages(platform, "In", &[Stage::Rollout, Stage::Verify])
}

/// Everything but tests, and the database itself.
fn clients(platform: &Platform) -> Value {
    let tests = [Stage::Gate, Stage::Rollout, Stage::Verify];
    let mut all = stages(platform, "NotIn", &tests);
    if let Some(expressions) = all["matchExpressions"].as_array_mut() {
        expressions.push(json!({ "key": COMPONENT, "operator": "NotIn", "values": ["postgres"] }));
    }
    all
}

fn stages(platform: &Platform, operator: &str, stages: &[Stage]) -> Value {
    let names: Vec<_> = stages.iter().map(|stage| stage.name()).collect();
    json!({
        "matchLabels": { labels::PLATFORM: platform.name },
        "matchExpressions": [{ "key": labels::STAGE, "operator": operator, "values": names }]
    })
}

fn embedded(platform: &Platform) -> Value {
    json!({ "matchLabels": { labels::PLATFORM: platform.name, COMPONENT: "postgres" } })
}

/// Pods of this namespace as the other end.
fn pods(selector: Value) -> Value {
    Value::Object(Map::from_iter([("podSelector".to_owned(), selector)]))
}

fn call(egress: &EgressSpec) -> Value {
    let ports: Vec<_> = egress.ports.iter().map(|port| on(*port, "TCP")).collect();
    json!({ "to": [peer(&egress.peer())], "ports": ports })
}

fn peer(spec: &PeerSpec) -> Value {
    if let Some(cidr) = &spec.cidr {
        return json!({ "ipBlock": { "cidr": cidr } });
    }
    let mut peer = Map::new();
    if let Some(labels) = &spec.namespace_labels {
        peer.insert(
            "namespaceSelector".to_owned(),
            json!({ "matchLabels": labels }),
        );
    }
    if spec.pod_labels.is_some() || peer.is_empty() {
        let labels = spec.pod_labels.clone().unwrap_or_default();
        peer.insert("podSelector".to_owned(), json!({ "matchLabels": labels }));
    }
    Value::Object(peer)
}

fn on(port: i32, protocol: &str) -> Value {
    json!({ "port": port, "protocol": protocol })
}

/// A policy of the directions that it has rules for.
fn policy(platform: &Platform, name: String, pods: Value, mut rules: Value) -> NetworkPolicy {
    let mut literal = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": { "name": name, "namespace": platform.namespace, "labels": labels::platform(&platform.name), "ownerReferences": [platform.owner] }
    });
    let mut types = Vec::new();
    for (key, direction) in [("ingress", "Ingress"), ("egress", "Egress")] {
        if let Some(rules) = rules.get_mut(key) {
            literal["spec"][key] = rules.take();
            types.push(direction);
        }
    }
    literal["spec"]["podSelector"] = pods;
    literal["spec"]["policyTypes"] = json!(types);
    object(hashed(literal))
}
