//! One run of cargo's tests. In: what cargo shall run, and on which cluster and database. Out: whether all passed, and how many ran.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::failures::Failures;
pub use crate::beside::Share;
use crate::beside::{self, Work};
use crate::postgres::Server;
use crate::process::{end_with_descendants, wait_until};
use crate::{Cluster, command, paths, progress};

/// For one run of cargo, compilation included.
const LIMIT: Duration = Duration::from_secs(75 * 60);
/// The same with the long campaigns.
const CAMPAIGN: Duration = Duration::from_secs(12 * 3600);

/// Cargo at work, whose output is passed on at once. Dropping it ends it, with all that it has started.
pub struct Run {
    what: String,
    cargo: Child,
    limit: Duration,
    reader: JoinHandle<()>,
    heard: Arc<Heard>,
}

/// Cargo at work beside another, whose output comes when it has ended.
pub struct RunBeside {
    what: String,
    work: Work,
    limit: Duration,
}

/// What the output told.
#[derive(Default)]
struct Heard {
    /// How many tests ran.
    tests: AtomicU64,
    failures: Mutex<Failures>,
}

/// What a run of cargo came to.
#[derive(Debug)]
pub struct Outcome {
    /// Whether nothing failed.
    pub success: bool,
    /// How many tests ran.
    pub tests: u64,
    /// What failed and why, as lines for people.
    pub failures: Vec<String>,
    /// The same, a line for each.
    pub in_short: Vec<String>,
}

impl Outcome {
    /// Of a run that ended, or did not.
    fn of(what: &str, ended: Result<ExitStatus>, heard: &Heard) -> Self {
        let told = heard.failures.lock();
        let told = told.unwrap_or_else(PoisonError::into_inner);
        let (mut failures, in_short) = (told.told(), told.in_short());
        let success = ended.as_ref().is_ok_and(ExitStatus::success);
        match ended {
            Err(error) => failures.push(format!("{what}: {error:#}")),
            Ok(status) if !success && failures.is_empty() => failures.push(format!(
                "{what} failed ({status}) and no test said why: look for its errors above"
            )),
            Ok(_) => {}
        }
        Self {
            success,
            tests: heard.tests.load(Ordering::Relaxed),
            failures,
            in_short,
        }
    }

    /// The same, but a failure if no test ran.
    pub fn with_tests(mut self) -> Self {
        if self.success && self.tests == 0 {
            self.success = false;
            self.failures
                .push("one of the runs of cargo ran no test".to_owned());
        }
        self
    }
}

/// What every run is given.
#[derive(Clone, Copy)]
pub struct Setting<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// The database of the services' tests.
    pub server: &'a Server,
    /// With the long campaigns.
    pub campaign: bool,
}

impl Setting<'_> {
    /// Starts cargo with `options`, for the tests with one of the names.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(self, options: &[&str], filter: &[&str]) -> Result<Run> {
        let mut cargo = command::program("cargo");
        let mut cargo = self
            .prepared(&mut cargo, options, filter)?
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start cargo")?;
        let stdout = cargo.stdout.take().expect("standard output is piped");
        let heard = Arc::new(Heard::default());
        let listener = heard.clone();
        let thread = std::thread::spawn(move || pass_on(stdout, &listener));
        let what = told(options);
        progress::note(&format!("running {what}"));
        Ok(Run {
            what,
            cargo,
            limit: self.limit(),
            reader: thread,
            heard,
        })
    }

    /// Starts cargo beside another run.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_beside(
        self,
        options: &[&str],
        filter: &[&str],
        share: Share,
    ) -> Result<RunBeside> {
        let what = told(options);
        let mut cargo = beside::program("cargo", share);
        let cargo = self.prepared(&mut cargo, options, filter)?;
        let work = Work::start(&what, cargo, "beside")?;
        Ok(RunBeside {
            what,
            work,
            limit: self.limit(),
        })
    }

    fn limit(self) -> Duration {
        if self.campaign { CAMPAIGN } else { LIMIT }
    }

    fn prepared<'c>(
        self,
        cargo: &'c mut Command,
        options: &[&str],
        filter: &[&str],
    ) -> Result<&'c mut Command> {
        cargo
            .current_dir(paths::checkout())
            .args(options)
            .args(["--no-fail-fast", "--", "--include-ignored"])
            .args(filter)
            .envs(self.cluster.environment()?)
            .envs(self.campaign.then_some(("CRM_CAMPAIGN", "whole")))
            .env("DATABASE_URL", &self.server.url)
            .env("RUST_TEST_THREADS", threads().to_string());
        for name in told_by_cargo() {
            cargo.env_remove(name);
        }
        Ok(cargo)
    }
}

fn told(options: &[&str]) -> String {
    format!("cargo {}", options.join(" "))
}

impl Run {
    /// Waits for the end; one that does not come in time is a failure.
    pub fn finish(mut self) -> Outcome {
        let what = self.what.clone();
        let ended = progress::step(&what, || self.ended());
        // Not longer: a program that a test left behind would hold the output open.
        wait_until(
            Duration::from_secs(5),
            || self.reader.is_finished(),
            || true,
        );
        Outcome::of(&what, ended, &self.heard)
    }

    fn ended(&mut self) -> Result<ExitStatus> {
        let mut status = None;
        let cargo = &mut self.cargo;
        let ended = || {
            status = cargo.try_wait().ok().flatten();
            status.is_some()
        };
        let minutes = self.limit.as_secs() / 60;
        ensure!(
            wait_until(self.limit, ended, || true),
            "it did not end within {minutes} minutes and was killed: look which test was last"
        );
        status.context("its end was seen and is not known")
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if !matches!(self.cargo.try_wait(), Ok(Some(_))) {
            end_with_descendants(&mut self.cargo);
        }
    }
}

impl RunBeside {
    /// Waits for the end and prints what it said.
    pub fn finish(mut self) -> Outcome {
        let heard = Heard::default();
        let (since, log) = (self.work.since(), self.work.log().to_owned());
        let ended = progress::step_since(since, &self.what, &log, || {
            let ended = self.work.ended(self.limit);
            if let Ok(output) = File::open(&log) {
                pass_on(output, &heard);
            }
            ended
        });
        Outcome::of(&self.what, ended, &heard)
    }
}

fn pass_on(output: impl Read, heard: &Heard) {
    let lines = BufReader::new(output).split(b'\n').map_while(Result::ok);
    for line in lines {
        let line = String::from_utf8_lossy(&line).into_owned();
        println!("{line}");
        heard.tests.fetch_add(tests_of(&line), Ordering::Relaxed);
        heard
            .failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .hear(&line);
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

/// What `cargo run` says of this program. The build script of ring looks at it: it would run again, and all that rests on it, whenever people call cargo themselves in between.
fn told_by_cargo() -> impl Iterator<Item = OsString> {
    let names = std::env::vars_os().map(|(name, _)| name);
    names.filter(|name| {
        let name = name.to_string_lossy();
        name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
    })
}

/// One more than there are processors: the tests on the cluster wait most of their time.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get) + 1
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
