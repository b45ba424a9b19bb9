//! Builds the pinned Go programs of `e2e/tools` into `target/e2e/bin`; does nothing when they are there for the same sources and flags.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::{command, packages, paths, progress};

/// The Kubernetes release of the local cluster; `go.mod` pins the same one, and a test compares them.
pub const KUBERNETES: &str = "v1.35.4";

const CLIENTS: &[&str] = &[
    "github.com/google/go-containerregistry/cmd/crane",
    "helm.sh/helm/v4/cmd/helm",
    "k8s.io/kubernetes/cmd/kubectl",
];
const NODE: &[&str] = &[
    "k8s.io/kubernetes/cmd/kube-apiserver",
    "k8s.io/kubernetes/cmd/kube-controller-manager",
    "k8s.io/kubernetes/cmd/kube-proxy",
    "k8s.io/kubernetes/cmd/kube-scheduler",
    "k8s.io/kubernetes/cmd/kubeadm",
    "k8s.io/kubernetes/cmd/kubelet",
    "./etcd",
    "./coredns",
];
const GATEWAY: &[&str] = &["github.com/projectcontour/contour/cmd/contour"];
const SOURCES: &[&str] = &["go.mod", "go.sum", "etcd/main.go", "coredns/main.go"];

/// Which programs are needed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Set {
    /// `kubectl`, `helm` and `crane`: for a cluster that is there already.
    Clients,
    /// The clients and everything the local node runs.
    Node,
    /// `contour`, which makes a Gateway of the Gateway API out of Envoy.
    Gateway,
}

impl Set {
    /// The packages to build.
    fn programs(self) -> Vec<&'static str> {
        match self {
            Self::Clients => CLIENTS.to_vec(),
            Self::Node => [CLIENTS, NODE].concat(),
            Self::Gateway => GATEWAY.to_vec(),
        }
    }

    /// The sets that it is made of; each has a stamp of its own.
    fn parts(self) -> &'static [Self] {
        match self {
            Self::Clients => &[Self::Clients],
            Self::Node => &[Self::Clients, Self::Node],
            Self::Gateway => &[Self::Gateway],
        }
    }

    /// What a person is told while it is built, and how long that takes.
    fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::Clients => (
                "building kubectl, helm and crane",
                "some minutes on 2 cores, once",
            ),
            Self::Node => (
                "building Kubernetes, etcd, CoreDNS, helm and crane",
                "5 to 10 minutes on 2 cores, once",
            ),
            Self::Gateway => ("building Contour", "about 2 minutes on 2 cores, once"),
        }
    }
}

/// Builds what is missing and returns the mark of the build: it changes when a program may have changed.
///
/// # Errors
/// When Go is missing or a program cannot be built.
pub fn ensure(set: Set) -> Result<String> {
    let mark = mark()?;
    if built(set, &mark) {
        return Ok(mark);
    }
    if !packages::on_path("go") {
        bail!(
            "Go is missing: install Go 1.26 or newer (it builds Kubernetes for the test cluster) and run again"
        );
    }
    let log = paths::log("tools");
    let (what, time) = set.told();
    progress::note(&format!("{what} ({time}); log: {}", log.display()));
    progress::step_with_log(what, &log, || build(set, &log))?;
    for part in set.parts() {
        fs::write(stamp(*part), &mark)?;
    }
    Ok(mark)
}

fn build(set: Set, log: &Path) -> Result<()> {
    fs::create_dir_all(paths::bin())?;
    // Until the build is done, what lies there may be a mixture.
    for part in set.parts() {
        fs::remove_file(stamp(*part)).ok();
    }
    let mut go = go(5400);
    // With -v the log names each package as it is compiled.
    go.args(["build", "-v", "-trimpath", "-buildvcs=false", "-ldflags"])
        .arg(linker_flags())
        // The trailing slash makes Go put each program into this folder.
        .arg("-o")
        .arg(format!("{}/", paths::bin().display()))
        .args(set.programs());
    command::logged(&mut go, log)
}

/// The folder of a module's sources, as they were pinned and downloaded.
///
/// # Errors
/// When the module is none of `go.mod`, or is not there yet: it comes with the first build of a program of it.
pub fn sources(module: &str) -> Result<PathBuf> {
    let folder = command::output(go(120).args(["list", "-m", "-f", "{{.Dir}}", module]))?;
    let folder = Some(folder.trim()).filter(|folder| !folder.is_empty());
    let folder = folder.with_context(|| format!("the Go module {module} was not downloaded"))?;
    Ok(folder.into())
}

/// Go for the module `e2e/tools`, with caches of this checkout, ended after `seconds`.
fn go(seconds: u32) -> Command {
    let mut go = command::within(seconds, "go");
    go.current_dir(paths::checkout().join("e2e/tools"))
        .env("CGO_ENABLED", "0")
        // A compiler that ends soon need not tidy up its memory: a quarter less work.
        .env("GOGC", "400")
        // Writable, so that the folder can be removed as any other.
        .env("GOFLAGS", "-mod=readonly -modcacherw")
        .env("GOPATH", paths::state("go"))
        .env("GOMODCACHE", paths::state("go/pkg/mod"))
        .env("GOCACHE", paths::state("go/build"));
    go
}

fn linker_flags() -> String {
    let version = "k8s.io/component-base/version";
    let [major, minor] = ["1", "35"];
    format!(
        "-s -w -X {version}.gitVersion={KUBERNETES} -X {version}.gitMajor={major} -X {version}.gitMinor={minor} -X {version}.gitTreeState=clean -X k8s.io/client-go/pkg/version.gitVersion={KUBERNETES}"
    )
}

fn built(set: Set, mark: &str) -> bool {
    let mut names = set
        .programs()
        .into_iter()
        .filter_map(|package| package.rsplit('/').next());
    let mut stamps = set
        .parts()
        .iter()
        .map(|part| fs::read_to_string(stamp(*part)));
    stamps.all(|stamp| stamp.is_ok_and(|stamp| stamp == mark))
        && names.all(|name| paths::tool(name).is_file())
}

fn stamp(set: Set) -> PathBuf {
    paths::bin().join(match set {
        Set::Clients => ".clients",
        Set::Node => ".node",
        Set::Gateway => ".gateway",
    })
}

fn mark() -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(linker_flags());
    for source in SOURCES {
        let path = paths::checkout().join("e2e/tools").join(source);
        hash.update(fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?);
    }
    Ok(format!("{:x}", hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_file_pins_the_kubernetes_release_named_here() {
        let module = fs::read_to_string(paths::checkout().join("e2e/tools/go.mod")).unwrap();
        assert!(module.contains(&format!("k8s.io/kubernetes {KUBERNETES}")));
        let staging = KUBERNETES.replacen("v1", "v0", 1);
        for line in module.lines().filter(|line| line.contains("=>")) {
            assert!(line.ends_with(&staging), "{line}");
        }
        assert!(linker_flags().contains("gitMinor=35") && KUBERNETES.starts_with("v1.35."));
    }
}
