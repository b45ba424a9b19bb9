//! One JUnit file: bytes in, the counts of its cases out, or why it cannot be read. Pure.
//!
//! It was written by the image under test, so nothing in it is trusted: no document type (and so no entity of its own), bounded depth and number of cases, and a failure in a
//! place where it would be counted nowhere makes the file unreadable. Attributes of suites are not looked at.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::{Collected, FAILURES_TOLD, FailedCase, MESSAGE_LIMIT, NAME_LIMIT, clipped};

/// Elements within each other.
const DEPTH: usize = 64;
/// Bytes kept of the text of a failure; more than is ever told of it.
const TEXT_KEPT: usize = 4 * MESSAGE_LIMIT;

/// Why a file is not a JUnit report.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("it is not UTF-8")]
    Encoding,
    #[error("it is not well-formed: {0}")]
    Malformed(String),
    #[error("it ends within an element")]
    Truncated,
    #[error("it is empty")]
    Empty,
    #[error("it has a document type declaration")]
    DocumentType,
    #[error("it has an entity that XML does not define: &{0};")]
    Entity(String),
    #[error("its root is <{0}>, not <testsuites> or <testsuite>")]
    Root(String),
    #[error("it goes on after its root element")]
    Trailing,
    #[error("<{0}> stands where it belongs to no case")]
    Misplaced(String),
    #[error("its elements are nested more than {DEPTH} deep")]
    Deep,
    #[error("there are more than {0} cases")]
    Cases(i32),
}

/// What an open element means.
#[derive(Clone, Copy, PartialEq)]
enum Element {
    Suite,
    Case,
    /// A failure or an error.
    Outcome,
    Other,
}

/// How a case ended, as far as it was read.
#[derive(Default, PartialEq)]
enum Outcome {
    #[default]
    Passed,
    Skipped,
    Failed,
    Errored,
}

#[derive(Default)]
struct Case {
    name: String,
    milliseconds: i64,
    outcome: Outcome,
    message: String,
    text: String,
}

struct Reading {
    open: Vec<Element>,
    rooted: bool,
    case: Case,
    counted: Collected,
    most: i32,
}

/// Reads a file in which there may be `most` cases.
pub(super) fn read(file: &[u8], most: i32) -> Result<Collected, Unreadable> {
    let text = std::str::from_utf8(file).map_err(|_| Unreadable::Encoding)?;
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    let mut reading = Reading {
        open: Vec::new(),
        rooted: false,
        case: Case::default(),
        counted: Collected::default(),
        most,
    };
    loop {
        match reader.read_event().map_err(malformed)? {
            Event::Start(element) => reading.begin(&element)?,
            Event::Empty(element) => {
                reading.begin(&element)?;
                reading.end()?;
            }
            Event::End(_) => reading.end()?,
            Event::Text(words) => reading.text(&words.decode().map_err(malformed)?)?,
            Event::CData(words) => reading.text(&words.decode().map_err(malformed)?)?,
            Event::GeneralRef(reference) => reading.text(&resolved(&reference)?)?,
            Event::DocType(_) => return Err(Unreadable::DocumentType),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof => return reading.finish(),
        }
    }
}

fn malformed(error: impl std::fmt::Display) -> Unreadable {
    Unreadable::Malformed(error.to_string())
}

impl Reading {
    fn begin(&mut self, element: &BytesStart<'_>) -> Result<(), Unreadable> {
        if self.open.len() >= DEPTH {
            return Err(Unreadable::Deep);
        }
        let name = element.local_name();
        let told = || clipped(&String::from_utf8_lossy(name.as_ref()), NAME_LIMIT);
        let meaning = match (self.open.last(), name.as_ref()) {
            (None, _) if self.rooted => return Err(Unreadable::Trailing),
            (None, b"testsuites" | b"testsuite") => Element::Suite,
            (None, _) => return Err(Unreadable::Root(told())),
            (Some(Element::Suite), b"testsuite") => Element::Suite,
            (Some(Element::Suite), b"testcase") => {
                self.case = Case::read(element)?;
                Element::Case
            }
            (Some(Element::Case), b"failure") => {
                self.case.fails(Outcome::Failed, element)?;
                Element::Outcome
            }
            (Some(Element::Case), b"error") => {
                self.case.fails(Outcome::Errored, element)?;
                Element::Outcome
            }
            (Some(Element::Case), b"skipped") => {
                self.case.is_skipped();
                Element::Other
            }
            (_, b"testsuites" | b"testsuite" | b"testcase" | b"failure" | b"error") => {
                return Err(Unreadable::Misplaced(told()));
            }
            _ => Element::Other,
        };
        self.rooted = true;
        self.open.push(meaning);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Unreadable> {
        if self.open.pop() == Some(Element::Case) {
            if self.counted.tests >= self.most {
                return Err(Unreadable::Cases(self.most));
            }
            std::mem::take(&mut self.case).count(&mut self.counted);
        }
        Ok(())
    }

    fn text(&mut self, words: &str) -> Result<(), Unreadable> {
        match self.open.last() {
            None if !words.trim().is_empty() => return Err(Unreadable::Trailing),
            Some(Element::Outcome) if self.case.text.len() < TEXT_KEPT => {
                self.case.text.extend(words.chars().take(TEXT_KEPT));
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<Collected, Unreadable> {
        match (self.open.is_empty(), self.rooted) {
            (false, _) => Err(Unreadable::Truncated),
            (true, false) => Err(Unreadable::Empty),
            (true, true) => Ok(self.counted),
        }
    }
}

impl Case {
    fn read(element: &BytesStart<'_>) -> Result<Self, Unreadable> {
        let class = attribute(element, "classname")?;
        let name = attribute(element, "name")?;
        let mut case = Self {
            name: format!("{class} {name}").trim().to_owned(),
            milliseconds: milliseconds(&attribute(element, "time")?),
            ..Self::default()
        };
        // GoogleTest has no element for a test that is disabled.
        if attribute(element, "status")? == "notrun" {
            case.is_skipped();
        }
        Ok(case)
    }

    /// Of several failures the first speaks.
    fn fails(&mut self, outcome: Outcome, element: &BytesStart<'_>) -> Result<(), Unreadable> {
        if matches!(self.outcome, Outcome::Passed | Outcome::Skipped) {
            self.outcome = outcome;
            self.message = attribute(element, "message")?;
        }
        Ok(())
    }

    fn is_skipped(&mut self) {
        if self.outcome == Outcome::Passed {
            self.outcome = Outcome::Skipped;
        }
    }

    fn count(self, counted: &mut Collected) {
        counted.tests += 1;
        counted.duration_milliseconds = counted
            .duration_milliseconds
            .saturating_add(self.milliseconds);
        let place = match self.outcome {
            Outcome::Passed => &mut counted.passed,
            Outcome::Skipped => &mut counted.skipped,
            Outcome::Failed => &mut counted.failed,
            Outcome::Errored => &mut counted.errored,
        };
        *place += 1;
        let fails = matches!(self.outcome, Outcome::Failed | Outcome::Errored);
        if fails && counted.first_failures.len() < FAILURES_TOLD {
            let short = self.message.trim();
            let message = if short.is_empty() {
                self.text.trim()
            } else {
                short
            };
            counted.first_failures.push(FailedCase {
                name: clipped(&self.name, NAME_LIMIT),
                message: clipped(message, MESSAGE_LIMIT),
            });
        }
    }
}

/// An attribute, or an empty text.
fn attribute(element: &BytesStart<'_>, name: &str) -> Result<String, Unreadable> {
    let mut found = String::new();
    for attribute in element.attributes() {
        let attribute = attribute.map_err(malformed)?;
        if attribute.key.local_name().as_ref() == name.as_bytes() {
            let value = attribute.normalized_value(XmlVersion::Implicit1_0);
            found = value.map_err(malformed)?.into_owned();
        }
    }
    Ok(found)
}

/// What a reference in a text stands for: a character, or one of XML's own five entities.
fn resolved(reference: &BytesRef<'_>) -> Result<String, Unreadable> {
    if let Some(letter) = reference.resolve_char_ref().map_err(malformed)? {
        return Ok(letter.to_string());
    }
    let name = reference.decode().map_err(malformed)?;
    quick_xml::escape::resolve_predefined_entity(&name)
        .map(str::to_owned)
        .ok_or_else(|| Unreadable::Entity(clipped(&name, NAME_LIMIT)))
}

/// Seconds as JUnit writes them, also `1,234.5`. No verdict rests on them, so what is no number counts as 0.
fn milliseconds(time: &str) -> i64 {
    let seconds: f64 = time.replace(',', "").trim().parse().unwrap_or(0.0);
    let rounded = (seconds * 1000.0).round().clamp(0.0, 1e12);
    #[expect(clippy::cast_possible_truncation, reason = "clamped")]
    let whole = rounded as i64;
    whole
}

#[cfg(test)]
mod tests;
