//! The local one-node cluster. [`up`] makes it or repairs it, [`down`] leaves nothing of it; both may be interrupted anywhere and run again.
//!
//! *Flow*: packages, programs, namespaces, configuration and keys, components, add-ons, volumes.
//! *Guarantees*: a component that died is started again; when that does not help, or when the configuration of this checkout changed, or after a reboot,
//! the cluster is made anew. *Assumptions*: Linux, root, one such cluster on a machine.

mod addons;
mod cgroups;
mod components;
mod facts;
mod keys;
mod namespaces;
mod teardown;
mod volumes;

use std::fs;

use anyhow::{Result, ensure};
use rustix::process::geteuid;

use crate::{packages, paths, progress, tools};

pub use cgroups::container_processes;
pub use facts::REGISTRY;
pub use teardown::{down, refuse_without_root};

/// Whether this machine can run the local node at all.
pub fn possible() -> bool {
    cfg!(target_os = "linux") && geteuid().is_root()
}

/// Fails unless this machine can run the local node.
pub fn refuse_unless_possible() -> Result<()> {
    let words: Vec<_> = std::env::args().skip(1).collect();
    ensure!(possible(), refusal(&words));
    Ok(())
}

/// What is said to who called `cargo e2e` with these words.
fn refusal(words: &[String]) -> String {
    format!(
        "no cluster can be made here: start Docker and install kind, or name a cluster by `cargo e2e up --kubeconfig FILE --registry HOST:PORT`, or run this on Linux as root (sudo -E env PATH=$PATH cargo e2e {})",
        words.join(" ")
    )
}

/// Makes the cluster or repairs it, where [`possible`]; returns when it serves.
pub fn up() -> Result<()> {
    teardown::refuse_a_second_cluster()?;
    packages::ensure(packages::NODE)?;
    let generation = facts::generation(&tools::ensure(tools::Set::Node)?);
    let repairable =
        namespaces::holder().is_some() && saved_generation() == Some(generation.clone());
    if repairable {
        match converge() {
            Ok(()) => return Ok(()),
            Err(error) => progress::note(&format!(
                "the cluster cannot be repaired, making a new one: {error:#}"
            )),
        }
    }
    start_from_nothing(&generation)?;
    converge()
}

fn start_from_nothing(generation: &str) -> Result<()> {
    teardown::down()?;
    // Logs outlive a cluster, for whoever asks why it died, but not the start of the next.
    for name in components::NAMES.iter().chain(&["audit", "node"]) {
        fs::remove_file(paths::log(name)).ok();
    }
    progress::step("writing the node's configuration and keys", || {
        for (path, content) in facts::files() {
            let path = paths::state("node").join(path);
            fs::create_dir_all(path.parent().expect("a file lies in a folder"))?;
            fs::write(path, content)?;
        }
        fs::create_dir_all(paths::state("node/registry"))?;
        keys::make()
    })?;
    namespaces::make()?;
    cgroups::make()?;
    // Written last: an `up` that was interrupted before this line starts from nothing again.
    fs::write(generation_file(), generation)?;
    Ok(())
}

fn converge() -> Result<()> {
    components::start()?;
    addons::ensure()?;
    volumes::ensure()?;
    components::check()
}

fn generation_file() -> std::path::PathBuf {
    paths::state("node").join("generation")
}

fn saved_generation() -> Option<String> {
    fs::read_to_string(generation_file()).ok()
}

/// One line per component for people: its name and pid, or that it does not run.
pub fn status() -> Vec<String> {
    components::status()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_root_is_told_the_line_to_type() {
        let words = ["test", "canary"].map(str::to_owned);
        let line = "sudo -E env PATH=$PATH cargo e2e test canary)";
        assert!(refusal(&words).ends_with(line));
    }
}
