//! Tells a waiting person what happens: one line per step when it is done, with the time since the start and the time of the step; until then a sign of life,
//! the first after 5 seconds and then every 15. A step is named by what is done in it, such as "building etcd", because the same name stands in all these lines.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::LazyLock;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::Result;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);
const FIRST_SIGN: Duration = Duration::from_secs(5);
const NEXT_SIGN: Duration = Duration::from_secs(15);
/// Bytes of a log in which its last line is looked for.
const TAIL: u64 = 4096;
/// Most characters of a log's line in a sign of life.
const WIDTH: usize = 60;

/// Starts the clock that every line shows; the first line starts it otherwise.
pub fn start() {
    LazyLock::force(&START);
}

/// Prints one line with the time since the start, in seconds.
pub fn note(text: &str) {
    eprintln!("[{:7.1}s] {text}", START.elapsed().as_secs_f64());
}

/// Runs `work` and prints what it was and how long it took.
///
/// # Errors
/// Those of `work`, unchanged.
pub fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    told(what, Instant::now(), &|| None, work)
}

/// Like [`step`]; the signs of life also show the last line of `log`, in which the work writes.
///
/// # Errors
/// Those of `work`, unchanged.
pub fn step_with_log<T>(what: &str, log: &Path, work: impl FnOnce() -> Result<T>) -> Result<T> {
    step_since(Instant::now(), what, log, work)
}

/// Like [`step_with_log`], for what began before it is waited for: all times count from `since`.
///
/// # Errors
/// Those of `work`, unchanged.
pub fn step_since<T>(
    since: Instant,
    what: &str,
    log: &Path,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    told(what, since, &|| said(log, since.elapsed()), work)
}

fn told<T>(
    what: &str,
    since: Instant,
    said: &(dyn Fn() -> Option<String> + Sync),
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let result = std::thread::scope(|scope| {
        let (finished, waiting) = channel::<()>();
        scope.spawn(move || {
            let mut pause = FIRST_SIGN;
            while waiting.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                pause = NEXT_SIGN;
                note(&sign_of_life(what, since.elapsed(), said()));
            }
        });
        let result = work();
        drop(finished);
        result
    });
    let seconds = since.elapsed().as_secs_f64();
    match &result {
        Ok(_) => note(&format!("{what}: done after {seconds:.1} s")),
        Err(_) => note(&format!("FAILED after {seconds:.1} s: {what}")),
    }
    result
}

fn sign_of_life(what: &str, elapsed: Duration, said: Option<String>) -> String {
    let said = said.map(|line| format!("; {line}")).unwrap_or_default();
    format!("{what}, {} s so far{said}", elapsed.as_secs())
}

/// The last line of a log, unless nothing was written to it since the work began, `elapsed` ago: then it is that of an earlier one.
fn said(log: &Path, elapsed: Duration) -> Option<String> {
    let age = fs::metadata(log).ok()?.modified().ok()?.elapsed();
    if age.is_ok_and(|age| age > elapsed) {
        return None;
    }
    let mut file = File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))
        .ok()?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail).ok()?;
    last_line(&String::from_utf8_lossy(&tail))
}

/// The last line that is not empty, fit to stand within a line of ours.
fn last_line(text: &str) -> Option<String> {
    let lines = text.rsplit(['\n', '\r']).map(plain);
    let line = lines.into_iter().find(|line| !line.trim().is_empty())?;
    Some(line.trim().chars().take(WIDTH).collect())
}

/// Without control characters, and without the sequences by which a terminal gets its colours.
fn plain(line: &str) -> String {
    let mut plain = String::new();
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        if letter == '\u{1b}' {
            // Such a sequence goes to its first letter.
            letters.by_ref().find(char::is_ascii_alphabetic);
        } else if !letter.is_control() {
            plain.push(letter);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths;

    #[test]
    fn a_sign_of_life_says_what_is_done_how_long_and_how_far() {
        let elapsed = Duration::from_millis(372_900);
        let line = sign_of_life("building etcd", elapsed, Some("Compiling serde".to_owned()));
        assert_eq!(line, "building etcd, 372 s so far; Compiling serde");
        let silent = sign_of_life("building etcd", elapsed, None);
        assert_eq!(silent, "building etcd, 372 s so far");
    }

    #[test]
    fn the_last_line_of_a_log_is_short_and_plain() {
        let log = "first\n\u{1b}[1m\u{1b}[32m   Compiling\u{1b}[0m serde\u{7} v1.0\r\n\n  \n";
        assert_eq!(last_line(log).unwrap(), "Compiling serde v1.0");
        assert_eq!(last_line(&"ä".repeat(100)).unwrap(), "ä".repeat(60));
        assert_eq!(last_line("\n \n"), None);
    }

    #[test]
    fn a_log_of_an_earlier_work_is_not_told() {
        let log = paths::log("test-progress");
        fs::create_dir_all(paths::state("logs")).unwrap();
        fs::write(&log, format!("{}\nthe end\n", "long ".repeat(2000))).unwrap();
        let long_ago = Duration::from_secs(3600);
        assert_eq!(said(&log, long_ago).unwrap(), "the end");
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(said(&log, Duration::from_millis(5)), None);
    }
}
