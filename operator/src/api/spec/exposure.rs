//! How a platform is reached from outside, and how many pods it has by itself.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// How the platform is reached from outside: `/api/<service>/` of each host leads to each live Service, with the whole path unchanged. Exactly one of `gateway`
/// and `ingress`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.gateway) != has(self.ingress)").message("set exactly one of spec.exposure.gateway and spec.exposure.ingress")
)]
pub struct ExposureSpec {
    /// Host names, at least one; the first label may be `*`.
    #[schemars(
        length(min = 1, max = 16),
        inner(
            length(min = 1, max = 253),
            regex(
                pattern = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
            )
        )
    )]
    pub hosts: Vec<String>,
    /// By an HTTPRoute `<platform>` of the Gateway API. A Canary then gets its weight by this route: exactly that share of the requests that come by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewaySpec>,
    /// By an Ingress `<platform>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress: Option<IngressSpec>,
}

/// A Gateway, whose own `allowedRoutes` decide whether it takes the route.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct GatewaySpec {
    /// Its name.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
    /// Its namespace, if not that of the platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub namespace: Option<String>,
    /// One of its listeners; all of them when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")
    )]
    pub section_name: Option<String>,
}

/// An Ingress. Annotations that other field managers put on it stay.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct IngressSpec {
    /// Its class; the cluster's default when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")
    )]
    pub class_name: Option<String>,
    /// Secret of this namespace with the certificate of all hosts (`tls.crt`, `tls.key`); without it the Ingress asks for no TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")
    )]
    pub tls_secret: Option<String>,
}

/// How many pods a service has by its load. While it is set, `replicas` counts for nothing.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.minReplicas <= self.maxReplicas").message("autoscaling.minReplicas must not be greater than maxReplicas")
)]
pub struct AutoscalingSpec {
    /// Fewest pods.
    #[schemars(range(min = 1, max = 100))]
    pub min_replicas: i32,
    /// Most pods.
    #[schemars(range(min = 1, max = 100))]
    pub max_replicas: i32,
    /// Average use of CPU of the service's containers to aim at, in percent of what they request; 70 when left out.
    #[serde(default = "default_cpu_percent")]
    #[schemars(range(min = 1, max = 500))]
    pub cpu_percent: i32,
}

fn default_cpu_percent() -> i32 {
    70
}
