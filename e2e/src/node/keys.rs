//! Certificates and kubeconfigs, made by kubeadm.

use std::fs;

use anyhow::Result;

use crate::{command, paths};

/// Makes all keys and kubeconfigs, and the kubeconfig for people at `target/e2e/kubeconfig`.
pub fn make() -> Result<()> {
    let node = paths::state("node");
    let folder = node.join("kubeconfigs");
    let kubeadm = |words: &[&str]| {
        let mut kubeadm = command::within(60, paths::tool("kubeadm"));
        kubeadm
            .args(words)
            .arg("--config")
            .arg(node.join("config/kubeadm.yaml"));
        kubeadm
    };
    command::output(&mut kubeadm(&["init", "phase", "certs", "all"]))?;
    command::output(
        kubeadm(&["init", "phase", "kubeconfig", "all"])
            .arg("--kubeconfig-dir")
            .arg(&folder),
    )?;
    let proxy = command::output(&mut kubeadm(&[
        "kubeconfig",
        "user",
        "--client-name",
        "system:kube-proxy",
    ]))?;
    fs::write(folder.join("kube-proxy.conf"), proxy)?;
    fs::copy(folder.join("super-admin.conf"), paths::state("kubeconfig"))?;
    Ok(())
}
