//! Static release binaries of this checkout for the images. Always asks cargo, which knows best what changed. They are built beside other work: one processor is often
//! idle while a large crate is compiled, and while a node starts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::beside::{self, Work};
use crate::{command, paths, progress};

/// For one build.
const LIMIT: Duration = Duration::from_secs(3600);

/// What the operator is kept as.
pub const OPERATOR: &str = "crm-operator";
/// What the service is kept as.
pub const SERVICE: &str = "crm-service";
/// What the service with the fault is kept as.
pub const FAULTY_SERVICE: &str = "crm-service-faulty";

/// A build at work.
pub struct Build {
    work: Work,
    /// What cargo calls it, and what it is kept as.
    binaries: &'static [(&'static str, &'static str)],
}

impl Build {
    /// Starts to build `crm-operator` and `crm-service` of this checkout.
    pub fn start() -> Result<Self> {
        add_target(&target())?;
        if !kept(OPERATOR).exists() {
            progress::note(
                "crm-operator and crm-service take 10 to 15 minutes on 2 cores the first time",
            );
        }
        let flags = ["--bin", "crm-operator", "--bin", "crm-service"];
        let work = work(
            "building crm-operator and crm-service",
            &flags,
            "cargo-current",
        )?;
        let binaries = &[("crm-operator", OPERATOR), ("crm-service", SERVICE)];
        Ok(Self { work, binaries })
    }

    /// Starts to build `crm-service` of this checkout with the fault that the acceptance suite must find. The other build has ended.
    pub fn start_faulty() -> Result<Self> {
        let flags = ["--features", "crm-service/fault", "--bin", "crm-service"];
        let work = work("building crm-service with the fault", &flags, "cargo-fault")?;
        let binaries = &[("crm-service", FAULTY_SERVICE)];
        Ok(Self { work, binaries })
    }

    /// Waits until the binaries are there and kept.
    pub fn finish(self) -> Result<()> {
        self.work.finish(LIMIT)?;
        for (name, kept) in self.binaries {
            keep(name, kept)?;
        }
        Ok(())
    }
}

fn work(what: &str, flags: &[&str], log: &str) -> Result<Work> {
    let mut cargo = beside::program("cargo", beside::Share::Rest);
    Work::start(what, prepared(&mut cargo, paths::checkout(), flags), log)
}

/// Where a binary is kept.
pub fn kept(name: &str) -> PathBuf {
    paths::state("images/bin").join(name)
}

fn target() -> String {
    format!("{}-unknown-linux-musl", std::env::consts::ARCH)
}

fn add_target(target: &str) -> Result<()> {
    let library = command::output(command::within(60, "rustc").args([
        "--print",
        "target-libdir",
        "--target",
        target,
    ]))?;
    if Path::new(library.trim()).is_dir() {
        return Ok(());
    }
    progress::step(&format!("adding the Rust target {target}"), || {
        command::output(command::within(600, "rustup").args(["target", "add", target]))
            .with_context(|| format!("cannot add the Rust target {target}: install it by hand"))
    })?;
    Ok(())
}

/// Cargo with all that every build has; both packages are always named, so that every build shares the same dependencies with the same features.
pub fn prepared<'c>(cargo: &'c mut Command, folder: &Path, flags: &[&str]) -> &'c mut Command {
    cargo
        .current_dir(folder)
        // A folder of its own, so that it waits for no other build of this checkout.
        .env("CARGO_TARGET_DIR", paths::state("cargo"))
        // The Dockerfile's build is smaller and faster, this one is there minutes sooner.
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_RELEASE_INCREMENTAL", "true")
        .args(["build", "--locked", "--release", "--target", &target()])
        .args(["--package", "crm-operator", "--package", "crm-service"])
        .args(flags)
}

/// Copies a binary to a name of its own: the next build with other features writes to the same place.
pub fn keep(built: &str, name: &str) -> Result<()> {
    let folder = paths::state("cargo").join(target()).join("release");
    let (built, copy) = (folder.join(built), kept(name));
    fs::create_dir_all(paths::state("images/bin"))?;
    // Renamed when it is whole: the previous release's is taken for granted once it is there.
    let unfinished = kept(&format!("{name}.unfinished"));
    fs::copy(&built, &unfinished).with_context(|| format!("cargo built no {}", built.display()))?;
    fs::rename(unfinished, copy)?;
    Ok(())
}
