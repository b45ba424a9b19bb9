//! Runs the workspace's tests with everything they need: a cluster, the images, a database, and the programs on PATH.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::postgres::Server;
use crate::{Cluster, images, lock, paths, progress};

/// Runs all tests whose name contains `filter`; the exit code is cargo's.
///
/// # Errors
/// When the cluster, an image or the database cannot be made; then no test has run.
pub fn run(filter: &[String]) -> Result<ExitCode> {
    let (cluster, server) = {
        let _lock = lock::take()?;
        let cluster = Cluster::bring_up()?;
        images::ensure(&cluster)?;
        (cluster, Server::start()?)
    };
    progress::note("running cargo test --workspace --include-ignored");
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(paths::checkout())
        .args([
            "test",
            "--workspace",
            "--no-fail-fast",
            "--",
            "--include-ignored",
        ])
        .args(filter)
        .envs(cluster.environment()?)
        .env("DATABASE_URL", &server.url);
    let status = cargo.status().context("cannot start cargo")?;
    progress::note(if status.success() {
        "all tests passed"
    } else {
        "tests FAILED"
    });
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}
