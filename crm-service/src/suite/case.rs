//! A case of a suite and the ways it can end.

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::session::Session;

/// Why a case did not pass.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The service answered, and wrongly.
    #[error("{0}")]
    Failed(String),
    /// There was no answer.
    #[error("{0}")]
    Unreachable(String),
}

/// How a case ends.
pub type Outcome<T = ()> = Result<T, Failure>;

/// A named check.
pub struct Case {
    /// A sentence without its subject, as in `refuses an unknown field`.
    pub name: &'static str,
    /// The check.
    pub run: Box<dyn Fn(Session) -> BoxFuture<'static, Outcome> + Send + Sync>,
}

impl Case {
    /// A case of a function.
    pub fn new<F: Future<Output = Outcome> + Send + 'static>(
        name: &'static str,
        run: impl Fn(Session) -> F + Send + Sync + 'static,
    ) -> Case {
        Case {
            name,
            run: Box::new(move |session| run(session).boxed()),
        }
    }
}

/// Ends the case unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::suite::case::Failure::Failed(format!($($message)+)));
        }
    };
}

pub(crate) use ensure;
