//! A report there and back, and what an image may do to it.

use std::io::Read as _;

use flate2::read::GzDecoder;

use super::*;

const DOCUMENT: &[u8] = b"<testsuite><testcase name='a'/></testsuite>";

fn packed(files: &[(&str, &[u8])], limit: usize) -> Vec<u8> {
    let mut packer = Packer::new(files.len(), limit);
    for (name, text) in files {
        packer.add(name, text);
    }
    packer.finish()
}

fn unpacked(packed: &[u8]) -> String {
    let mut text = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut text).unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

fn printed(packed: &[u8]) -> Vec<u8> {
    let mut log = Vec::new();
    print(packed, &mut log).unwrap();
    log
}

/// Bytes that no program makes smaller.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..bytes).map(|_| next()).collect()
}

#[test]
fn a_single_file_comes_back_byte_by_byte() {
    let log = printed(&packed(&[("report.xml", DOCUMENT)], REPORT_BYTES));
    let read = read(&log).unwrap();
    assert_eq!(unpacked(&read).as_bytes(), DOCUMENT);
}

#[test]
fn several_files_become_one_document() {
    let with_head = b"\xef\xbb\xbf<?xml version=\"1.0\"?><testsuite name='b'/>";
    let packed = packed(
        &[("a.xml", DOCUMENT), ("--> b.xml", with_head)],
        REPORT_BYTES,
    );
    let text = unpacked(&packed);
    assert_eq!(
        text,
        "<testsuites>\n<!-- a.xml -->\n<testsuite><testcase name='a'/></testsuite>\n<!-- \u{2010}\u{2010}> b.xml -->\n<testsuite name='b'/>\n</testsuites>\n"
    );
    let cases = crate::report::count(text.as_bytes());
    assert_eq!(cases, Ok(1), "it is a report by the same contract");
}

#[test]
fn what_is_too_long_is_cut_and_says_so_within_every_limit() {
    for limit in [1024, 8 * 1024, 20 * 1024, REPORT_BYTES, usize::MAX] {
        for text in [noise(600 * 1024), DOCUMENT.repeat(100_000)] {
            let packed = packed(&[("big.xml", &text)], limit);
            assert!(packed.len() <= limit.min(REPORT_BYTES), "{}", packed.len());
            let kept = unpacked(&packed);
            let whole = kept.len() == text.len();
            assert!(whole || kept.ends_with(CUT), "limit {limit}");
            assert!(
                packed.len() > limit.min(REPORT_BYTES) / 2 || whole,
                "{limit}"
            );
        }
    }
}

#[test]
fn the_log_of_the_largest_report_fits_into_what_is_read_of_it() {
    let packed = packed(&[("big.xml", &noise(600 * 1024))], REPORT_BYTES);
    let log = printed(&packed);
    assert!(log.len() <= LOG_BYTES, "{} of {LOG_BYTES}", log.len());
    assert_eq!(read(&log), Ok(packed));
}

#[test]
fn a_log_that_is_cut_or_of_another_program_holds_no_report() {
    let log = printed(&packed(&[("a.xml", DOCUMENT)], REPORT_BYTES));
    assert!(read(&[b"a warning\n".as_slice(), &log].concat()).is_ok());
    let huge = format!("{HEADER} 999999999999 {}\nAAAA\n", "a".repeat(64));
    let others: [&[u8]; 7] = [
        b"",
        b"all fine",
        &log[..log.len() - 10],
        &log[..HEADER.len() + 3],
        huge.as_bytes(),
        b"crm-report 1 3 aa\nAAAA\n",
        b"crm-report 1 3 aa\n\xff\xfe",
    ];
    for other in others {
        assert!(read(other).is_err(), "{}", String::from_utf8_lossy(other));
    }
}
