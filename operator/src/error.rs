//! Why a reconcile did not finish. Each IO step has its own error; here they meet.

use crate::observed::Denial;
use crate::{apply, observe};

/// A reconcile failed and is tried again after a growing delay.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The platform could not be observed.
    #[error(transparent)]
    Observe(#[from] observe::Error),
    /// A write was refused or not answered.
    #[error(transparent)]
    Apply(#[from] apply::Error),
    /// A bug: the other platforms must not stop with this one.
    #[error(
        "the operator has a bug that this platform meets: {0}; please report it with the log lines before this one"
    )]
    Panicked(String),
}

impl Error {
    /// What the API server said no to, and will say so again.
    pub fn denial(&self) -> Option<Denial> {
        match self {
            Self::Apply(error) => error.denial(),
            Self::Observe(_) | Self::Panicked(_) => None,
        }
    }

    /// Which step failed, for logs.
    pub fn step(&self) -> &'static str {
        match self {
            Self::Observe(_) => "observe",
            Self::Apply(_) => "apply",
            Self::Panicked(_) => "panic",
        }
    }
}

/// An error of the client in one short sentence: what the API server said, without the debug form that kube adds.
pub fn short(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        kube::Error::Api(status) => {
            format!("the API server answered {} {}", status.code, status.reason)
        }
        other => other.to_string(),
    }
}

/// The innermost source of an error, which says what went wrong, without line breaks and at most 200 characters long.
pub fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let text = innermost.to_string();
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(200).collect()
}
