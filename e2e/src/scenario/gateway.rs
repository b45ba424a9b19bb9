//! A Gateway of the Gateway API for one platform: the definitions, Contour and Envoy in the platform's namespace, and what Envoy counted.
//! Definitions that somebody else has brought stay as they are.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use super::{CALL, Platform};
use crate::{Cluster, command, images, paths, tools};

/// What the definitions and rights of this module carry.
const OURS: &str = "crmplatform.io/e2e=gateway";
/// Groups of the API, the module that has their definitions, and the files.
const DEFINITIONS: [(&str, &str, &[&str]); 2] = [
    (
        "gateway.networking.k8s.io",
        "sigs.k8s.io/gateway-api",
        &[
            "config/crd/standard/gateway.networking.k8s.io_gatewayclasses.yaml",
            "config/crd/standard/gateway.networking.k8s.io_gateways.yaml",
            "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",
            "config/crd/standard/gateway.networking.k8s.io_referencegrants.yaml",
        ],
    ),
    (
        "projectcontour.io",
        "github.com/projectcontour/contour",
        &["examples/contour/01-crds.yaml"],
    ),
];

/// A Gateway called `public` that serves.
pub struct Gateway<'p> {
    platform: &'p Platform,
}

impl<'p> Gateway<'p> {
    /// Takes away what one has left in the cluster, the definitions that it brought among it.
    ///
    /// # Errors
    /// When kubectl fails.
    pub fn remove(cluster: &Cluster) -> Result<()> {
        let class = if Self::is_known(cluster)? {
            "gatewayclasses,"
        } else {
            ""
        };
        let kinds = &format!("{class}customresourcedefinitions,clusterroles,clusterrolebindings");
        let mut kubectl = cluster.kubectl(CALL);
        kubectl.args(["delete", kinds, "--selector", OURS, "--timeout=50s"]);
        command::output(&mut kubectl)?;
        Ok(())
    }

    /// Whether the API server knows the Gateway API.
    ///
    /// # Errors
    /// When kubectl fails.
    pub fn is_known(cluster: &Cluster) -> Result<bool> {
        is_served(cluster, DEFINITIONS[0].0)
    }

    /// Brings the Gateway API and a Gateway; returns when Envoy answers.
    ///
    /// # Errors
    /// When the image cannot be made, or its pod does not get ready.
    pub fn install(platform: &'p Platform) -> Result<Self> {
        let cluster = &platform.cluster;
        images::gateway::ensure(cluster)?;
        for (group, module, files) in DEFINITIONS {
            if !is_served(cluster, group)? {
                define(cluster, module, files)?;
            }
        }
        let manifest = std::fs::read_to_string(paths::checkout().join("e2e/config/gateway.yaml"))?;
        let manifest = manifest
            .replace("@NAMESPACE@", &platform.namespace)
            .replace("@REGISTRY@", &cluster.registry);
        let mut kubectl = cluster.kubectl(CALL);
        kubectl.args(["apply", "--server-side", "--force-conflicts"]);
        command::output_with_input(kubectl.args(["--filename", "-"]), &manifest)?;
        let mut kubectl = cluster.kubectl(130);
        kubectl.args(["--namespace", &platform.namespace, "rollout", "status"]);
        command::output(kubectl.args(["deployment/gateway", "--timeout=120s"]))?;
        Ok(Self { platform })
    }

    /// Waits until the Gateway has taken the platform's route.
    ///
    /// # Errors
    /// When it has not within a minute.
    pub fn accepts(&self) -> Result<()> {
        let accepted =
            r#"--for=jsonpath={.status.parents[0].conditions[?(@.type=="Accepted")].status}=True"#;
        let route = format!("httproute/{}", self.platform.name);
        self.platform
            .kubectl(&["wait", accepted, &route, "--timeout=50s"])?;
        Ok(())
    }

    /// Its name for clients in the cluster, for which a route has to be made.
    pub fn host(platform: &Platform) -> String {
        format!("gateway.{}.svc", platform.namespace)
    }

    /// What Envoy's log says of requests that were answered with one of the 500s, with the flags that tell why.
    ///
    /// # Errors
    /// When kubectl fails.
    pub fn refusals(&self) -> Result<String> {
        let log = [
            "logs",
            "deployment/gateway",
            "--container=envoy",
            "--tail=-1",
        ];
        let log = self.platform.kubectl(&log)?;
        let failed = |line: &&str| line.split_once("HTTP/1.1\" 5").is_some();
        let lines: Vec<_> = log.lines().filter(failed).collect();
        Ok(lines.join("\n"))
    }

    /// How many requests Envoy has sent to each Service of the namespace.
    ///
    /// # Errors
    /// When Envoy does not say.
    pub fn requests(&self) -> Result<BTreeMap<String, u64>> {
        let namespace = &self.platform.namespace;
        let pods = self.platform.list("pods", "app=gateway")?;
        let mut all = BTreeMap::new();
        for pod in &pods {
            let pod = pod["metadata"]["name"].as_str().unwrap_or_default();
            let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:8002/proxy/stats");
            let stats = self.platform.kubectl(&["get", "--raw", &path])?;
            for (service, count) in stats.lines().filter_map(|line| counted(line, namespace)) {
                *all.entry(service.to_owned()).or_default() += count;
            }
        }
        ensure!(!all.is_empty(), "Envoy counted no requests to any Service");
        Ok(all)
    }
}

fn is_served(cluster: &Cluster, group: &str) -> Result<bool> {
    let mut kubectl = cluster.kubectl(CALL);
    kubectl.args(["api-resources", "--output=name", "--api-group", group]);
    Ok(!command::output(&mut kubectl)?.trim().is_empty())
}

fn define(cluster: &Cluster, module: &str, files: &[&str]) -> Result<()> {
    let folder = tools::sources(module)?;
    let files = files.iter().map(|file| folder.join(file));
    let files: Vec<_> = files
        .flat_map(|file| ["--filename".into(), file.into_os_string()])
        .collect();
    let run = |verb: &[&str], options: &[&str]| {
        let mut kubectl = cluster.kubectl(CALL);
        command::output(kubectl.args(verb).args(&files).args(options))
    };
    run(&["apply", "--server-side"], &[])?;
    run(&["label", "--overwrite"], &[OURS])?;
    run(&["wait", "--for=condition=Established"], &["--timeout=50s"])?;
    Ok(())
}

/// The Service and the count of a line such as `cluster.e2e-acme_acme-customer_8080.upstream_rq_total: 12`.
fn counted<'l>(line: &'l str, namespace: &str) -> Option<(&'l str, u64)> {
    let (name, count) = line.split_once(": ")?;
    let name = name.strip_prefix("cluster.")?;
    let name = name.strip_suffix(".upstream_rq_total")?;
    let name = name.strip_prefix(namespace)?.strip_prefix('_')?;
    let (service, _) = name.rsplit_once('_')?;
    Some((service, count.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_envoys_counters_names_the_service() {
        let line = "cluster.e2e-a_acme-customer-preview_8080.upstream_rq_total: 12";
        assert_eq!(counted(line, "e2e-a"), Some(("acme-customer-preview", 12)));
        assert_eq!(counted(line, "e2e-b"), None);
        assert_eq!(
            counted("cluster.e2e-a_x_80.upstream_rq_200: 1", "e2e-a"),
            None
        );
    }
}
