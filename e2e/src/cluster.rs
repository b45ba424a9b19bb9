//! The cluster under test, whoever made it: given by a kubeconfig, kind, or the local node. Which one it is, is remembered in `target/e2e/cluster.json`.

mod choice;

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::{command, kind, lock, logs, node, paths, postgres, progress, tools};

pub(crate) use choice::Choice;

/// Who made the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Origin {
    /// A person, who named its kubeconfig and registry.
    Given,
    /// kind, in Docker.
    Kind,
    /// This tool, from processes on this machine.
    Node,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Given => "the one of a given kubeconfig",
            Self::Kind => "kind",
            Self::Node => "a node of its own",
        })
    }
}

/// A cluster that serves.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cluster {
    /// Who made it.
    pub origin: Origin,
    /// The file by which clients reach it, as administrator.
    pub kubeconfig: PathBuf,
    /// `host:port` of the registry, as this machine and the cluster's nodes both name it; plain HTTP.
    pub registry: String,
}

impl Cluster {
    /// The cluster of the run of `cargo e2e test` that this process belongs to.
    ///
    /// # Errors
    /// Outside such a run.
    pub fn from_environment() -> Result<Self> {
        let hint = "is not set: run this test by `cargo e2e test FILTER`";
        let kubeconfig =
            std::env::var_os("KUBECONFIG").with_context(|| format!("KUBECONFIG {hint}"))?;
        let registry =
            std::env::var("E2E_REGISTRY").with_context(|| format!("E2E_REGISTRY {hint}"))?;
        Ok(Self {
            origin: saved().map_or(Origin::Given, |cluster| cluster.origin),
            kubeconfig: kubeconfig.into(),
            registry,
        })
    }

    /// What a test or a tool needs in its environment: KUBECONFIG, E2E_REGISTRY, E2E_ROOT, and a PATH with this tool's programs first.
    ///
    /// # Errors
    /// When PATH cannot be extended.
    pub fn environment(&self) -> Result<Vec<(&'static str, OsString)>> {
        let path = command::search_path();
        let path = std::env::join_paths(
            [paths::bin()]
                .into_iter()
                .chain(std::env::split_paths(&path)),
        )?;
        let mut all = caches();
        all.extend([
            ("KUBECONFIG", self.kubeconfig.clone().into()),
            ("E2E_REGISTRY", self.registry.clone().into()),
            ("E2E_ROOT", paths::checkout().into()),
            ("PATH", path),
        ]);
        Ok(all)
    }

    /// `kubectl` against this cluster, ended after `seconds`.
    pub fn kubectl(&self, seconds: u32) -> Command {
        kubectl(&self.kubeconfig, seconds)
    }

    /// `helm` against this cluster, ended after `seconds`.
    pub fn helm(&self, seconds: u32) -> Command {
        let mut helm = command::within(seconds, paths::tool("helm"));
        helm.envs(caches())
            .arg("--kubeconfig")
            .arg(&self.kubeconfig);
        helm
    }

    /// Takes the cluster of a kubeconfig file.
    fn given(kubeconfig: &Path, registry: String) -> Result<Self> {
        let kubeconfig = fs::canonicalize(kubeconfig)
            .with_context(|| format!("cannot read {}", kubeconfig.display()))?;
        Self::check_given(Self {
            origin: Origin::Given,
            kubeconfig,
            registry,
        })
    }

    fn check_given(cluster: Self) -> Result<Self> {
        tools::ensure(tools::Set::Clients)?;
        let name = command::output(cluster.kubectl(10).args([
            "config",
            "view",
            "--minify",
            "-o",
            "jsonpath={.clusters[0].name}",
        ]))?;
        ensure!(
            is_for_tests(&name),
            "the cluster {name:?} of {} does not say that it is for tests: its name must contain test, e2e, dev, kind, minikube or k3d",
            cluster.kubeconfig.display()
        );
        progress::step(
            &format!("asking the given cluster {name} whether it is ready"),
            || {
                command::output(cluster.kubectl(30).args(["get", "--raw", "/readyz"]))?;
                Ok(())
            },
        )?;
        cluster.save()
    }

    fn local() -> Result<Self> {
        node::up()?;
        let cluster = Self {
            origin: Origin::Node,
            kubeconfig: paths::state("kubeconfig"),
            registry: node::REGISTRY.to_owned(),
        };
        cluster.save()
    }

    /// Remembers this cluster for the next command.
    pub(crate) fn save(self) -> Result<Self> {
        fs::create_dir_all(paths::state(""))?;
        fs::write(file(), serde_json::to_string_pretty(&self)?)?;
        Ok(self)
    }
}

/// Brings up the cluster of the `given` kubeconfig with its registry, or else the one used last, or else what this machine can run; says how to use it.
///
/// # Errors
/// When no cluster can be made here, or it does not get ready in time; the message has the end of the log concerned.
pub fn up(given: Option<(&Path, String)>) -> Result<()> {
    let _lock = lock::take()?;
    let cluster = match given {
        Some((kubeconfig, registry)) => {
            choice::tell(Origin::Given, "--kubeconfig names it");
            Cluster::given(kubeconfig, registry)?
        }
        None => Choice::make()?.bring_up()?,
    };
    progress::note("the cluster serves; to look around:");
    eprintln!(
        "  export KUBECONFIG={} PATH={}:$PATH",
        cluster.kubeconfig.display(),
        paths::bin().display()
    );
    Ok(())
}

/// Ends the cluster and the test database; one that was given is only forgotten.
///
/// # Errors
/// When something of it remains; the message says what.
pub fn down() -> Result<()> {
    // First: without root not even the lock of a node can be taken.
    node::refuse_without_root()?;
    let _lock = lock::take()?;
    let had_database = postgres::stop();
    let origin = saved().map(|cluster| cluster.origin);
    match origin {
        Some(Origin::Kind) => kind::down()?,
        Some(Origin::Given) => {
            progress::note("the given cluster stays as it is, only forgotten here")
        }
        Some(Origin::Node) | None => {}
    }
    // Also without a file: an interrupted `up` leaves a node that nobody remembers.
    let had_node = node::down()?;
    fs::remove_file(file()).ok();
    if had_node || origin == Some(Origin::Node) {
        progress::note("the node is gone");
    } else if origin.is_none() {
        progress::note(if had_database {
            "the database of the tests is gone"
        } else {
            "there was nothing to end"
        });
    }
    Ok(())
}

/// Prints what runs.
///
/// # Errors
/// When there is no cluster, or it does not answer.
pub fn status() -> Result<()> {
    let is_changed = lock::is_taken();
    let Some(cluster) = saved() else {
        bail!(nothing_serves(is_changed))
    };
    let mut lines = vec![
        format!("cluster     {}", cluster.origin),
        format!("kubeconfig  {}", cluster.kubeconfig.display()),
        format!("registry    {}", cluster.registry),
    ];
    if is_changed {
        lines.push("another `cargo e2e` command is at work on it".to_owned());
    }
    if cluster.origin == Origin::Node {
        lines.extend(node::status());
    }
    let mut get = cluster.kubectl(10);
    get.args(["get", "nodes,pods", "--all-namespaces", "-o", "wide"]);
    logs::show(&format!("{}\n", lines.join("\n")))?;
    logs::show(&command::output(&mut get)?)
}

fn nothing_serves(is_changed: bool) -> &'static str {
    if is_changed {
        "there is no cluster yet, but another `cargo e2e` command is at work and may be making one: ask again when it is further"
    } else {
        "there is no cluster: run `cargo e2e up`"
    }
}

/// `kubectl` with a kubeconfig, ended after `seconds`.
pub(crate) fn kubectl(kubeconfig: &Path, seconds: u32) -> Command {
    let mut kubectl = command::within(seconds, paths::tool("kubectl"));
    kubectl
        .env("KUBECACHEDIR", paths::state("cache/kubectl"))
        .arg("--kubeconfig")
        .arg(kubeconfig);
    kubectl
}

/// Where kubectl and helm keep what they would else leave in the home folder.
fn caches() -> Vec<(&'static str, OsString)> {
    let folders = [
        ("KUBECACHEDIR", "kubectl"),
        ("HELM_CACHE_HOME", "helm/cache"),
        ("HELM_CONFIG_HOME", "helm/config"),
        ("HELM_DATA_HOME", "helm/data"),
    ];
    folders
        .map(|(name, folder)| (name, paths::state("cache").join(folder).into()))
        .to_vec()
}

fn is_for_tests(name: &str) -> bool {
    ["test", "e2e", "dev", "kind", "minikube", "k3d"]
        .iter()
        .any(|word| name.contains(word))
}

fn file() -> PathBuf {
    paths::state("cluster.json")
}

fn saved() -> Option<Cluster> {
    serde_json::from_str(&fs::read_to_string(file()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_must_say_that_it_is_for_tests() {
        assert!(is_for_tests("kind-crm"));
        assert!(is_for_tests("crm-e2e"));
        assert!(!is_for_tests("production"));
        assert!(!is_for_tests("prod-eu-1"));
    }
}
