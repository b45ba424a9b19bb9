//! Static release binaries for the images. Always asks cargo, which knows best what changed; the previous release is built once per commit.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::{command, paths, progress};

/// Builds `crm-operator` of this checkout.
pub fn operator() -> Result<PathBuf> {
    add_target(&target())?;
    progress::step("built crm-operator", || {
        cargo(
            paths::checkout(),
            &["--bin", "crm-operator"],
            "cargo-operator",
        )
    })?;
    keep("crm-operator", "crm-operator")
}

/// Builds `crm-service` of this checkout.
pub fn current() -> Result<PathBuf> {
    progress::step("built crm-service", || {
        cargo(
            paths::checkout(),
            &["--bin", "crm-service"],
            "cargo-service",
        )
    })?;
    keep("crm-service", "crm-service")
}

/// Builds `crm-service` of this checkout with the fault that the acceptance suite must find.
pub fn faulty() -> Result<PathBuf> {
    let flags = ["--features", "crm-service/fault", "--bin", "crm-service"];
    progress::step("built crm-service with the fault", || {
        cargo(paths::checkout(), &flags, "cargo-fault")
    })?;
    keep("crm-service", "crm-service-faulty")
}

/// Builds `crm-service` of the commit in `e2e/previous-release`; nothing when there is no such file.
pub fn previous() -> Result<Option<PathBuf>> {
    let Ok(text) = fs::read_to_string(paths::checkout().join("e2e/previous-release")) else {
        return Ok(None);
    };
    let commit = text.trim();
    ensure!(
        commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "e2e/previous-release must hold one full commit id, but holds {commit:?}"
    );
    let kept = format!("crm-service-{commit}");
    let path = paths::state("images/bin").join(&kept);
    if path.exists() {
        return Ok(Some(path));
    }
    progress::step(
        &format!(
            "built crm-service of the previous release, commit {}",
            &commit[..10]
        ),
        || {
            let tree = checked_out(commit)?;
            cargo(&tree, &["--bin", "crm-service"], "cargo-previous")?;
            keep("crm-service", &kept).map(Some)
        },
    )
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
    progress::step(&format!("added the Rust target {target}"), || {
        command::output(command::within(600, "rustup").args(["target", "add", target]))
            .with_context(|| format!("cannot add the Rust target {target}: install it by hand"))
    })?;
    Ok(())
}

/// Both packages are always named, so that every build shares the same dependencies with the same features.
fn cargo(folder: &Path, flags: &[&str], log: &str) -> Result<()> {
    let mut cargo = command::within(3600, "cargo");
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
        .args(flags);
    command::logged(&mut cargo, &paths::log(log))
}

/// Copies a binary to a name of its own: the next build with other features writes to the same place.
fn keep(name: &str, kept: &str) -> Result<PathBuf> {
    let built = paths::state("cargo")
        .join(target())
        .join("release")
        .join(name);
    let folder = paths::state("images/bin");
    fs::create_dir_all(&folder)?;
    let copy = folder.join(kept);
    // Renamed when it is whole: the previous release's is taken for granted once it is there.
    let unfinished = folder.join(format!("{kept}.unfinished"));
    fs::copy(&built, &unfinished).with_context(|| format!("cargo built no {}", built.display()))?;
    fs::rename(unfinished, &copy)?;
    Ok(copy)
}

/// The sources of a commit in a folder of their own; an archive, because a second work tree would be registered in the repository.
fn checked_out(commit: &str) -> Result<PathBuf> {
    let folder = paths::state("previous");
    fs::remove_dir_all(&folder).ok();
    fs::create_dir_all(&folder)?;
    let archive = paths::state("previous.tar");
    let mut git = command::within(60, "git");
    git.current_dir(paths::checkout())
        .args(["archive", "--format=tar", "--output"])
        .arg(&archive)
        .arg(commit);
    command::output(&mut git).with_context(|| {
        format!("the previous release's commit {commit} is not in this clone: a shallow clone needs `git fetch --unshallow`")
    })?;
    command::output(
        command::within(60, "tar")
            .arg("-C")
            .arg(&folder)
            // As new: by the commit's date cargo would take a build of an earlier pin, made since, for fresh.
            .arg("--touch")
            .arg("-xf")
            .arg(&archive),
    )?;
    fs::remove_file(archive)?;
    Ok(folder)
}
