//! The chart's values as types: the source of `values.schema.json`. Anything that is not here is refused by helm.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

/// Values of the chart crm-operator.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Values {
    /// The operator's image.
    pub image: Image,
    /// Names of Secrets in the release's namespace that let the operator's own image be pulled.
    image_pull_secrets: Vec<String>,
    /// Pods of the operator: one leads, the others stand by.
    #[schemars(range(min = 0, max = 5))]
    replicas: i32,
    /// Image with PostgreSQL's server and client programs, for embedded databases and for scratch databases.
    #[schemars(length(min = 1))]
    postgres_image: String,
    /// Registries that speak plain http, each as host:port.
    #[schemars(inner(length(min = 1)))]
    insecure_registries: Vec<String>,
    /// Which images a platform may use.
    image_policy: ImagePolicy,
    /// Price table for the cost of releases.
    prices: Prices,
    /// Form of log lines.
    log_format: LogFormat,
    /// Which log lines are written.
    #[schemars(length(min = 1))]
    log: String,
    /// Requests and limits of the operator.
    resources: Resources,
    /// The CustomResourceDefinition.
    crds: Crds,
    /// Set by helm for subcharts.
    #[serde(default)]
    global: BTreeMap<String, serde_json::Value>,
}

/// An image.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Image {
    /// Repository.
    #[schemars(length(min = 1))]
    repository: String,
    /// Tag; empty: the chart's appVersion.
    pub tag: String,
    /// Digest; takes the place of the tag.
    #[schemars(regex(pattern = "^(sha256:[0-9a-f]{64})?$"))]
    digest: String,
    /// When the image is pulled.
    pull_policy: PullPolicy,
}

#[derive(Deserialize, JsonSchema)]
enum PullPolicy {
    Always,
    IfNotPresent,
    Never,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ImagePolicy {
    /// Registries, or repositories and what lies below them; empty: images may come from anywhere.
    #[schemars(inner(length(min = 1), regex(pattern = "^[^,]+$")))]
    allowed_registries: Vec<String>,
    /// Whether each image must be named by digest.
    require_digest: bool,
    /// Public keys in PEM, one of which must have signed each image; empty: no signature is asked for.
    #[schemars(regex(pattern = "^\\s*$|-----BEGIN PUBLIC KEY-----"))]
    signature_key: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Prices {
    /// One core for an hour.
    #[schemars(range(min = 0))]
    cpu_hour: f64,
    /// One GiB of memory for an hour.
    #[schemars(range(min = 0))]
    memory_gib_hour: f64,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum LogFormat {
    Json,
    Text,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Resources {
    /// What the scheduler sets aside.
    #[serde(default)]
    requests: BTreeMap<String, Quantity>,
    /// What the operator may use at most.
    #[serde(default)]
    limits: BTreeMap<String, Quantity>,
}

/// A Kubernetes quantity.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Quantity {
    /// Such as 64Mi.
    Text(String),
    /// A plain number.
    Number(f64),
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Crds {
    /// Whether the chart installs and upgrades it.
    install: bool,
}
