//! Which connections pods may have: who may call live services, and what they may call.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which connections the pods of the platform may have beside those that it needs itself: live services with each other, with the database and with their tests;
/// a candidate with its scratch database, its own pods and its tests; names (DNS).
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct NetworkSpec {
    /// `Isolated` (when left out): NetworkPolicies forbid every other connection, where the cluster's network enforces them. `None`: no policies are made.
    #[serde(default)]
    pub policies: NetworkPolicies,
    /// Who may call live services from outside the platform, and nobody else: with `exposure` the proxies have to be named too. When it is left out: nobody,
    /// or, with `exposure`, everybody.
    #[serde(default)]
    #[schemars(length(max = 8))]
    pub from: Vec<PeerSpec>,
    /// Where a database of `database.secret` is. When it is left out: anywhere, at port 5432. It counts at once, not with the next release: while a release moves to
    /// another server, name both.
    #[serde(default)]
    #[schemars(length(max = 4))]
    pub database: Vec<EgressSpec>,
}

/// Whether connections are limited.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NetworkPolicies {
    /// To what is needed.
    #[default]
    Isolated,
    /// Not by this operator.
    None,
}

/// The other end of connections: addresses, or pods by labels. All fields left out: all pods of this namespace.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.cidr) || (!has(self.namespaceLabels) && !has(self.podLabels))").message("cidr stands for addresses, labels for pods: set one or the other")
)]
pub struct PeerSpec {
    /// Addresses outside of the pods' network, such as `10.1.0.0/16`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 43), regex(pattern = "^[0-9a-fA-F.:]+/[0-9]{1,3}$"))]
    pub cidr: Option<String>,
    /// Labels of the namespaces of those pods, such as `{kubernetes.io/metadata.name: ingress-nginx}`; `{}` stands for all. When left out, this namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 4, "additionalProperties" = label()))]
    pub namespace_labels: Option<BTreeMap<String, String>>,
    /// Labels of those pods; all of the namespaces when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 4, "additionalProperties" = label()))]
    pub pod_labels: Option<BTreeMap<String, String>>,
}

/// Where connections may go.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.cidr) || (!has(self.namespaceLabels) && !has(self.podLabels))").message("cidr stands for addresses, labels for pods: set one or the other"),
    validation = Rule::new("has(self.cidr) || has(self.namespaceLabels) || has(self.podLabels)").message("say where to: set cidr (0.0.0.0/0 is every address), or namespaceLabels or podLabels")
)]
pub struct EgressSpec {
    /// Addresses outside of the pods' network, such as `203.0.113.7/32`; `0.0.0.0/0` is all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 43), regex(pattern = "^[0-9a-fA-F.:]+/[0-9]{1,3}$"))]
    pub cidr: Option<String>,
    /// Labels of the namespaces of the pods that may be called; `{}` stands for all. When left out, this namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 4, "additionalProperties" = label()))]
    pub namespace_labels: Option<BTreeMap<String, String>>,
    /// Labels of the pods that may be called; all of the namespaces when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 4, "additionalProperties" = label()))]
    pub pod_labels: Option<BTreeMap<String, String>>,
    /// TCP ports, at least one.
    #[schemars(length(min = 1, max = 16), inner(range(min = 1, max = 65535)))]
    pub ports: Vec<i32>,
}

impl EgressSpec {
    /// The other end.
    pub fn peer(&self) -> PeerSpec {
        PeerSpec {
            cidr: self.cidr.clone(),
            namespace_labels: self.namespace_labels.clone(),
            pod_labels: self.pod_labels.clone(),
        }
    }
}

/// The value of a label.
fn label() -> serde_json::Value {
    serde_json::json!({ "type": "string", "maxLength": 63, "pattern": "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$" })
}
