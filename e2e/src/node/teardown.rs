//! Ends the node. It finds the node's processes by the mark on their `/run` and by their cgroup, never by name, so it works after any crash and ends nothing else.

use std::fs;
use std::time::Duration;

use anyhow::{Result, bail};
use rustix::process::Signal;

use super::{cgroups, components, namespaces};
use crate::process::{signal, wait_until};
use crate::{paths, progress};

/// Fails when this checkout has a node and the caller is not root, who alone can end it.
pub fn refuse_without_root() -> Result<()> {
    if !super::possible() && paths::state("node").exists() {
        bail!(
            "the node of this checkout belongs to root: run as root (sudo -E env PATH=$PATH cargo e2e down)"
        );
    }
    Ok(())
}

/// Ends all processes of the node and removes its cgroup, its cable, its state and its volumes. Tells whether there was something to end.
pub fn down() -> Result<bool> {
    if !super::possible() || (processes().is_empty() && !paths::state("node").exists()) {
        return Ok(false);
    }
    progress::step("ending the node that was there", || {
        let all_ended = || {
            let left = processes();
            left.iter().for_each(|&pid| signal(pid, Signal::KILL));
            left.is_empty()
        };
        if !wait_until(Duration::from_secs(30), all_ended, || true) {
            bail!("processes of the node do not end: pids {:?}", processes());
        }
        if foreign().is_none() {
            cgroups::remove()?;
            namespaces::disconnect();
            namespaces::uncover();
        }
        remove_state()
    })?;
    Ok(true)
}

fn remove_state() -> Result<()> {
    for folder in ["node", "volumes"] {
        remove_folder(folder)?;
    }
    for name in components::NAMES.iter().chain(&["node"]) {
        fs::remove_file(paths::state("pids").join(name)).ok();
    }
    fs::remove_file(paths::state("kubeconfig")).ok();
    Ok(())
}

/// Fails when another checkout's cluster runs on this machine: both would use the same addresses.
pub fn refuse_a_second_cluster() -> Result<()> {
    if let Some((pid, owner)) = foreign() {
        bail!(
            "the test cluster of another checkout runs on this machine (process {pid}): end it first with `cargo e2e down` in {owner}"
        );
    }
    Ok(())
}

/// A process of another checkout's node, and where that checkout is. One whose checkout was deleted is nobody's, so it counts as ours.
fn foreign() -> Option<(i32, String)> {
    let mark = namespaces::mark();
    marks()
        .into_iter()
        .filter(|(_, found)| *found != mark)
        .map(|(pid, found)| (pid, found.trim_start_matches(namespaces::MARK).to_owned()))
        .find(|(_, owner)| fs::exists(owner).unwrap_or(true))
}

/// The processes of the node: the daemons by their mark, those of pods by their cgroup, whose name is the same for every checkout.
fn processes() -> Vec<i32> {
    if foreign().is_some() {
        return Vec::new();
    }
    let mut pids: Vec<i32> = marks().into_iter().map(|(pid, _)| pid).collect();
    pids.extend(cgroups::processes());
    pids
}

/// Every process that runs in a node's mount namespace, with the mark of that node.
fn marks() -> Vec<(i32, String)> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| {
        let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).ok()?;
        Some((pid, mark_in(&mounts)?))
    })
    .collect()
}

fn mark_in(mounts: &str) -> Option<String> {
    let word = mounts
        .split_whitespace()
        .find(|word| word.starts_with(namespaces::MARK))?;
    Some(word.to_owned())
}

fn remove_folder(name: &str) -> Result<()> {
    match fs::remove_dir_all(paths::state(name)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(anyhow::Error::new(error)
                .context(format!("cannot remove {}", paths::state(name).display())))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_of_the_host_carries_no_mark() {
        let host = "22 28 0:21 / /run rw,nosuid shared:5 - tmpfs tmpfs rw,size=1024k\n";
        assert_eq!(mark_in(host), None);
    }

    #[test]
    fn a_process_of_a_node_names_its_checkout() {
        let node = "22 28 0:21 / /run rw - tmpfs crm-e2e:/srv/crm rw,mode=755\n";
        assert_eq!(mark_in(node), Some("crm-e2e:/srv/crm".to_owned()));
    }
}
