//! Work beside other work: a program that gets what others leave of the processors. Its output is in its log; dropping it ends it, with all that it has started.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::process::{end_with_descendants, wait_until};
use crate::{command, paths, progress};

/// In a session of its own, because the kernel shares the processors out by sessions, and last among them. No terminal ends it there, so the kernel does when the
/// thread that started it is gone.
const LAST: &str = "echo 19 >/proc/self/autogroup; exec setpriv --pdeathsig TERM nice -n 19 \"$@\"";

/// `program` with what others leave of the processors. It ends with the thread that starts it.
pub fn last(program: impl AsRef<OsStr>) -> Command {
    let mut command = command::program("setsid");
    command.args(["sh", "-c", LAST, "sh"]).arg(program);
    command
}

/// A program at work.
pub struct Work {
    what: String,
    child: Child,
    log: PathBuf,
}

impl Work {
    /// Starts the command, best one of [`last`], with its output in the log of that name; `what` reads like "etcd is up".
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
            .with_context(|| format!("cannot start what gives: {what}"))?;
        Ok(Self {
            what: what.to_owned(),
            child,
            log,
        })
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it exits with a failure or not within `limit`; the message has the end of the log and its path.
    pub fn finish(mut self, limit: Duration) -> Result<()> {
        let what = self.what.clone();
        progress::step(&what, || {
            let status = self.ended(limit)?;
            if !status.success() {
                let text = fs::read_to_string(&self.log).unwrap_or_default();
                bail!(
                    "it failed ({status}); the end of {}:\n{}",
                    self.log.display(),
                    command::last_lines(&text, 30)
                );
            }
            Ok(())
        })
    }

    fn ended(&mut self, limit: Duration) -> Result<ExitStatus> {
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
            end_with_descendants(&mut self.child);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn started(script: &str) -> Work {
        let log = format!("beside-test-{}", script.len());
        Work::start("the test", last("sh").args(["-c", script]), &log).unwrap()
    }

    #[test]
    fn it_is_last_in_line_in_a_session_of_its_own() {
        let work = started("set -- $(cat /proc/$$/stat); test $(nice) = 19 && test $6 = $$");
        work.finish(SOON).unwrap();
    }

    #[test]
    fn a_failure_carries_what_the_program_said() {
        let error = started("echo broken pipe dream >&2; exit 3").finish(SOON);
        let text = format!("{:#}", error.unwrap_err());
        assert!(text.contains("broken pipe dream"), "{text}");
    }

    #[test]
    fn it_ends_with_whoever_started_it() {
        let starter = std::thread::spawn(|| {
            let work = started("echo it runs; sleep 1001");
            let runs = || fs::read_to_string(&work.log).is_ok_and(|said| said == "it runs\n");
            assert!(wait_until(SOON, runs, || true));
            work
        });
        let mut work = starter.join().unwrap();
        let status = work.ended(SOON).unwrap();
        assert_eq!(status.signal(), Some(15));
    }

    #[test]
    fn what_is_dropped_ends() {
        let work = started("sleep 1000");
        let id = work.child.id();
        drop(work);
        assert!(!PathBuf::from(format!("/proc/{id}")).exists());
    }
}
