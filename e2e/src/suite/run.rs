//! One run of cargo's tests. In: what cargo shall run, and on which cluster and database. Out: whether all passed, and how many ran.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::failures::Failures;
use crate::postgres::Server;
use crate::process::{end_with_descendants, wait_until};
use crate::{Cluster, beside, command, paths, progress};

/// For one run of cargo, compilation included.
const LIMIT: Duration = Duration::from_secs(75 * 60);
/// The same with the long campaigns.
const CAMPAIGN: Duration = Duration::from_secs(12 * 3600);

/// Cargo at work. Dropping it ends it, with all that it has started.
pub struct Run {
    what: String,
    cargo: Child,
    limit: Duration,
    reader: Reader,
}

/// How the output gets to people.
enum Reader {
    /// At once, by this thread.
    Now(JoinHandle<()>, Arc<Heard>),
    /// In the end, from this file.
    Later(PathBuf),
}

/// What the output told.
#[derive(Default)]
struct Heard {
    /// The first program with tests has begun.
    built: AtomicBool,
    /// How many tests ran.
    tests: AtomicU64,
    failures: Mutex<Failures>,
}

/// What runs of cargo came to.
#[derive(Debug)]
pub struct Outcome {
    /// Whether nothing failed.
    pub success: bool,
    /// How many tests ran.
    pub tests: u64,
    /// The failed ones and what they said, as lines for people.
    pub failures: Vec<String>,
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
        Ok(self.started(options, cargo, Reader::Now(thread, heard)))
    }

    /// Starts cargo with what others leave of the processors; its output comes when it is finished.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_beside(self, options: &[&str]) -> Result<Run> {
        let log = paths::log("beside");
        fs::create_dir_all(paths::state("logs"))?;
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let cargo = self
            .prepared(&mut beside::last("cargo"), options, &[])?
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .context("cannot start cargo")?;
        Ok(self.started(options, cargo, Reader::Later(log)))
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

    fn started(self, options: &[&str], cargo: Child, reader: Reader) -> Run {
        let what = format!("cargo {}", options.join(" "));
        progress::note(&format!("running {what}"));
        Run {
            what,
            cargo,
            limit: if self.campaign { CAMPAIGN } else { LIMIT },
            reader,
        }
    }
}

impl Run {
    /// Waits until the first program with tests begins, or cargo has ended.
    ///
    /// # Errors
    /// When that takes too long.
    pub fn wait_until_built(&mut self) -> Result<()> {
        let (what, cargo, reader) = (&self.what, &mut self.cargo, &self.reader);
        let built = || reader.is_built() || !matches!(cargo.try_wait(), Ok(None));
        progress::step(&format!("{what}: built"), || {
            ensure!(
                wait_until(self.limit, built, || true),
                "{what} did not build in time"
            );
            Ok(())
        })
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// When it does not come in time.
    pub fn finish(mut self) -> Result<Outcome> {
        let what = self.what.clone();
        progress::step(&what, || self.ended())
    }

    fn ended(&mut self) -> Result<Outcome> {
        let mut status = None;
        let cargo = &mut self.cargo;
        let ended = || {
            status = cargo.try_wait().ok().flatten();
            status.is_some()
        };
        let minutes = self.limit.as_secs() / 60;
        ensure!(
            wait_until(self.limit, ended, || true),
            "{} did not end within {minutes} minutes and was killed: look which test was last{}",
            self.what,
            self.reader.place()
        );
        let heard = self.reader.heard()?;
        let failures = heard
            .failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(Outcome {
            success: status.is_some_and(|status| status.success()),
            tests: heard.tests.load(Ordering::Relaxed),
            failures: failures.told().to_vec(),
        })
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if !matches!(self.cargo.try_wait(), Ok(Some(_))) {
            end_with_descendants(&mut self.cargo);
        }
    }
}

impl Reader {
    fn is_built(&self) -> bool {
        matches!(self, Self::Now(_, heard) if heard.built.load(Ordering::Relaxed))
    }

    /// Where the output is, if it is not here.
    fn place(&self) -> String {
        match self {
            Self::Now(..) => String::new(),
            Self::Later(log) => format!(" in {}", log.display()),
        }
    }

    /// What the output told; called when cargo has ended.
    fn heard(&self) -> Result<Arc<Heard>> {
        match self {
            Self::Now(thread, heard) => {
                // Not longer: a program that a test left behind would hold the output open.
                wait_until(Duration::from_secs(5), || thread.is_finished(), || true);
                Ok(heard.clone())
            }
            Self::Later(log) => {
                let file =
                    File::open(log).with_context(|| format!("cannot read {}", log.display()))?;
                let heard = Arc::new(Heard::default());
                pass_on(file, &heard);
                Ok(heard)
            }
        }
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
        if line.starts_with("running ") {
            heard.built.store(true, Ordering::Relaxed);
        }
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
