//! What failed in a run of tests. In: the lines that libtest prints. Out: each failed test with what it said, to be told last: a run prints thousands of lines, and
//! what a test said stands far above its end.

/// Lines that are told of the beginning and of the end of what a test said. A simulation's last steps stand at its end.
const HEAD: usize = 12;
const TAIL: usize = 30;
/// Lines, and letters of them, that tell in short what a test said: where it stopped, and why.
const SHORT: (usize, usize) = (3, 400);
/// What libtest prints around the name of a test before its words.
const FRAME: (&str, &str) = ("---- ", " stdout ----");

/// The failed tests in the order in which they are told.
#[derive(Debug, Default)]
pub struct Failures {
    failed: Vec<Failed>,
    place: Place,
}

/// Where the last line stood.
#[derive(Debug, Default)]
enum Place {
    /// Frames are not those of failed tests; with `--show-output` others have one too.
    #[default]
    Elsewhere,
    /// In a list of failed tests.
    List,
    /// In the words of the last one.
    Words,
}

#[derive(Debug)]
struct Failed {
    name: String,
    words: Vec<String>,
}

impl Failures {
    /// Reads the next line.
    pub fn hear(&mut self, line: &str) {
        let (before, after) = FRAME;
        let name = line.strip_prefix(before);
        let name = name.and_then(|name| name.strip_suffix(after));
        match (&self.place, name) {
            _ if line == "failures:" => self.place = Place::List,
            _ if line == "successes:" || line.starts_with("test result: ") => {
                self.place = Place::Elsewhere;
            }
            (Place::Elsewhere, _) | (Place::List, None) => {}
            (_, Some(name)) => {
                self.place = Place::Words;
                self.failed.push(Failed {
                    name: name.to_owned(),
                    words: Vec::new(),
                });
            }
            (Place::Words, None) if line.is_empty() || is_of_a_stack(line) => {}
            (Place::Words, None) => {
                if let Some(failed) = self.failed.last_mut() {
                    failed.words.push(line.to_owned());
                }
            }
        }
    }

    /// The failed tests and what they said; nothing when none failed.
    pub fn told(&self) -> Vec<String> {
        self.failed.iter().flat_map(Failed::told).collect()
    }

    /// A line for each failed test, for those who see only the end of it all.
    pub fn in_short(&self) -> Vec<String> {
        self.failed.iter().map(Failed::in_short).collect()
    }
}

impl Failed {
    fn told(&self) -> Vec<String> {
        let shown = |words: &[String]| -> Vec<String> {
            words.iter().map(|word| format!("    {word}")).collect()
        };
        let name = [self.name.clone()];
        let left_out = self.words.len().saturating_sub(HEAD + TAIL);
        if left_out == 0 {
            return name.into_iter().chain(shown(&self.words)).collect();
        }
        let (head, rest) = self.words.split_at(HEAD);
        name.into_iter()
            .chain(shown(head))
            .chain([format!("    ({left_out} lines are left out)")])
            .chain(shown(&rest[left_out..]))
            .collect()
    }

    fn in_short(&self) -> String {
        let (lines, letters) = SHORT;
        let first = &self.words[..lines.min(self.words.len())];
        let words: String = first.join(" ").chars().take(letters).collect();
        format!("{}: {words}", self.name)
    }
}

/// Whether a line is of a backtrace: `   7: core::...`, `             at ./tests/...`, and what stands around them.
fn is_of_a_stack(line: &str) -> bool {
    let text = line.trim_start();
    let is_frame = line.starts_with(' ')
        && (text.starts_with("at ")
            || text
                .split_once(": ")
                .is_some_and(|(number, _)| number.parse::<u32>().is_ok()));
    is_frame
        || text.eq_ignore_ascii_case("stack backtrace:")
        || text.starts_with("note: Some details are omitted")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let mut failures = Failures::default();
        lines.into_iter().for_each(|line| failures.hear(line));
        failures.told()
    }

    #[test]
    fn each_failed_test_is_told_with_its_words_and_without_its_stack() {
        let lines = [
            "running 3 tests",
            "test one ... FAILED",
            "test three ... ok",
            "successes:",
            "---- three stdout ----",
            "all is well",
            "successes:",
            "    three",
            "failures:",
            "",
            "---- one stdout ----",
            "",
            "thread 'one' (7) panicked at tests/one.rs:1:1:",
            "left is not right",
            "stack backtrace:",
            "   0: core::panicking::panic_fmt",
            "             at ./tests/one.rs:1:1",
            "note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.",
            "what it did before",
            "---- two stdout ----",
            "it was late",
            "",
            "failures:",
            "    one",
            "    two",
            "",
            "test result: FAILED. 1 passed; 2 failed",
            "---- four stdout ----",
        ];
        let expected = [
            "one",
            "    thread 'one' (7) panicked at tests/one.rs:1:1:",
            "    left is not right",
            "    what it did before",
            "two",
            "    it was late",
        ];
        assert_eq!(heard(lines), expected);
    }

    #[test]
    fn of_a_test_with_many_words_the_first_and_the_last_are_told() {
        let words: Vec<String> = (0..500).map(|number| format!("word {number}")).collect();
        let lines = ["failures:", "---- one stdout ----"];
        let told = heard(lines.into_iter().chain(words.iter().map(String::as_str)));
        assert_eq!(told.len(), 1 + HEAD + 1 + TAIL);
        assert_eq!(told[1], "    word 0");
        assert_eq!(told[1 + HEAD], "    (458 lines are left out)");
        assert_eq!(told.last().unwrap(), "    word 499");
    }

    #[test]
    fn in_short_a_failed_test_is_a_line_that_says_where_and_why() {
        let mut failures = Failures::default();
        let long = "x".repeat(5000);
        let lines = [
            "failures:",
            "---- one stdout ----",
            "",
            "thread 'one' (7) panicked at tests/one.rs:1:1:",
            "left is not right",
            &long,
            "---- two stdout ----",
        ];
        lines.into_iter().for_each(|line| failures.hear(line));
        let told = failures.in_short();
        let begin = "one: thread 'one' (7) panicked at tests/one.rs:1:1: left is not right xxx";
        assert!(told[0].starts_with(begin), "{}", told[0]);
        assert_eq!(told[0].len(), "one: ".len() + SHORT.1);
        assert_eq!(told[1..], ["two: "]);
    }

    #[test]
    fn a_run_without_a_failure_tells_nothing() {
        let lines = [
            "running 1 test",
            "test one ... ok",
            "test result: ok. 1 passed",
        ];
        assert!(heard(lines).is_empty());
    }
}
