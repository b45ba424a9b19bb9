//! Where log lines go: standard error, as JSON or as text.
//!
//! In: format and filter. Out: nothing. Must be called once, before the first line.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::util::SubscriberInitExt;

/// Form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// A filter that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "log filter {filter:?} cannot be read ({cause}): use for example info, or info,crm_operator=debug"
)]
pub struct Error {
    /// As given.
    pub filter: String,
    /// Why.
    pub cause: String,
}

/// Starts logging.
///
/// # Errors
/// When the filter cannot be read.
pub fn start(format: LogFormat, filter: &str) -> Result<(), Error> {
    let parsed = EnvFilter::try_new(filter).map_err(|error| Error {
        filter: filter.to_owned(),
        cause: error.to_string(),
    })?;
    let lines = fmt().with_env_filter(parsed).with_writer(std::io::stderr);
    match format {
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .finish()
            .init(),
        LogFormat::Text => lines
            .with_ansi(std::io::stderr().is_terminal())
            .finish()
            .init(),
    }
    Ok(())
}
