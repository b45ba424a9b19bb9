//! Builds the pinned Go programs of `e2e/tools` into `target/e2e/bin`; does nothing when they are there for the same sources and flags.

use std::fs;

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
/// `tool` is Go's word for every tool that the module file lists.
const EVERYTHING: &[&str] = &["tool", "./etcd", "./coredns"];
const SOURCES: &[&str] = &["go.mod", "go.sum", "etcd/main.go", "coredns/main.go"];

/// Which programs are needed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Set {
    /// `kubectl`, `helm` and `crane`: for a cluster that is there already.
    Clients,
    /// The clients and everything the local node runs.
    Node,
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
    let what = match set {
        Set::Clients => "built kubectl, helm and crane",
        Set::Node => "built Kubernetes, etcd, CoreDNS, helm and crane",
    };
    let hint = "(about 10 minutes on 2 cores, once)";
    progress::note(&format!(
        "building programs from e2e/tools {hint}; log: {}",
        log.display()
    ));
    progress::step_with_hint(what, hint, || build(set, &log))?;
    for part in [Set::Clients, set] {
        fs::write(stamp(part), &mark)?;
    }
    Ok(mark)
}

fn build(set: Set, log: &std::path::Path) -> Result<()> {
    fs::create_dir_all(paths::bin())?;
    // Until the build is done, what lies there may be a mixture.
    for part in [Set::Clients, Set::Node] {
        fs::remove_file(stamp(part)).ok();
    }
    let packages = if set == Set::Clients {
        CLIENTS
    } else {
        EVERYTHING
    };
    let mut go = command::within(5400, "go");
    go.current_dir(paths::checkout().join("e2e/tools"))
        .env("CGO_ENABLED", "0")
        // A compiler that ends soon need not tidy up its memory: a quarter less work.
        .env("GOGC", "400")
        // Writable, so that the folder can be removed as any other.
        .env("GOFLAGS", "-mod=readonly -modcacherw")
        .env("GOPATH", paths::state("go"))
        .env("GOMODCACHE", paths::state("go/pkg/mod"))
        .env("GOCACHE", paths::state("go/build"))
        .args(["build", "-trimpath", "-buildvcs=false", "-ldflags"])
        .arg(linker_flags())
        // The trailing slash makes Go put each program into this folder.
        .arg("-o")
        .arg(format!("{}/", paths::bin().display()))
        .args(packages);
    command::logged(&mut go, log)
}

fn linker_flags() -> String {
    let version = "k8s.io/component-base/version";
    let [major, minor] = ["1", "35"];
    format!(
        "-s -w -X {version}.gitVersion={KUBERNETES} -X {version}.gitMajor={major} -X {version}.gitMinor={minor} -X {version}.gitTreeState=clean -X k8s.io/client-go/pkg/version.gitVersion={KUBERNETES}"
    )
}

fn built(set: Set, mark: &str) -> bool {
    let present = |name: &str| paths::tool(name).is_file();
    fs::read_to_string(stamp(set)).is_ok_and(|stamp| stamp == mark)
        && present("kubectl")
        && (set == Set::Clients || (present("kubelet") && present("etcd")))
}

fn stamp(set: Set) -> std::path::PathBuf {
    paths::bin().join(match set {
        Set::Clients => ".clients",
        Set::Node => ".node",
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
