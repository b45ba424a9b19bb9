//! Runs the workspace's tests with everything they need: a cluster, the images, a database, and the programs on PATH. A run that ran no test is an error.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::process::{ChildStdout, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::postgres::Server;
use crate::process::{end_with_descendants, wait_until};
use crate::{Cluster, command, images, lock, paths, progress};

/// For one run of cargo, compilation included.
const LIMIT: Duration = Duration::from_secs(75 * 60);
/// The same with the long campaigns.
const CAMPAIGN: Duration = Duration::from_secs(12 * 3600);
/// The test of the service's cargo feature, with the whole workspace, so that the dependencies are those of the other tests.
const FAULT: [&str; 6] = [
    "test",
    "--workspace",
    "--features",
    "crm-service/fault",
    "--test",
    "api",
];
/// Runs of cargo, each a build of its own, and which tests they run when nobody names some. The simulation is an alias of the project: it is optimised.
const RUNS: [(&[&str], &[&str]); 3] = [
    (&["test", "--workspace"], &[]),
    (&["simulation"], &[]),
    (&FAULT, &["faulty"]),
];

/// Runs all tests whose name contains `filter`, with the long campaigns if that is wanted. Without a filter these are all runs; with one it is the first run that has such a test, and with the campaigns the simulation.
///
/// # Errors
/// When the cluster, an image or the database cannot be made, then no test has run; when no test has `filter` in its name; when the tests take too long.
pub fn run(filter: &[String], campaign: bool) -> Result<ExitCode> {
    let (cluster, server) = {
        let _lock = lock::take()?;
        let cluster = Cluster::bring_up()?;
        images::ensure(&cluster)?;
        (cluster, Server::start()?)
    };
    let (mut success, mut tests) = (true, 0);
    for (options, of_all) in RUNS {
        // With the campaigns the simulation is what people ask for.
        let is_asked = campaign && options == ["simulation"];
        if !filter.is_empty() && !is_asked && (tests > 0 || !success) {
            continue;
        }
        let names = match filter {
            [] => of_all.to_vec(),
            filter => filter.iter().map(String::as_str).collect(),
        };
        let run = Run::of((&cluster, &server), options, (&names, campaign))?;
        ensure!(
            !filter.is_empty() || !run.success || run.tests > 0,
            "cargo {} ran no test",
            options.join(" ")
        );
        success &= run.success;
        tests += run.tests;
    }
    ensure!(
        !success || tests > 0,
        "no test has {} in its name: nothing has run",
        filter.join(" ")
    );
    progress::note(if success {
        "all tests passed"
    } else {
        "tests FAILED"
    });
    Ok(if success {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What a run of cargo came to.
struct Run {
    success: bool,
    tests: u64,
}

impl Run {
    fn of(
        (cluster, server): (&Cluster, &Server),
        options: &[&str],
        (filter, campaign): (&[&str], bool),
    ) -> Result<Self> {
        let mut cargo = command::program("cargo");
        cargo
            .current_dir(paths::checkout())
            .args(options)
            .args(["--no-fail-fast", "--", "--include-ignored"])
            .args(filter)
            .envs(cluster.environment()?)
            .envs(campaign.then_some(("CRM_CAMPAIGN", "whole")))
            .env("DATABASE_URL", &server.url)
            .env("RUST_TEST_THREADS", threads().to_string());
        for name in told_by_cargo() {
            cargo.env_remove(name);
        }
        let what = format!("cargo {}", options.join(" "));
        progress::note(&format!("running {what}"));
        progress::step(&what, || {
            Self::watched(&mut cargo, if campaign { CAMPAIGN } else { LIMIT })
        })
    }

    /// Passes on what cargo prints, and counts the tests.
    fn watched(cargo: &mut Command, limit: Duration) -> Result<Self> {
        let mut child = cargo
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start cargo")?;
        let stdout = child.stdout.take().expect("standard output is piped");
        let tests = Arc::new(AtomicU64::new(0));
        let counter = tests.clone();
        let reader = std::thread::spawn(move || pass_on(stdout, &counter));
        let mut status = None;
        let ended = || {
            status = child.try_wait().ok().flatten();
            status.is_some()
        };
        if !wait_until(limit, ended, || true) {
            end_with_descendants(&mut child);
            bail!(
                "the tests did not end within {} minutes and were killed: look which one was last",
                limit.as_secs() / 60
            );
        }
        // Not longer: a program that a test left behind would hold the output open.
        wait_until(Duration::from_secs(5), || reader.is_finished(), || true);
        Ok(Self {
            success: status.is_some_and(|status| status.success()),
            tests: tests.load(Ordering::Relaxed),
        })
    }
}

/// One more than there are processors: the tests on the cluster wait most of their time.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get) + 1
}

/// What `cargo run` says of this program. The build script of ring looks at it: it would run again, and all that rests on it, whenever people call cargo themselves in between.
fn told_by_cargo() -> impl Iterator<Item = OsString> {
    let names = std::env::vars_os().map(|(name, _)| name);
    names.filter(|name| {
        let name = name.to_string_lossy();
        name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
    })
}

fn pass_on(output: ChildStdout, tests: &AtomicU64) {
    let lines = BufReader::new(output).split(b'\n').map_while(Result::ok);
    for line in lines {
        let line = String::from_utf8_lossy(&line).into_owned();
        println!("{line}");
        tests.fetch_add(tests_of(&line), Ordering::Relaxed);
    }
}

/// How many tests a line such as `test result: ok. 3 passed; 1 failed; ...` tells of.
fn tests_of(line: &str) -> u64 {
    let Some(result) = line.strip_prefix("test result: ") else {
        return 0;
    };
    let counted = result.split(['.', ';']).filter_map(|part| {
        let (count, what) = part.trim().split_once(' ')?;
        matches!(what, "passed" | "failed").then(|| count.parse::<u64>().ok())?
    });
    counted.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passed_and_failed_tests_are_counted_and_filtered_ones_are_not() {
        let line = "test result: FAILED. 3 passed; 1 failed; 2 ignored; 0 measured; 9 filtered out; finished in 0.36s";
        assert_eq!(tests_of(line), 4);
        assert_eq!(
            tests_of("test result: ok. 0 passed; 0 failed; 9 ignored"),
            0
        );
        assert_eq!(tests_of("test tests::one ... ok"), 0);
    }
}
