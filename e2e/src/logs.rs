//! Prints the logs under `target/e2e/logs`. Reads only.

use std::fs;
use std::io::{ErrorKind, Write};

use anyhow::{Context, Result, bail};

use crate::paths;

/// Prints the log of that name, or without one the names of all logs.
///
/// # Errors
/// When there is no such log; the message lists those there are.
pub fn print(name: Option<&str>) -> Result<()> {
    let names = names();
    let Some(name) = name else {
        return show(&format!("{}\n", names.join("\n")));
    };
    if !names.iter().any(|known| known == name) {
        bail!("there is no log {name:?}; there are: {}", names.join(", "));
    }
    let text =
        fs::read(paths::log(name)).with_context(|| format!("cannot read the log of {name}"))?;
    show(&String::from_utf8_lossy(&text))
}

/// Prints to standard output; a reader that has seen enough, such as `head`, is no error.
pub(crate) fn show(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

fn names() -> Vec<String> {
    let Ok(entries) = fs::read_dir(paths::state("logs")) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| {
            entry
                .file_name()
                .to_str()?
                .strip_suffix(".log")
                .map(str::to_owned)
        })
        .collect();
    names.sort();
    names
}
