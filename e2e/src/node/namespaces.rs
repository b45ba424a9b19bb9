//! The node's own network and mount namespace, held open by a sleeping process, and the cable to the host.
//!
//! *Guarantees*: mounts, network devices, firewall rules and everything below `/run` and `/var/log` of the node vanish with its processes; the host's stay untouched.
//! The `/run` of the node carries [`mark`], by which [`super::teardown`] recognises each process of this cluster without trusting a pid file.

use std::fs;
use std::time::Duration;

use anyhow::Result;

use super::facts::{HOST_IP, NODE, NODE_IP};
use crate::process::{Background, wait_until};
use crate::{command, paths, progress};

/// Every mark begins so, whichever checkout the cluster belongs to.
pub const MARK: &str = "crm-e2e:";

/// The name of the tmpfs on the node's `/run`: it tells whose cluster this is.
pub fn mark() -> String {
    // The kernel writes a blank as \040; as no other character is needed, any escaping will do.
    format!(
        "{MARK}{}",
        paths::checkout()
            .to_string_lossy()
            .replace(char::is_whitespace, "_")
    )
}

/// The pid of the process that holds the namespaces.
pub fn holder() -> Option<i32> {
    Background::named("node").pid()
}

/// The words before a program's own that run it inside the namespaces.
pub fn enter(holder: i32) -> Vec<String> {
    [
        "nsenter",
        "--target",
        &holder.to_string(),
        "--mount",
        "--net",
        "--",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Makes the namespaces and the cable.
pub fn make() -> Result<()> {
    progress::step(
        "making the node's namespaces and its cable to the host",
        || {
            let pid = hold()?;
            load_modules();
            // A cable whose far end died a moment ago may still be there.
            command::output(command::within(5, "ip").args(["link", "delete", NODE])).ok();
            connect(pid)
        },
    )
}

fn hold() -> Result<i32> {
    let script = script()?;
    let words = [
        "unshare",
        "--mount",
        "--net",
        "--propagation",
        "private",
        "--",
        "sh",
        "-c",
        &script,
    ];
    let mut program: Vec<String> = words.map(str::to_owned).to_vec();
    program.push(mark());
    let node = Background::named("node");
    let pid = node.start(&program)?;
    let asleep =
        || fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "sleep");
    node.wait_until(Duration::from_secs(5), asleep)?;
    Ok(pid)
}

/// The kubelet and CNI write to these folders whatever their flags say; the node has its own instead.
const COVERED: &[&str] = &["/var/log", "/var/lib/cni", "/var/lib/kubelet"];

/// Where a system that still has the cgroups of version 1 mounts those of version 2, too.
const HYBRID: &str = "/sys/fs/cgroup/unified";

/// What makes the mount namespace the node's own; `$0` is the mark.
fn script() -> Result<String> {
    // Shared among themselves, so that a mount made by containerd is seen by the kubelet.
    let mut script =
        "set -e; mount --make-rshared /; mount -t tmpfs -o mode=755 \"$0\" /run\n".to_owned();
    // Beside the cgroups of version 1 it may have no controller, and then crun makes no container.
    script += &format!("if mountpoint -q {HYBRID}; then umount {HYBRID}; fi\n");
    for folder in COVERED {
        let own = paths::state("node/covered").join(folder.trim_start_matches('/'));
        fs::create_dir_all(&own)?;
        // Stays empty, and is removed by `uncover`.
        fs::create_dir_all(folder)?;
        script += &format!("mount --bind '{}' {folder}\n", own.display());
    }
    Ok(script + "exec sleep infinity")
}

/// Removes the mount points that were made for the node; a folder that holds anything is somebody's and stays.
pub fn uncover() {
    for folder in COVERED {
        fs::remove_dir(folder).ok();
    }
}

fn connect(pid: i32) -> Result<()> {
    let outside = format!(
        "link add {NODE} type veth peer name eth0 netns {pid}\naddress add {HOST_IP}/30 dev {NODE}\nlink set {NODE} up\n"
    );
    command::output_with_input(command::within(10, "ip").args(["-batch", "-"]), &outside)?;
    let inside = format!(
        "set -e; ip link set lo up; ip address add {NODE_IP}/30 dev eth0; ip link set eth0 up; ip route add default via {HOST_IP}
        echo 1 > /proc/sys/net/ipv4/ip_forward
        if [ -e /proc/sys/net/bridge ]; then echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables; fi"
    );
    let enter = enter(pid);
    command::output(
        command::within(10, &enter[0])
            .args(&enter[1..])
            .args(["sh", "-c", &inside]),
    )?;
    Ok(())
}

/// Kernels that have these built in refuse or lack modprobe, and work without it.
fn load_modules() {
    for module in ["overlay", "br_netfilter"] {
        command::output(command::within(10, "modprobe").args(["--quiet", module])).ok();
    }
}

/// Waits until the host's end of the cable is gone.
pub fn disconnect() {
    let gone = || !fs::exists(format!("/sys/class/net/{NODE}")).unwrap_or(false);
    if !gone() {
        command::output(command::within(5, "ip").args(["link", "delete", NODE])).ok();
        wait_until(Duration::from_secs(5), gone, || true);
    }
}
