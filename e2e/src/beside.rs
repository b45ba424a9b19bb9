//! Work beside other work: a program that gets its share of the processors, or only what others leave. Its output is in its log; dropping it ends it, with all that
//! it has started.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::process::{end_group, wait_until};
use crate::{command, paths, progress};

/// In a session of its own, because the kernel shares the processors out by sessions; `$0` is how nice it is. No terminal ends it there: when the thread that started
/// it is gone, the kernel tells the shell, and the shell its whole group.
const SCRIPT: &str = "trap 'trap - TERM; kill 0' TERM
echo $0 >/proc/self/autogroup
nice -n $0 \"$@\" & wait $!";

/// What a program gets of the processors.
#[derive(Clone, Copy, Debug)]
pub enum Share {
    /// As much as any other.
    Fair,
    /// What others leave.
    Rest,
}

/// `program`, which ends with the thread that starts it, and so does all that it has started.
pub fn program(program: impl AsRef<OsStr>, share: Share) -> Command {
    let nice = match share {
        Share::Fair => "0",
        Share::Rest => "19",
    };
    let mut command = command::program("setsid");
    command
        .args(["setpriv", "--pdeathsig", "TERM", "sh", "-c", SCRIPT, nice])
        .arg(program);
    command
}

/// A program at work.
pub struct Work {
    what: String,
    child: Child,
    log: PathBuf,
    since: Instant,
}

impl Work {
    /// Starts a command of [`program`], with its output in the log of that name; `what` reads like "building etcd".
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(what: &str, command: &mut Command, log: &str) -> Result<Self> {
        fs::create_dir_all(paths::state("logs"))?;
        let log = paths::log(log);
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start `setsid` for: {what}"))?;
        progress::note(&format!(
            "{what}, beside what comes next; log: {}",
            log.display()
        ));
        Ok(Self {
            what: what.to_owned(),
            child,
            log,
            since: Instant::now(),
        })
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it exits with a failure or not within `limit`; the message has the end of the log and its path.
    pub fn finish(mut self, limit: Duration) -> Result<()> {
        let (what, log) = (self.what.clone(), self.log.clone());
        progress::step_since(self.since, &what, &log, || {
            let status = self.ended(limit)?;
            if !status.success() {
                let text = fs::read(&self.log).unwrap_or_default();
                bail!(
                    "it failed ({status}); the end of {}:\n{}",
                    self.log.display(),
                    command::last_lines(&String::from_utf8_lossy(&text), 30)
                );
            }
            Ok(())
        })
    }

    /// Where its output is.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// When it was started.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// How it ended.
    ///
    /// # Errors
    /// When it did not within `limit`.
    pub fn ended(&mut self, limit: Duration) -> Result<ExitStatus> {
        let mut status = None;
        let ended = || {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        };
        ensure!(
            wait_until(limit, ended, || true),
            "it did not end within {} s: look in {}",
            limit.as_secs(),
            self.log.display()
        );
        status.context("its end was seen and is not known")
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            end_group(&mut self.child);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn started(log: &str, script: &str) -> Work {
        let log = format!("test-beside-{log}");
        let mut command = program("sh", Share::Rest);
        Work::start("the test", command.args(["-c", script]), &log).unwrap()
    }

    /// Also its session: only within one does the kernel look at how nice a process is.
    #[test]
    fn it_is_last_in_line() {
        let script = "set -e; test $(nice) = 19
            [ ! -e /proc/self/autogroup ] || grep -q 'nice 19$' /proc/self/autogroup";
        started("line", script).finish(SOON).unwrap();
    }

    #[test]
    fn a_failure_carries_what_the_program_said() {
        let error = started("failure", "echo broken pipe dream >&2; exit 3").finish(SOON);
        let text = format!("{:#}", error.unwrap_err());
        assert!(text.contains("broken pipe dream"), "{text}");
        assert!(text.contains('3'), "{text}");
    }

    #[test]
    fn it_ends_with_whoever_started_it_and_so_does_what_it_has_started() {
        let starter = std::thread::spawn(|| {
            let work = started("starter", "sleep 1001 & echo $!; wait");
            let runs = || fs::read_to_string(&work.log).is_ok_and(|said| said.ends_with('\n'));
            assert!(wait_until(SOON, runs, || true));
            work
        });
        let mut work = starter.join().unwrap();
        let child = fs::read_to_string(&work.log).unwrap();
        let child = PathBuf::from(format!("/proc/{}", child.trim()));
        assert_eq!(work.ended(SOON).unwrap().signal(), Some(15));
        assert!(wait_until(SOON, || !child.exists(), || true));
    }

    #[test]
    fn what_is_dropped_ends_whole_however_early() {
        for milliseconds in 0..20 {
            let work = started("dropped", "sleep 1002");
            let group = work.child.id().to_string();
            std::thread::sleep(Duration::from_millis(milliseconds));
            drop(work);
            let is_empty = || !groups().contains(&group);
            assert!(
                wait_until(SOON, is_empty, || true),
                "after {milliseconds} ms"
            );
        }
    }

    /// The groups of all processes that run.
    fn groups() -> Vec<String> {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let texts = entries.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
        let group = |text: String| {
            let mut fields = text.rsplit_once(')')?.1.split_whitespace();
            let state = fields.next()?;
            (state != "Z").then(|| fields.nth(1).map(str::to_owned))?
        };
        texts.filter_map(group).collect()
    }
}
