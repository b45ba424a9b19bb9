//! The fixed facts of the local node: its name, its addresses and its configuration files. Pure, but for the location of the checkout.

use sha2::{Digest, Sha256};

use super::components;
use crate::paths;

/// Name of the node, of its cgroup and of the host's end of its network cable.
pub const NODE: &str = "crm-e2e";
/// The node's address; the host reaches it, nothing else does.
pub const NODE_IP: &str = "10.213.0.2";
/// The host's end of the cable.
pub const HOST_IP: &str = "10.213.0.1";
/// Where the registry listens, as the host and the node both name it.
pub const REGISTRY: &str = "10.213.0.2:5000";
/// Addresses of Services.
pub const SERVICE_CIDR: &str = "10.213.128.0/20";
const POD_CIDR: &str = "10.213.64.0/20";
const DNS_IP: &str = "10.213.128.10";

const FILES: &[(&str, &str)] = &[
    (
        "config/kubeadm.yaml",
        include_str!("../../config/kubeadm.yaml"),
    ),
    (
        "config/kubelet.yaml",
        include_str!("../../config/kubelet.yaml"),
    ),
    (
        "config/kube-proxy.yaml",
        include_str!("../../config/kube-proxy.yaml"),
    ),
    (
        "config/audit-policy.yaml",
        include_str!("../../config/audit-policy.yaml"),
    ),
    (
        "config/containerd.toml",
        include_str!("../../config/containerd.toml"),
    ),
    (
        "config/cni/10-pods.conflist",
        include_str!("../../config/cni.conflist"),
    ),
    (
        "config/registries/10.213.0.2:5000/hosts.toml",
        include_str!("../../config/hosts.toml"),
    ),
    (
        "config/addons.yaml",
        include_str!("../../config/addons.yaml"),
    ),
];

/// Path under `target/e2e/node` and content of every configuration file.
pub fn files() -> impl Iterator<Item = (&'static str, String)> {
    let node = paths::state("node");
    FILES.iter().map(move |(path, text)| {
        let text = text
            .replace("@STATE@", &node.to_string_lossy())
            .replace("@NODE_IP@", NODE_IP)
            .replace("@NODE@", NODE)
            .replace("@REGISTRY@", REGISTRY)
            .replace("@SERVICE_CIDR@", SERVICE_CIDR)
            .replace("@POD_CIDR@", POD_CIDR)
            .replace("@DNS_IP@", DNS_IP);
        (*path, text)
    })
}

/// Identifies everything a running cluster was made from: a change means that it must be made anew.
pub fn generation(programs: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(programs);
    for (path, text) in files() {
        hash.update(path);
        hash.update(text);
    }
    for word in components::all()
        .iter()
        .flat_map(components::Component::words)
    {
        hash.update(word);
    }
    format!("{:x}", hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_placeholder_is_left_in_a_configuration_file() {
        for (path, text) in files() {
            assert!(!text.contains('@'), "{path}");
        }
    }

    #[test]
    fn the_registry_is_configured_under_the_name_that_images_carry() {
        let folder = format!("config/registries/{REGISTRY}/hosts.toml");
        assert!(FILES.iter().any(|(path, _)| *path == folder));
    }

    #[test]
    fn a_change_of_the_programs_changes_the_generation() {
        assert_ne!(generation("a"), generation("b"));
        assert_eq!(generation("a"), generation("a"));
    }
}
