//! What a cluster needs besides its processes: cluster DNS, the default storage class, the rights of kubeadm's certificates. Returns when the node takes pods and DNS answers.

use anyhow::Result;

use super::facts::NODE;
use crate::cluster::kubectl;
use crate::{command, paths, progress};

/// Applies the add-ons and waits for the node and for DNS.
pub fn ensure() -> Result<()> {
    let kubeconfig = paths::state("kubeconfig");
    let ready = "jsonpath={.status.readyReplicas}";
    let dns = command::output(kubectl(&kubeconfig, 10).args([
        "-n",
        "kube-system",
        "get",
        "deployment",
        "coredns",
        "-o",
        ready,
    ]));
    let node = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
    let node = command::output(kubectl(&kubeconfig, 10).args(["get", "node", NODE, "-o", node]));
    if dns.is_ok_and(|count| count == "1") && node.is_ok_and(|status| status == "True") {
        return Ok(());
    }
    progress::step("waiting for the node and cluster DNS", || {
        let file = paths::state("node/config/addons.yaml");
        command::output(
            kubectl(&kubeconfig, 60)
                .args(["apply", "--server-side", "--force-conflicts", "-f"])
                .arg(file),
        )?;
        let wait = ["wait", "--for=create", "--timeout=60s", "node", NODE];
        command::output(kubectl(&kubeconfig, 70).args(wait))?;
        let wait = [
            "wait",
            "--for=condition=Ready",
            "--timeout=90s",
            "node",
            NODE,
        ];
        command::output(kubectl(&kubeconfig, 100).args(wait))?;
        let wait = [
            "-n",
            "kube-system",
            "rollout",
            "status",
            "deployment/coredns",
            "--timeout=120s",
        ];
        command::output(kubectl(&kubeconfig, 130).args(wait))?;
        Ok(())
    })
}
