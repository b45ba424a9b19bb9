//! The report of a test: what the container beside it collects once it has ended, and what the judge reads of that.
//!
//! In: JUnit files. Out: [`Collected`], in and from the words of a termination message. Counts are those of the cases, never what a file says of itself; what could not be
//! read is told and never left out. Only [`collect`] touches files.

use serde::{Deserialize, Serialize};

pub mod collect;
mod junit;

/// Longest termination message, in bytes. The kubelet keeps 4 KiB of one container and 12 KiB of a pod, shared evenly: this leaves room for two that others inject.
const WORDS_LIMIT: usize = 3072;
/// Failed cases told.
const FAILURES_TOLD: usize = 5;
/// Characters told of the name of a case, and of what went wrong.
const NAME_LIMIT: usize = 120;
const MESSAGE_LIMIT: usize = 300;

/// What the reports of one run say together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Collected {
    /// Files that were found.
    pub files: i32,
    /// Cases.
    pub tests: i32,
    /// Cases that passed.
    pub passed: i32,
    /// Cases with a failure.
    pub failed: i32,
    /// Cases that were left out.
    pub skipped: i32,
    /// Cases with an error.
    pub errored: i32,
    /// What the cases took, summed up.
    pub duration_milliseconds: i64,
    /// The first cases that did not pass.
    pub first_failures: Vec<FailedCase>,
    /// Why the counts are not all: the first file that could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

/// A case that did not pass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FailedCase {
    /// Its name.
    pub name: String,
    /// What went wrong.
    pub message: String,
}

impl Collected {
    /// The words of a termination message; nothing when they are of another program, or cut off.
    pub fn read(words: &str) -> Option<Self> {
        serde_json::from_str(words.trim()).ok()
    }

    /// One line of at most 3 KiB: failures are left out until it fits.
    pub fn words(&self) -> String {
        let mut told = self.clone();
        told.first_failures.truncate(FAILURES_TOLD);
        loop {
            let words = serde_json::to_string(&told).expect("counts and texts have a JSON form");
            if words.len() <= WORDS_LIMIT || told.first_failures.pop().is_none() {
                return words;
            }
        }
    }

    /// Adds the counts of one more file.
    fn add(&mut self, file: Self) {
        self.tests += file.tests;
        self.passed += file.passed;
        self.failed += file.failed;
        self.skipped += file.skipped;
        self.errored += file.errored;
        self.duration_milliseconds = self
            .duration_milliseconds
            .saturating_add(file.duration_milliseconds);
        self.first_failures.extend(file.first_failures);
        self.first_failures.truncate(FAILURES_TOLD);
    }

    /// Remembers why something could not be read; the first reason stays.
    fn blame(&mut self, why: &str) {
        let words = || clipped(why, MESSAGE_LIMIT);
        self.unreadable.get_or_insert_with(words);
    }
}

/// The beginning of a text, cut between two characters.
pub fn clipped(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Cases of one document, if it is a report.
#[cfg(test)]
pub(crate) fn count(document: &[u8]) -> Result<i32, String> {
    let read = junit::read(document, 1000);
    read.map(|all| all.tests).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_fit_into_a_termination_message_whatever_fails() {
        let hostile = "\u{1}\"\\ü".repeat(500);
        let case = FailedCase {
            name: clipped(&hostile, NAME_LIMIT),
            message: clipped(&hostile, MESSAGE_LIMIT),
        };
        let mut all = Collected {
            files: 1,
            tests: 50,
            failed: 50,
            first_failures: vec![case; 50],
            ..Collected::default()
        };
        all.blame(&hostile);
        let words = all.words();
        assert!(words.len() <= WORDS_LIMIT, "{} bytes", words.len());
        let read = Collected::read(&words).unwrap();
        assert_eq!((read.tests, read.failed), (50, 50));
        assert!(read.unreadable.is_some());
    }

    #[test]
    fn words_of_another_program_or_cut_off_are_no_summary() {
        let whole = Collected::default().words();
        assert!(Collected::read(&whole).is_some());
        for other in [
            &whole[..whole.len() - 1],
            "",
            "{}",
            r#"{"tests":20,"passed":20}"#,
        ] {
            assert_eq!(Collected::read(other), None, "{other}");
        }
    }
}
