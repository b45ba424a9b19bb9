//! Processes that outlive this program: each has a file with its pid and start time, so that a pid the system has given to another is never taken for ours.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::{command, paths};

/// A background process known by name.
pub struct Background {
    name: String,
}

impl Background {
    /// The process of that name, running or not.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
        }
    }

    fn pid_file(&self) -> PathBuf {
        paths::state("pids").join(&self.name)
    }

    /// Its pid, when it runs.
    pub fn pid(&self) -> Option<i32> {
        let text = fs::read_to_string(self.pid_file()).ok()?;
        let (pid, started) = text.trim().split_once(' ')?;
        let pid = pid.parse().ok()?;
        (start_time(pid)? == started).then_some(pid)
    }

    /// Starts it in a session of its own with its output at the end of its log.
    /// The program must stay the process that is started: `exec`, not fork.
    pub fn start(&self, program: &[String]) -> Result<i32> {
        let log = paths::log(&self.name);
        fs::create_dir_all(paths::state("logs"))?;
        fs::create_dir_all(paths::state("pids"))?;
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let child = command::program("setsid")
            .args(program)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {}", self.name))?;
        let pid = i32::try_from(child.id())?;
        let Some(started) = start_time(pid) else {
            bail!(
                "{} ended at once; the end of {}:\n{}",
                self.name,
                log.display(),
                self.log_end()
            );
        };
        fs::write(self.pid_file(), format!("{pid} {started}\n"))?;
        Ok(pid)
    }

    /// Waits until `ready` holds; fails at once when the process ends meanwhile, and after `limit` anyway.
    pub fn wait_until(&self, limit: Duration, ready: impl FnMut() -> bool) -> Result<()> {
        if wait_until(limit, ready, || self.pid().is_some()) {
            return Ok(());
        }
        let state = if self.pid().is_some() {
            "is not ready"
        } else {
            "has ended"
        };
        bail!(
            "{} {state} (waited up to {} s); the end of {}:\n{}",
            self.name,
            limit.as_secs(),
            paths::log(&self.name).display(),
            self.log_end()
        )
    }

    /// The last lines of its log.
    pub fn log_end(&self) -> String {
        let text = fs::read(paths::log(&self.name)).unwrap_or_default();
        command::last_lines(&String::from_utf8_lossy(&text), 15)
    }

    /// Stops it: asks, then after `limit` kills. Nothing to do when it does not run.
    pub fn stop(&self, limit: Duration) {
        if let Some(pid) = self.pid() {
            signal(pid, Signal::TERM);
            if !wait_until(limit, || self.pid().is_none(), || true) {
                signal(pid, Signal::KILL);
                wait_until(Duration::from_secs(5), || self.pid().is_none(), || true);
            }
        }
        fs::remove_file(self.pid_file()).ok();
    }
}

/// Polls `ready` until it holds, `limit` has passed or `possible` is false; returns whether it held.
pub fn wait_until(
    limit: Duration,
    mut ready: impl FnMut() -> bool,
    possible: impl Fn() -> bool,
) -> bool {
    let since = Instant::now();
    loop {
        if ready() {
            return true;
        }
        if since.elapsed() > limit || !possible() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Sends a signal; a process that is gone already is fine.
pub fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        kill_process(pid, signal).ok();
    }
}

/// Ends a child under a deadline of its own: asked to end, it ends the program too.
pub fn end_child(child: &mut Child) {
    if let (Ok(None), Ok(pid)) = (child.try_wait(), i32::try_from(child.id())) {
        signal(pid, Signal::TERM);
    }
    child.wait().ok();
}

/// Ends a child that was not waited for yet, and all that it has started, and what these have.
pub fn end_with_descendants(child: &mut Child) {
    for pid in descendants(child.id()) {
        signal(pid, Signal::KILL);
    }
    child.kill().ok();
    child.wait().ok();
}

/// Ends a child that was not waited for yet and leads a group, and all of the group. What a program starts while it is ended is of its group, and would be missed
/// by [`end_with_descendants`].
pub fn end_group(child: &mut Child) {
    // Before it leads a group, it has started nothing.
    child.kill().ok();
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        kill_process_group(group, Signal::KILL).ok();
    }
    child.wait().ok();
}

fn descendants(pid: u32) -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let parents: Vec<(i32, i32)> = pids
        .filter_map(|pid| Some((pid, stat(pid)?.get(1)?.parse().ok()?)))
        .collect();
    let mut found: Vec<i32> = i32::try_from(pid).into_iter().collect();
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(
            parents
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(pid, _)| pid),
        );
        next += 1;
    }
    found.split_off(1)
}

/// When the process started, in clock ticks since boot; nothing for a zombie or an unknown pid.
fn start_time(pid: i32) -> Option<String> {
    let fields = stat(pid)?;
    (fields.first()? != "Z").then(|| fields.get(19).cloned())?
}

/// What the kernel tells of a process, from its state on.
fn stat(pid: i32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; the fields behind it are fixed.
    let fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some(fields.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};

    use super::*;

    #[test]
    fn a_pid_that_another_process_got_is_not_ours() {
        let ours = Background::named("test-pid-reuse");
        let pid = ours.start(&["sleep".to_owned(), "30".to_owned()]).unwrap();
        assert_eq!(ours.pid(), Some(pid));
        fs::write(ours.pid_file(), format!("{pid} 1\n")).unwrap();
        assert_eq!(ours.pid(), None);
        signal(pid, Signal::KILL);
        fs::remove_file(ours.pid_file()).unwrap();
    }

    #[test]
    fn ending_a_child_ends_what_it_has_started() {
        let script = "sleep 30 & echo $!; wait";
        let mut child = command::program("sh")
            .args(["-c", script])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let grandchild = line.trim().parse().unwrap();
        assert!(start_time(grandchild).is_some());
        end_with_descendants(&mut child);
        let gone = || start_time(grandchild).is_none();
        assert!(wait_until(Duration::from_secs(5), gone, || true));
    }

    #[test]
    fn stopping_ends_the_process_and_twice_is_fine() {
        let sleeper = Background::named("test-stop");
        let pid = sleeper
            .start(&["sleep".to_owned(), "30".to_owned()])
            .unwrap();
        sleeper.stop(Duration::from_secs(2));
        assert_eq!(start_time(pid), None);
        sleeper.stop(Duration::from_secs(2));
    }
}
