//! The project's images: built from this checkout, pushed to the cluster's registry, skipped when nothing changed.
//! What goes in: the sources, the commit named in `e2e/previous-release`, Debian's PostgreSQL and Flask. What comes out: [`Images`].

mod binaries;
mod debian;
mod flask;
pub mod gateway;
mod pack;
mod postgres;
mod previous;

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::cluster::Choice;
use crate::{Cluster, command, lock, node, packages, paths, progress};
use binaries::{Build, FAULTY_SERVICE, OPERATOR, SERVICE, kept};
use pack::{Config, Content, Image};

/// Image references as a pod spec has them.
#[derive(Clone, Debug)]
pub struct Images {
    /// The operator of this checkout.
    pub operator: String,
    /// `crm-service` of the previous release, 1.0.0.
    pub previous: String,
    /// `crm-service` of this checkout.
    pub current: String,
    /// `crm-service` of this checkout with the fault that only the acceptance suite sees.
    pub faulty: String,
    /// PostgreSQL 15.
    pub postgres: String,
    /// A small service in Python that knows nothing of this project.
    pub flask: String,
}

/// Where Debian's ca-certificates keeps its bundle, and where the operator looks for it.
const CA_CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Version of the release in `e2e/previous-release`.
pub const PREVIOUS: &str = "1.0.0";
/// Version under which the faulty build goes.
pub const FAULTY: &str = "1.2.0-bad";

impl Images {
    /// The references of all images in `registry`; builds nothing.
    ///
    /// # Errors
    /// When the versions cannot be read from the workspace.
    pub fn in_registry(registry: &str) -> Result<Self> {
        let operator = Package::read("crm-operator")?.version;
        let current = Package::read("crm-service")?.version;
        Ok(Self {
            operator: format!("{registry}/crm-operator:{operator}"),
            previous: format!("{registry}/crm-service:{PREVIOUS}"),
            current: format!("{registry}/crm-service:{current}"),
            faulty: format!("{registry}/crm-service:{FAULTY}"),
            postgres: format!("{registry}/postgres:15"),
            flask: format!("{registry}/flask:1"),
        })
    }
}

/// What the images are for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Purpose {
    /// The tests, which use all of them.
    Tests,
    /// The demonstration, which does not use `flask`.
    Demo,
}

/// Brings up the cluster, and builds and pushes the images for that purpose.
///
/// # Errors
/// When the cluster or an image cannot be made.
pub fn build(purpose: Purpose) -> Result<Cluster> {
    let _lock = lock::take()?;
    bring_up(purpose)
}

/// As [`build`], for callers that hold the lock.
pub(crate) fn bring_up(purpose: Purpose) -> Result<Cluster> {
    // What cannot work is refused before the first build, which takes minutes.
    let choice = Choice::make()?;
    packages::ensure(packages::IMAGES)?;
    previous::refuse_without_commit()?;
    let build = Build::start()?;
    let cluster = choice.bring_up()?;
    push(&cluster, build, purpose)?;
    Ok(cluster)
}

/// Each is pushed as soon as its build has ended.
fn push(cluster: &Cluster, build: Build, purpose: Purpose) -> Result<()> {
    let registry = &cluster.registry;
    let images = Images::in_registry(registry)?;
    build.finish()?;
    let mut operator = rust("crm-operator", &images.operator, &kept(OPERATOR));
    // For registries that speak https: an image from scratch has no CA certificates.
    operator.content.push(Content {
        from: CA_CERTIFICATES.into(),
        to: CA_CERTIFICATES.to_owned(),
        mode: "644",
    });
    operator.push(registry)?;
    rust("crm-service", &images.current, &kept(SERVICE)).push(registry)?;
    let faulty = Package::read("crm-service")?
        .features
        .contains(&"fault".to_owned());
    let faulty = faulty.then(Build::start_faulty).transpose()?;
    postgres::ensure(cluster)?;
    if purpose == Purpose::Tests {
        flask::ensure(cluster)?;
    }
    if let Some(build) = faulty {
        build.finish()?;
        rust("crm-service", &images.faulty, &kept(FAULTY_SERVICE)).push(registry)?;
    } else {
        progress::note("skipped crm-service:1.2.0-bad: crm-service has no cargo feature `fault`");
    }
    match previous::build()? {
        Some(binary) => rust("crm-service", &images.previous, &binary).push(registry)?,
        None => progress::note(
            "skipped crm-service:1.0.0 of the previous release: there is no file e2e/previous-release",
        ),
    }
    Ok(())
}

/// Pushes what the local node itself needs, and every project image that was built before: its registry forgets all tags when it restarts.
pub(crate) fn push_node_images() -> Result<()> {
    let registry = node::REGISTRY;
    pause().push(registry)?;
    coredns().push(registry)?;
    pack::push_saved(registry)
}

fn rust(name: &str, reference: &str, binary: &Path) -> Image {
    let version = version_of(reference);
    Image {
        name: name.to_owned(),
        tag: version.to_owned(),
        content: vec![Content {
            from: binary.to_owned(),
            to: format!("/{name}"),
            mode: "755",
        }],
        rootfs: None,
        config: Config::rust(name, version),
    }
}

fn pause() -> Image {
    let from = "/usr/bin/catatonit".into();
    Image {
        name: "pause".to_owned(),
        tag: "1".to_owned(),
        content: vec![Content {
            from,
            to: "/pause".to_owned(),
            mode: "755",
        }],
        rootfs: None,
        config: Config {
            entrypoint: vec!["/pause".to_owned(), "-P".to_owned()],
            user: "65535:65535".to_owned(),
            ..Config::default()
        },
    }
}

fn coredns() -> Image {
    Image {
        name: "coredns".to_owned(),
        tag: "local".to_owned(),
        content: vec![Content {
            from: paths::tool("coredns"),
            to: "/coredns".to_owned(),
            mode: "755",
        }],
        rootfs: None,
        config: Config {
            entrypoint: vec!["/coredns".to_owned()],
            ..Config::default()
        },
    }
}

fn version_of(reference: &str) -> &str {
    reference
        .rsplit_once(':')
        .expect("a reference made here has a tag")
        .1
}

/// What cargo says of a package of the workspace.
struct Package {
    version: String,
    features: Vec<String>,
}

impl Package {
    fn read(name: &str) -> Result<Self> {
        let mut cargo = command::within(60, "cargo");
        cargo.current_dir(paths::checkout()).args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version=1",
        ]);
        let metadata: Value = serde_json::from_str(&command::output(&mut cargo)?)?;
        let packages = metadata["packages"]
            .as_array()
            .context("cargo metadata lists no packages")?;
        let package = packages.iter().find(|package| package["name"] == name);
        let package = package.with_context(|| format!("the workspace has no package {name}"))?;
        let version = package["version"]
            .as_str()
            .context("a package has no version")?
            .to_owned();
        let features = package["features"]
            .as_object()
            .context("a package has no features")?;
        Ok(Self {
            version,
            features: features.keys().cloned().collect(),
        })
    }
}
