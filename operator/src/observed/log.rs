//! Which log a plan asks for, and what was read of it.

use std::collections::BTreeMap;

/// The log of one container of a pod of the platform.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ask {
    /// Name of the pod.
    pub pod: String,
    /// Name of the container.
    pub container: &'static str,
    /// Which part.
    pub part: LogPart,
}

/// Which part of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogPart {
    /// All of it: a report is in it.
    Report,
    /// Its end.
    End,
    /// The end of that of the container's run before this one.
    EndBefore,
}

/// What was read, or why it was not, in words.
pub type Logs = BTreeMap<Ask, Result<Vec<u8>, String>>;
