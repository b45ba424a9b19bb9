//! The cgroup under which all pods of the node live, in version 1 (one per controller), version 2, or both. It must not touch any other group.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::facts::NODE;
use crate::process::wait_until;

const MOUNT: &str = "/sys/fs/cgroup";

/// What all pods together get of the processors, and where it stands: eight times as much as a program outside. By default the pods would share what one program gets,
/// and each of the node's own is one: on a busy machine a service would not answer in time.
const SHARES: [(&str, &str); 2] = [("cpu.shares", "8192"), ("cpu.weight", "800")];

/// Makes the node's cgroup wherever the kubelet will look for it.
pub fn make() -> Result<()> {
    for hierarchy in hierarchies() {
        let group = hierarchy.join(NODE);
        fs::create_dir_all(&group)
            .with_context(|| format!("cannot make the cgroup {}", group.display()))?;
        for (file, value) in SHARES {
            let file = group.join(file);
            if file.exists() {
                fs::write(&file, value)
                    .with_context(|| format!("cannot write {}", file.display()))?;
            }
        }
        // In version 1 a new cpuset is empty, and nothing can run in it.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let Ok(value) = fs::read_to_string(hierarchy.join(file)) else {
                continue;
            };
            if group.join("cgroup.clone_children").exists() {
                fs::write(group.join(file), value)?;
            }
        }
    }
    Ok(())
}

/// The pids of all processes in the node's cgroup: those of its pods.
pub fn processes() -> Vec<i32> {
    in_groups(&groups())
}

/// The pids of a container's processes; the kubelet names its group by the container's id.
pub fn container_processes(id: &str) -> Vec<i32> {
    let mut groups = groups();
    groups.retain(|group| group.file_name().is_some_and(|name| name == id));
    in_groups(&groups)
}

fn in_groups(groups: &[PathBuf]) -> Vec<i32> {
    let mut pids = Vec::new();
    for group in groups {
        let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    }
    pids.sort_unstable();
    pids.dedup();
    pids
}

/// Removes the node's cgroup; its processes must be gone.
pub fn remove() -> Result<()> {
    let gone = wait_until(
        Duration::from_secs(15),
        || {
            // Inner groups first; one that is still in use is tried again.
            groups()
                .iter()
                .rev()
                .for_each(|group| drop(fs::remove_dir(group)));
            groups().is_empty()
        },
        || true,
    );
    anyhow::ensure!(
        gone,
        "the cgroup {NODE} under {MOUNT} is still in use: see which processes its cgroup.procs files name"
    );
    Ok(())
}

/// The node's groups, outer ones before inner ones.
fn groups() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for hierarchy in hierarchies() {
        let top = hierarchy.join(NODE);
        if top.is_dir() {
            collect(&top, &mut found);
        }
    }
    found
}

fn collect(group: &Path, found: &mut Vec<PathBuf>) {
    found.push(group.to_owned());
    let Ok(entries) = fs::read_dir(group) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&entry.path(), found);
        }
    }
}

fn hierarchies() -> Vec<PathBuf> {
    let mount = PathBuf::from(MOUNT);
    if mount.join("cgroup.controllers").exists() {
        return vec![mount];
    }
    let Ok(entries) = fs::read_dir(mount) else {
        return Vec::new();
    };
    let mut all: Vec<_> = entries
        .flatten()
        // Links such as `cpu -> cpu,cpuacct` lead to a hierarchy that is listed anyway.
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .filter(|path| path.join("cgroup.procs").exists())
        .collect();
    all.sort();
    all
}
