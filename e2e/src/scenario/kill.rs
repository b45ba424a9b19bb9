//! Ends the operator that leads without a warning, as the kernel does when memory is short. In: the cluster. Out: the leader runs no more.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;

use super::{CALL, SYSTEM};
use crate::cluster::Origin;
use crate::process::{signal, wait_until};
use crate::{Cluster, command, node, progress};

/// All pods of the operator, and the Lease that says which of them leads.
const SELECTOR: &str =
    "--selector=app.kubernetes.io/name=crm-operator,app.kubernetes.io/instance=crm-operator";
const LEASE: &str = "crm-operator";

/// Kills the processes of the operator that leads by SIGKILL; the kubelet starts its container again, and meanwhile another takes over. Answers false when
/// its pod was deleted by force instead, because its processes are not on this machine: then the operator has a moment to end in order.
///
/// # Errors
/// When no operator leads within 60 seconds, or its processes do not end.
pub fn kill_leader(cluster: &Cluster) -> Result<bool> {
    if cluster.origin != Origin::Node {
        progress::note(
            "the leader's pod is deleted by force instead of killed: its processes are not on this machine",
        );
        let delete = ["--grace-period=0", "--force", "--wait=false"];
        let pod = leader(cluster)?;
        kubectl(cluster, &[&["delete", "pod", &pod], &delete[..]].concat())?;
        return Ok(false);
    }
    let mut pids = Vec::new();
    // For a moment after a restart the status still names the container before, and the Lease the process before.
    let found = || {
        pids = leading_pod(cluster).map_or_else(|_| Vec::new(), |pod| processes(&pod));
        !pids.is_empty()
    };
    ensure!(
        wait_until(Duration::from_secs(60), found, || true),
        "no process of a leader was found within 60 s: look at the pods and the Lease of the namespace {SYSTEM}"
    );
    pids.iter().for_each(|&pid| signal(pid, Signal::KILL));
    Ok(true)
}

/// The operator's pods as they are.
///
/// # Errors
/// When kubectl fails.
pub fn operator_pods(cluster: &Cluster) -> Result<Vec<Value>> {
    let text = kubectl(cluster, &["get", "pods", SELECTOR, "--output=json"])?;
    let list: Value = serde_json::from_str(&text)?;
    Ok(list["items"]
        .as_array()
        .context("a list has items")?
        .clone())
}

/// Name of the pod that leads: what stands in the Lease before the part that each process has for itself.
fn leader(cluster: &Cluster) -> Result<String> {
    let holder = "--output=jsonpath={.spec.holderIdentity}";
    let holder = kubectl(cluster, &["get", "lease", LEASE, holder])?;
    let (pod, _) = holder.rsplit_once('_').context("nobody leads")?;
    Ok(pod.to_owned())
}

fn leading_pod(cluster: &Cluster) -> Result<Value> {
    let leader = leader(cluster)?;
    let pods = operator_pods(cluster)?;
    let mut pods = pods.into_iter();
    pods.find(|pod| pod["metadata"]["name"] == leader)
        .context("the leader's pod is gone")
}

fn processes(pod: &Value) -> Vec<i32> {
    let id = pod["status"]["containerStatuses"][0]["containerID"].as_str();
    let (_, id) = id.and_then(|id| id.split_once("://")).unwrap_or_default();
    node::container_processes(id)
}

fn kubectl(cluster: &Cluster, arguments: &[&str]) -> Result<String> {
    let mut kubectl = cluster.kubectl(CALL);
    command::output(kubectl.args(["--namespace", SYSTEM]).args(arguments))
}
