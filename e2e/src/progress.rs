//! Tells a waiting person what happens: one line per step with the time since the start and the time of the step, and a sign of life every 15 seconds.

use std::sync::LazyLock;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// Starts the clock that every line shows; the first line starts it otherwise.
pub fn start() {
    LazyLock::force(&START);
}

/// Prints one line with the time since the start, in seconds.
pub fn note(text: &str) {
    eprintln!("[{:7.1}s] {text}", START.elapsed().as_secs_f64());
}

/// Runs `work` and prints what it was and how long it took; `what` reads like "etcd is up".
///
/// # Errors
/// Those of `work`, unchanged.
pub fn step<T>(what: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    step_with_hint(what, "", work)
}

/// Like [`step`]; the signs of life also show `hint`, such as where the log is.
///
/// # Errors
/// Those of `work`, unchanged.
pub fn step_with_hint<T>(
    what: &str,
    hint: &str,
    work: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let since = Instant::now();
    let result = std::thread::scope(|scope| {
        let (finished, waiting) = channel::<()>();
        scope.spawn(move || {
            while waiting.recv_timeout(SIGN_OF_LIFE) == Err(RecvTimeoutError::Timeout) {
                let seconds = since.elapsed().as_secs();
                note(&format!("  ... not yet, after {seconds} s: {what} {hint}"));
            }
        });
        let result = work();
        drop(finished);
        result
    });
    let seconds = since.elapsed().as_secs_f64();
    match &result {
        Ok(_) => note(&format!("{what} ({seconds:.1}s)")),
        Err(_) => note(&format!("FAILED: {what} ({seconds:.1}s)")),
    }
    result
}
