//! The container beside a test: it waits until the test has ended, reads what the test left behind, and says it in its termination message. The whole of it goes to its log.
//!
//! In: SIGTERM, which the kubelet sends once the test's container has ended, and the folder of the reports. Out: [`Collected`], and the files themselves, packed. The folder was filled by the image under test:
//! what is followed and read is bounded, and what is over a bound is told as unreadable. It must not judge.

use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use tokio::signal::unix::{SignalKind, signal};

use super::{Collected, junit};
use crate::kept::whole::{self, Packer};

/// Bytes of all reports; the folder itself holds no more.
const BYTES: u64 = 16 * 1024 * 1024;
/// Files with reports.
const FILES: usize = 500;
/// Cases in all reports.
const CASES: i32 = 100_000;
/// Folders within each other, and entries in all of them.
const DEPTH: usize = 8;
const ENTRIES: usize = 10_000;

/// Why there is no summary.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The end of the test cannot be heard of.
    #[error("failed to listen for SIGTERM")]
    Signal(#[source] io::Error),
    /// Nobody can read the summary.
    #[error("failed to write the summary to {path}")]
    Write {
        /// Where it belongs.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: io::Error,
    },
}

/// Waits for the end of the test, then leaves the summary of its reports in `words`, and up to so many bytes of the reports themselves in `log`.
///
/// # Errors
/// When it cannot wait, or cannot leave the summary.
pub async fn run(
    folder: &Path,
    words: &Path,
    (bytes, log): (usize, &mut impl Write),
) -> Result<(), Error> {
    signal(SignalKind::terminate())
        .map_err(Error::Signal)?
        .recv()
        .await;
    let (collected, packed) = collect(folder, bytes);
    // For people only: the verdict rests on the summary, so a log that nobody takes is no failure.
    let _ = whole::print(&packed, log);
    let summary = collected.words();
    fs::write(words, summary).map_err(|source| Error::Write {
        path: words.to_owned(),
        source,
    })
}

/// Reads every `*.xml` below a folder, in order of their names, and packs them into so many bytes.
pub fn collect(folder: &Path, bytes: usize) -> (Collected, Vec<u8>) {
    let mut all = Collected::default();
    let mut files = Vec::new();
    if let Err(why) = find(folder, &mut files) {
        all.blame(&why);
    }
    files.sort();
    all.files = i32::try_from(files.len()).unwrap_or(i32::MAX);
    let mut packer = Packer::new(files.len(), bytes);
    let mut left = BYTES;
    for path in files {
        let name = path.strip_prefix(folder).unwrap_or(&path);
        let name = name.display().to_string();
        let counts = read(&path, &mut left).and_then(|(text, fits)| {
            // Also what cannot be read: a person may want to know why.
            packer.add(&name, &text);
            if !fits {
                return Err(format!("all reports together have more than {BYTES} bytes"));
            }
            junit::read(&text, CASES - all.tests).map_err(|error| error.to_string())
        });
        match counts {
            Ok(counts) => all.add(counts),
            Err(why) => all.blame(&format!("{name}: {why}")),
        }
    }
    (all, packer.finish())
}

/// Reads one file, takes its bytes off those that are left, and says whether it was all of it.
fn read(path: &Path, left: &mut u64) -> Result<(Vec<u8>, bool), String> {
    // A link could lead out of the folder, and a pipe would never end.
    let kind = fs::symlink_metadata(path).map_err(|error| error.to_string())?;
    if !kind.is_file() {
        return Err("it is not a plain file".to_owned());
    }
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut text = Vec::new();
    let bytes = file.take(*left + 1).read_to_end(&mut text);
    let bytes = bytes.map_err(|error| error.to_string())?;
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    let fits = bytes <= *left;
    *left = left.saturating_sub(bytes);
    Ok((text, fits))
}

/// The files with reports. Links to folders are not followed.
fn find(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let mut folders = vec![(folder.to_owned(), 1)];
    let mut entries = 0;
    while let Some((folder, depth)) = folders.pop() {
        let told = |error: io::Error| format!("failed to list a folder of reports: {error}");
        for entry in fs::read_dir(&folder).map_err(told)? {
            let entry = entry.map_err(told)?;
            entries += 1;
            if entries > ENTRIES {
                return Err(format!("there are more than {ENTRIES} files and folders"));
            }
            let path = entry.path();
            if entry.file_type().map_err(told)?.is_dir() {
                if depth == DEPTH {
                    return Err(format!("folders are nested more than {DEPTH} deep"));
                }
                folders.push((path, depth + 1));
            } else if path
                .extension()
                .is_some_and(|end| end.eq_ignore_ascii_case("xml"))
            {
                files.push(path);
            }
            if files.len() > FILES {
                return Err(format!("there are more than {FILES} reports"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
