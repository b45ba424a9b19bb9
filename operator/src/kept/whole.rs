//! The whole report of a test, on its way from the container that read it to the operator: compressed, bounded, and as lines of a log with size and checksum.
//!
//! That container can reach nothing and shall not; its log is the one way out that needs no right. What is in the files is not looked into on either side.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use super::REPORT_BYTES;

/// Begins the line before the report; the number is that of this form.
const HEADER: &str = "crm-report 1";
/// Bytes of a report in one line.
const LINE_BYTES: usize = 768;
/// Most bytes of a log with a report: four characters for three bytes, line ends, and a line before.
pub const LOG_BYTES: usize = REPORT_BYTES / 3 * 4 + 2 * REPORT_BYTES / LINE_BYTES + 1024;
/// Bytes that are compressed at once.
const CHUNK: usize = 16 * 1024;
/// Kept free for the end: the note that it was cut, and the trailer of the form.
const RESERVE: usize = 256;
/// Ends a report that was too long.
const CUT: &str = "\n<!-- cut here: this is only its beginning -->\n";

/// Reports of one test as one compressed text.
pub struct Packer {
    encoder: GzEncoder<Vec<u8>>,
    limit: usize,
    several: bool,
    cut: bool,
}

impl Packer {
    /// For so many files, and at most so many bytes.
    pub fn new(files: usize, limit: usize) -> Self {
        let mut packer = Self {
            encoder: GzEncoder::new(Vec::new(), Compression::default()),
            limit: limit.min(REPORT_BYTES),
            several: files > 1,
            cut: false,
        };
        if packer.several {
            packer.put(b"<testsuites>\n");
        }
        packer
    }

    /// Adds a file. A single one stays as it is; several become one document, each after a comment with its name.
    pub fn add(&mut self, name: &str, text: &[u8]) {
        if !self.several {
            return self.put(text);
        }
        let name: String = name.chars().filter(|c| !c.is_control()).collect();
        self.put(format!("<!-- {} -->\n", name.replace('-', "\u{2010}")).as_bytes());
        self.put(without_declaration(text));
        self.put(b"\n");
    }

    /// Everything that found room.
    pub fn finish(mut self) -> Vec<u8> {
        if self.several {
            self.put(b"</testsuites>\n");
        }
        let packed = self.encoder.finish();
        packed.expect("writing to memory does not fail")
    }

    /// Compresses as much as is sure to find room.
    fn put(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.cut {
            let used = self.encoder.get_ref().len() + RESERVE;
            // What cannot be compressed grows by a few bytes; a short rest is not worth its blocks.
            let room = self.limit.saturating_sub(used) / 17 * 16;
            let next = bytes.len().min(CHUNK).min(room);
            if next < bytes.len().min(RESERVE) {
                self.cut = true;
                self.write(CUT.as_bytes());
                return;
            }
            self.write(&bytes[..next]);
            bytes = &bytes[next..];
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        let encoder = &mut self.encoder;
        let written = encoder.write_all(bytes).and_then(|()| encoder.flush());
        written.expect("writing to memory does not fail");
    }
}

/// A document without the declaration that may stand only at the beginning of the whole.
fn without_declaration(text: &[u8]) -> &[u8] {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    if !text.starts_with(b"<?xml ") {
        return text;
    }
    let end = text.windows(2).position(|two| two == b"?>");
    end.map_or(text, |end| &text[end + 2..])
}

/// Writes a packed report as the lines of a log.
///
/// # Errors
/// When nobody takes them.
pub fn print(packed: &[u8], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{HEADER} {} {}", packed.len(), checksum(packed))?;
    for line in packed.chunks(LINE_BYTES) {
        writeln!(out, "{}", STANDARD.encode(line))?;
    }
    out.flush()
}

/// The packed report in a log.
///
/// # Errors
/// Why there is none, in words: it is cut off, or was never printed.
pub fn read(log: &[u8]) -> Result<Vec<u8>, String> {
    let text = std::str::from_utf8(log).map_err(|_| "its log is no text".to_owned())?;
    let mut lines = text.lines().skip_while(|line| !line.starts_with(HEADER));
    let header = lines
        .next()
        .ok_or("nothing of it is in the log of its container")?;
    let mut told = header[HEADER.len()..].split_ascii_whitespace();
    let size: Option<usize> = told.next().and_then(|size| size.parse().ok());
    let size = size.filter(|size| *size <= REPORT_BYTES);
    let size = size.ok_or("the log of its container tells no size that it can have")?;
    let sum = told.next().unwrap_or_default();
    let mut packed = Vec::with_capacity(size);
    for line in lines {
        if packed.len() >= size {
            break;
        }
        let bytes = STANDARD.decode(line.trim_end());
        packed.extend(bytes.map_err(|_| "the log of its container is damaged")?);
    }
    match packed.len() == size && checksum(&packed) == sum {
        true => Ok(packed),
        false => Err("the log of its container is cut off".to_owned()),
    }
}

fn checksum(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
