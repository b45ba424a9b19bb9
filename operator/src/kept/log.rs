//! The end of a log, as a person can read it: an image may have written anything.

/// Most bytes of a log that are kept, before they are compressed.
pub const LOG_BYTES: usize = 64 * 1024;
/// Most bytes of it in the status.
pub const TAIL_BYTES: usize = 1024;
/// Characters of one line in the status: a long one must not hide the others.
const LINE_LIMIT: usize = 240;

/// The last bytes of a log as text of plain lines: no control characters, no escape sequences of a terminal, no password in an address, no value of
/// what is called a secret.
pub fn legible(bytes: &[u8]) -> String {
    let start = bytes.len().saturating_sub(LOG_BYTES);
    let text = String::from_utf8_lossy(&bytes[start..]);
    let plain = plain(text.trim_start_matches(char::REPLACEMENT_CHARACTER));
    let lines = plain.lines().map(without_password);
    let lines: Vec<_> = lines.map(|line| without_secrets(&line)).collect();
    let text = lines.join("\n");
    let end = text.trim_end();
    last(end, LOG_BYTES).to_owned()
}

/// The last lines of a legible log, for the status.
pub fn tail(text: &str) -> String {
    let mut kept: Vec<String> = Vec::new();
    let mut bytes = 0;
    for line in text.lines().rev().filter(|line| !line.trim().is_empty()) {
        let line = crate::report::clipped(line, LINE_LIMIT);
        bytes += line.len() + 1;
        if bytes > TAIL_BYTES && !kept.is_empty() {
            break;
        }
        kept.push(last(&line, TAIL_BYTES).to_owned());
    }
    kept.reverse();
    kept.join("\n")
}

/// The last characters of a text that fit into so many bytes.
pub fn last(text: &str, bytes: usize) -> &str {
    let start = text.len().saturating_sub(bytes);
    let start = (start..=text.len())
        .find(|index| text.is_char_boundary(*index))
        .unwrap_or(text.len());
    &text[start..]
}

/// Without control characters and escape sequences.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\n' => plain.push('\n'),
            '\t' => plain.push(' '),
            '\u{1b}' => skip_sequence(&mut characters),
            other if is_hidden(other) => {}
            other => plain.push(other),
        }
    }
    plain
}

/// Control characters, and those that turn the direction of writing: they can make a line read as another.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Skips what follows an escape: a bracket and all up to its letter, or one character. A line never ends within one.
fn skip_sequence(characters: &mut std::str::Chars<'_>) {
    if !characters.as_str().starts_with('[') {
        if !characters.as_str().starts_with('\n') {
            characters.next();
        }
        return;
    }
    characters.next();
    while let Some(next) = characters.as_str().chars().next() {
        if !(' '..='~').contains(&next) {
            return;
        }
        characters.next();
        if ('@'..='~').contains(&next) {
            return;
        }
    }
}

/// The same line with `***` for what stands before the host of an address: connection strings are printed by many programs.
fn without_password(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("://") {
        shown.push_str(before);
        shown.push_str("://");
        let ends = |c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'' | '<' | '>');
        let authority = &after[..after.find(ends).unwrap_or(after.len())];
        rest = match authority.rfind('@') {
            Some(at) if authority[..at].contains(':') => {
                shown.push_str("***");
                &after[at..]
            }
            _ => after,
        };
    }
    shown.push_str(rest);
    shown
}

/// Words after which programs print what must not be kept, as in `password=...`, `PGPASSWORD: ...` or `"token":"..."`.
const SECRETS: [&str; 4] = ["password", "passwd", "secret", "token"];

/// The same line with `***` for the values of such words.
fn without_secrets(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    // Only letters of ASCII change, so that places are the same in both.
    while let Some(end) = after_word(&rest.to_ascii_lowercase()) {
        let (before, after) = rest.split_at(end);
        shown.push_str(before);
        let is_around = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ':' | '=' | '\\');
        let value = after.trim_start_matches(is_around);
        let sign = &after[..after.len() - value.len()];
        shown.push_str(sign);
        rest = value;
        if sign.contains([':', '=']) && !value.is_empty() {
            let ends = |c: char| {
                c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';' | '&' | '}' | ')')
            };
            shown.push_str("***");
            rest = &value[value.find(ends).unwrap_or(value.len())..];
        }
    }
    shown.push_str(rest);
    shown
}

/// Where the first such word ends.
fn after_word(lower: &str) -> Option<usize> {
    let all = SECRETS.iter();
    all.filter_map(|word| Some(lower.find(word)? + word.len()))
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        let hostile = b"\0one\x1b[31mred\x1b[0m\x07\r\n\x1b]0;title\x07two\xff\xfe\tthree\x1b[\nfour \xe2\x80\xae5";
        assert_eq!(
            legible(hostile),
            "onered\n0;titletwo\u{fffd}\u{fffd} three\nfour 5"
        );
    }

    #[test]
    fn the_end_of_an_endless_line_is_kept_and_no_more() {
        let mut endless = vec![b'x'; 4 * 1024 * 1024];
        endless.extend("ä".repeat(LOG_BYTES).as_bytes());
        endless.extend(b"\nthe end\n");
        let text = legible(&endless);
        assert!(text.len() <= LOG_BYTES, "{}", text.len());
        assert!(text.ends_with("\nthe end"));
        let tail = tail(&text);
        assert!(tail.len() <= TAIL_BYTES + 1, "{}", tail.len());
        assert!(tail.ends_with("...\nthe end"), "{tail}");
    }

    #[test]
    fn bytes_that_are_no_text_stay_within_the_bound() {
        let noise = vec![0xff; 3 * LOG_BYTES];
        assert!(legible(&noise).len() <= LOG_BYTES);
        assert!(tail(&legible(&noise)).len() <= TAIL_BYTES);
    }

    #[test]
    fn the_last_lines_are_told_in_order() {
        let text: Vec<_> = (1..=2000).map(|line| format!("line {line}")).collect();
        let tail = tail(&text.join("\n"));
        assert!(tail.len() <= TAIL_BYTES);
        assert!(tail.ends_with("line 1999\nline 2000"));
        assert!(tail.starts_with("line 1"), "whole lines: {tail}");
    }

    #[test]
    fn a_value_that_is_called_a_secret_is_not_shown() {
        let log = b"host=db password=s3cret user=crm {\"token\": \"abc\", \"n\": 1} PGPASSWORD='x y' no password given";
        assert_eq!(
            legible(log),
            "host=db password=*** user=crm {\"token\": \"***\", \"n\": 1} PGPASSWORD='*** y' no password given"
        );
    }

    #[test]
    fn a_password_in_an_address_is_not_shown() {
        let log = b"failed: postgres://crm:s3cret@db:5432/crm and http://a/b@c, amqp://u:p@ss@q \"x://y:z@h\"";
        assert_eq!(
            legible(log),
            "failed: postgres://***@db:5432/crm and http://a/b@c, amqp://***@q \"x://***@h\""
        );
    }
}
