//! How large a status is: in bytes of its JSON, as the API server stores it and clients get it.

use std::io::{self, Write};

use serde::Serialize;

/// The most bytes that a status may have.
pub const STATUS_LIMIT: usize = 32 * 1024;

/// Whether a value has at most so many bytes as JSON; of one that is far larger only the beginning is looked at. The API server writes `<`, `>` and `&` as six
/// bytes each, and so do two separators of lines.
pub fn fits(value: &impl Serialize, limit: usize) -> bool {
    let counter = Counter { count: 0, limit };
    serde_json::to_writer(counter, value).is_ok()
}

/// Bytes of a value as JSON, counted like that.
#[cfg(test)]
pub fn size(value: &impl Serialize) -> usize {
    let mut counter = Counter {
        count: 0,
        limit: usize::MAX,
    };
    serde_json::to_writer(&mut counter, value).expect("counting never fails");
    counter.count
}

struct Counter {
    count: usize,
    limit: usize,
}

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    // Most of what is counted comes as single bytes, which are not worth the general way.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let escaped = bytes
            .iter()
            .filter(|byte| matches!(byte, b'<' | b'>' | b'&'));
        // U+2028 and U+2029 begin like this; more is counted than is there, never less.
        let separators = bytes.windows(2).filter(|pair| *pair == [0xe2, 0x80]);
        self.count += bytes.len() + 5 * escaped.count() + 3 * separators.count();
        match self.count <= self.limit {
            true => Ok(()),
            false => Err(io::ErrorKind::FileTooLarge.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A text of at most so many characters: its beginning and its end, where the cause and the remedy stand.
pub fn shortened(text: &str, limit: usize) -> Option<String> {
    let count = text.chars().count();
    if count <= limit {
        return None;
    }
    let head = limit * 2 / 3;
    let tail = limit.saturating_sub(head + 1);
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(count - tail).collect();
    Some(format!("{start}\u{2026}{end}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_the_api_server_writes() {
        assert_eq!(size(&"a"), 3);
        assert_eq!(size(&"<&>"), 2 + 18);
        assert_eq!(size(&"\n"), 4);
        assert_eq!(size(&"\u{2028}"), 2 + 6);
        assert!(fits(&["<&>", "a"], 26) && !fits(&["<&>", "a"], 25));
    }

    #[test]
    fn a_short_form_keeps_both_ends() {
        assert_eq!(shortened("0123456789", 10), None);
        assert_eq!(shortened("0123456789", 7).unwrap(), "0123\u{2026}89");
        let once = shortened(&"ä".repeat(500), 100).unwrap();
        assert_eq!((once.chars().count(), shortened(&once, 100)), (100, None));
    }
}
