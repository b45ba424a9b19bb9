//! A cluster by kind, for machines with Docker. Thin on purpose: continuous integration does not exercise it. The registry is a container on kind's network, which a Linux host reaches by its address.

use anyhow::{Context, Result};

use crate::cluster::{Cluster, Origin};
use crate::{command, packages, paths, progress, tools};

const NAME: &str = "crm-e2e";
const REGISTRY: &str = "crm-e2e-registry";
const NODE: &str = "crm-e2e-control-plane";
const CONFIG: &str = "kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
containerdConfigPatches:
- |-
  [plugins.\"io.containerd.grpc.v1.cri\".registry]
    config_path = \"/etc/containerd/certs.d\"
";

/// Why this machine cannot run it, if it cannot.
pub fn obstacle() -> Option<&'static str> {
    if !packages::on_path("kind") {
        Some("kind is not installed")
    } else if !packages::on_path("docker") {
        Some("Docker is not installed")
    } else if docker(&["info"]).is_err() {
        Some("Docker does not answer")
    } else {
        None
    }
}

/// Makes the cluster and its registry unless they are there.
pub fn up() -> Result<Cluster> {
    tools::ensure(tools::Set::Clients)?;
    let kubeconfig = paths::state("kubeconfig");
    let clusters = command::output(command::within(30, "kind").args(["get", "clusters"]))?;
    if !clusters.lines().any(|name| name == NAME) {
        progress::step("making a cluster by kind", || {
            let mut kind = command::within(600, "kind");
            kind.args([
                "create",
                "cluster",
                "--name",
                NAME,
                "--wait",
                "120s",
                "--config",
                "-",
                "--kubeconfig",
            ]);
            command::output_with_input(kind.arg(&kubeconfig), CONFIG)
        })?;
    }
    let address = progress::step("starting the registry beside kind", registry)?;
    trust(&address)?;
    Cluster {
        origin: Origin::Kind,
        kubeconfig,
        registry: address,
    }
    .save()
}

/// Removes the cluster and its registry.
pub fn down() -> Result<()> {
    progress::step("removing the cluster of kind", || {
        command::output(command::within(120, "kind").args(["delete", "cluster", "--name", NAME]))?;
        docker(&["rm", "--force", "--volumes", REGISTRY])?;
        Ok(())
    })
}

fn registry() -> Result<String> {
    if docker(&["start", REGISTRY]).is_err() {
        docker(&[
            "run",
            "--detach",
            "--network",
            "kind",
            "--name",
            REGISTRY,
            "registry:2",
        ])?;
    }
    let format = "{{.NetworkSettings.Networks.kind.IPAddress}}";
    let address = docker(&["inspect", "--format", format, REGISTRY])?;
    let address = Some(address.trim()).filter(|address| !address.is_empty());
    Ok(format!(
        "{}:5000",
        address.context("Docker gave the registry no address on the network kind")?
    ))
}

/// Lets the node pull from the registry by plain HTTP.
fn trust(address: &str) -> Result<()> {
    let folder = format!("/etc/containerd/certs.d/{address}");
    let script = format!(
        "mkdir -p {folder} && printf '[host.\"http://{address}\"]\\n' > {folder}/hosts.toml"
    );
    docker(&["exec", NODE, "sh", "-c", &script])?;
    Ok(())
}

fn docker(words: &[&str]) -> Result<String> {
    command::output(command::within(300, "docker").args(words))
}
