//! Runs programs to their end, each with a deadline. On failure the error carries the command and the end of its output.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Where an administrator's programs are; the PATH of others often lacks them.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Where programs are looked for: PATH, then the system's folders.
///
/// # Panics
/// Never: what is split from PATH can be joined again.
pub fn search_path() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = SYSTEM_FOLDERS.iter().map(PathBuf::from);
    std::env::join_paths(std::env::split_paths(&path).chain(system))
        .expect("what is split from PATH can be joined again")
}

/// `program` without a deadline, found in [`search_path`], which it passes on.
pub fn program(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env("PATH", search_path());
    command
}

/// `program` under a deadline in seconds: it is terminated then, and killed 10 seconds later.
pub fn within(seconds: u32, program: impl AsRef<OsStr>) -> Command {
    let mut command = self::program("timeout");
    command
        .arg("--foreground")
        .arg("--kill-after=10")
        .arg(seconds.to_string())
        .arg(program);
    command
}

/// Runs the command and returns its standard output.
///
/// # Errors
/// When it cannot start or exits with a failure; the message has the end of what it printed.
pub fn output(command: &mut Command) -> Result<String> {
    command.stdin(Stdio::null());
    let done = command
        .output()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    if !done.status.success() {
        let errors = String::from_utf8_lossy(&done.stderr);
        bail!(
            "{} failed ({}):\n{}{}",
            shown(command),
            done.status,
            last_lines(&text, 10),
            last_lines(&errors, 20)
        );
    }
    Ok(text)
}

/// Runs the command with `input` on its standard input and returns its standard output.
///
/// # Errors
/// As [`output`].
pub fn output_with_input(command: &mut Command, input: &str) -> Result<String> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    let mut stdin = child.stdin.take().expect("standard input is piped");
    let done = std::thread::scope(|scope| {
        // A program that ends early closes the pipe; its exit code tells the story.
        scope.spawn(move || stdin.write_all(input.as_bytes()).ok());
        child.wait_with_output()
    })?;
    if !done.status.success() {
        let errors = String::from_utf8_lossy(&done.stderr);
        bail!(
            "{} failed ({}):\n{}",
            shown(command),
            done.status,
            last_lines(&errors, 20)
        );
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// Runs the command with all its output in `log`.
///
/// # Errors
/// When it cannot start or exits with a failure; the message has the end of the log and its path.
pub fn logged(command: &mut Command, log: &Path) -> Result<()> {
    std::fs::create_dir_all(log.parent().expect("a log lies in a folder"))?;
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let status = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .status()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    if !status.success() {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        bail!(
            "{} failed ({status}); the end of {}:\n{}",
            shown(command),
            log.display(),
            last_lines(&text, 30)
        );
    }
    Ok(())
}

/// The last `count` lines of a text.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(count);
    lines[from..]
        .iter()
        .map(|line| format!("{line}\n"))
        .collect()
}

fn shown(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect();
    let line = words.join(" ");
    line.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_carries_what_the_program_said() {
        let error =
            output(within(5, "sh").args(["-c", "echo broken pipe dream >&2; exit 3"])).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("broken pipe dream"), "{text}");
        assert!(text.contains('3'), "{text}");
    }

    #[test]
    fn a_program_past_its_deadline_is_an_error() {
        let started = std::time::Instant::now();
        assert!(output(within(1, "sleep").arg("30")).is_err());
        assert!(started.elapsed().as_secs() < 10);
    }

    #[test]
    fn every_program_finds_those_of_the_system() {
        let path = output(within(5, "sh").args(["-c", "echo \"$PATH\""])).unwrap();
        assert!(
            path.trim().ends_with(":/usr/local/sbin:/usr/sbin:/sbin"),
            "{path}"
        );
    }

    #[test]
    fn input_reaches_the_program() {
        let echoed = output_with_input(&mut within(5, "cat"), "two\nlines\n").unwrap();
        assert_eq!(echoed, "two\nlines\n");
    }
}
