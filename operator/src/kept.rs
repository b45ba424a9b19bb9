//! What is kept of a Job when its pod is gone: the whole report of a test, and the end of the log of what did not pass.
//!
//! In: bytes that an image under test wrote. Out: compressed bytes and short texts, both bounded. Nothing here is a verdict, and nothing of it is read again by the operator.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

pub mod log;
pub mod whole;

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

/// Most bytes of one whole report, compressed.
pub const REPORT_BYTES: usize = 256 * 1024;
/// Most bytes of the whole reports of one release, compressed; shared evenly between the runs of its tests.
pub const REPORTS_BYTES: usize = 640 * 1024;
/// Most bytes that are kept of one release: the API server takes 1 MiB for a ConfigMap.
pub const RELEASE_BYTES: usize = 900 * 1024;

/// Bytes in the gzip form; the same for the same bytes.
pub fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.expect("writing to memory does not fail")
}
