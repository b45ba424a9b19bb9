//! What failed in a run of tests. In: the lines that libtest prints. Out: each failed test with what it said, to be told last: a run prints thousands of lines, and
//! what a test said stands far above its end.

/// Lines that are kept of one test.
const LINES: usize = 40;
/// What libtest prints around the name of a test before its words.
const FRAME: (&str, &str) = ("---- ", " stdout ----");

/// The failed tests in the order in which they are told.
#[derive(Debug, Default)]
pub struct Failures {
    told: Vec<String>,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    /// Between the words of tests.
    #[default]
    Elsewhere,
    /// Within the words of a test, of which so many lines are kept.
    Words(usize),
    /// Past what is kept of a test.
    Enough,
}

impl Failures {
    /// Reads the next line.
    pub fn hear(&mut self, line: &str) {
        let (before, after) = FRAME;
        if let Some(name) = line.strip_prefix(before)
            && let Some(name) = name.strip_suffix(after)
        {
            self.told.push(name.to_owned());
            self.state = State::Words(0);
        } else if line == "failures:" || line.starts_with("test result: ") {
            self.state = State::Elsewhere;
        } else if line == "stack backtrace:" {
            self.state = State::Enough;
        } else if let State::Words(kept) = self.state
            && !line.is_empty()
        {
            self.told.push(format!("    {line}"));
            self.state = match kept + 1 {
                LINES => State::Enough,
                kept => State::Words(kept),
            };
        }
    }

    /// The failed tests and what they said; nothing when none failed.
    pub fn told(&self) -> &[String] {
        &self.told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let mut failures = Failures::default();
        lines.into_iter().for_each(|line| failures.hear(line));
        failures.told().to_vec()
    }

    #[test]
    fn each_failed_test_is_told_with_its_words_and_without_its_stack() {
        let lines = [
            "running 3 tests",
            "test one ... FAILED",
            "test three ... ok",
            "failures:",
            "",
            "---- one stdout ----",
            "",
            "thread 'one' (7) panicked at tests/one.rs:1:1:",
            "left is not right",
            "stack backtrace:",
            "   0: core::panicking::panic_fmt",
            "---- two stdout ----",
            "it was late",
            "",
            "failures:",
            "    one",
            "    two",
            "",
            "test result: FAILED. 1 passed; 2 failed",
        ];
        let expected = [
            "one",
            "    thread 'one' (7) panicked at tests/one.rs:1:1:",
            "    left is not right",
            "two",
            "    it was late",
        ];
        assert_eq!(heard(lines), expected);
    }

    #[test]
    fn a_test_with_many_words_leaves_room_for_others() {
        let mut lines = vec!["---- one stdout ----"];
        lines.extend(["a word"; 3 * LINES]);
        lines.extend(["---- two stdout ----", "a word"]);
        assert_eq!(heard(lines).len(), 1 + LINES + 2);
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
