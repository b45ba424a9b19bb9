//! Ends the operator without a warning, as the kernel does when memory is short. In: the cluster. Out: nothing of the operator runs any more.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;

use super::{CALL, SYSTEM};
use crate::cluster::Origin;
use crate::process::{signal, wait_until};
use crate::{Cluster, command, node, progress};

const SELECTOR: &str = "--selector=app.kubernetes.io/name=crm-operator";

/// Kills the operator's processes by SIGKILL; the kubelet starts its container again. Answers false when its pod was deleted by force instead, because
/// its processes are not on this machine: then the operator has a moment to end in order.
///
/// # Errors
/// When no operator runs within 30 seconds, or its processes do not end.
pub fn kill_operator(cluster: &Cluster) -> Result<bool> {
    if cluster.origin != Origin::Node {
        progress::note(
            "the operator's pod is deleted by force instead of killed: its processes are not on this machine",
        );
        let delete = ["--grace-period=0", "--force", "--wait=false"];
        kubectl(
            cluster,
            &[&["delete", "pod", SELECTOR], &delete[..]].concat(),
        )?;
        return Ok(false);
    }
    let mut pids = Vec::new();
    // For a moment after a restart the status still names the container before.
    let found = || {
        pids = operator_pod(cluster).map_or_else(|_| Vec::new(), |pod| processes(&pod));
        !pids.is_empty()
    };
    ensure!(
        wait_until(Duration::from_secs(30), found, || true),
        "no process of the operator was found within 30 s: look at the pods of the namespace {SYSTEM}"
    );
    pids.iter().for_each(|&pid| signal(pid, Signal::KILL));
    Ok(true)
}

/// The operator's pod as it is.
///
/// # Errors
/// When there is not exactly one.
pub fn operator_pod(cluster: &Cluster) -> Result<Value> {
    let text = kubectl(cluster, &["get", "pods", SELECTOR, "--output=json"])?;
    let list: Value = serde_json::from_str(&text)?;
    let pods = list["items"].as_array().context("a list has items")?;
    ensure!(
        pods.len() == 1,
        "the namespace {SYSTEM} has {} pods of the operator instead of one",
        pods.len()
    );
    Ok(pods[0].clone())
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
