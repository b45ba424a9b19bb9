//! Everything that can end a run early, each with the outcome that the operator acts on and a sentence for people.

use std::time::Duration;

use super::report::Outcome;
use super::set::Invalid;
use crate::service::Service;

/// Why a run ended before its phase was done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another runner works on the same service of the same database.
    #[error(
        "another migration of service {service} holds the lock of this database; waited {} s: let it end, then run again",
        waited.as_secs()
    )]
    Locked {
        /// The service.
        service: Service,
        /// How long this runner waited.
        waited: Duration,
    },
    /// A transaction that a dead runner began is still going on in the database.
    #[error(
        "a transaction of an earlier migration of service {service} has not ended in the database: run again"
    )]
    Busy {
        /// The service.
        service: Service,
    },
    /// Policy forbids it; nothing was executed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database could not be reached, or said no.
    #[error("failed to {doing}: {}", describe(source))]
    Database {
        /// What was attempted, on which object.
        doing: String,
        /// What went wrong.
        #[source]
        source: sqlx::Error,
    },
    /// The time for the whole run is over.
    #[error(
        "{doing} was not done within {} s; what was not committed is rolled back: run again, with a longer --deadline-seconds if it is slow",
        limit.as_secs()
    )]
    Deadline {
        /// What was going on.
        doing: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// The connection that holds the lock is gone, so another runner may start.
    #[error(
        "the connection that holds the migration lock was lost; what was not committed is rolled back: run again"
    )]
    LockLost,
    /// The process was asked to end.
    #[error("stopped by a signal; what was not committed is rolled back: run again")]
    Interrupted,
    /// Assertions found rows after a backfill.
    #[error(
        "an assertion of {file} found {rows} row(s): {assertion}; correct them, then run backfill again"
    )]
    Unproven {
        /// The verify file.
        file: String,
        /// What was asserted.
        assertion: String,
        /// Rows that break it.
        rows: i64,
    },
    /// A step outside of a transaction is neither done nor undone.
    #[error("{file} is left half done: {problem}")]
    Dirty {
        /// The file.
        file: String,
        /// What stands there, and what a person has to do.
        problem: String,
    },
}

/// Why policy forbids a run.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The files of this build are not a history.
    #[error("the migrations of this build cannot be used: {0}")]
    Files(#[source] Invalid),
    /// A mask that is not told of a rehearsal.
    #[error(
        "phase mask overwrites personal data for good and is for rehearsals only: set CRM_REHEARSAL=true if this is one"
    )]
    Live,
    /// A mask of a database that no rehearsal made.
    #[error(
        "phase mask overwrites personal data for good, and database {database:?} is no scratch database: its name must begin with scratch_"
    )]
    NotScratch {
        /// Its name.
        database: String,
    },
    /// A mask that does not know what a column holds.
    #[error(
        "this build does not know what column {column} ({data_type}) holds, so nothing is masked: use the build that brought the column, which must list it in its personal.rs"
    )]
    Unlisted {
        /// The column, with schema and table.
        column: String,
        /// Its type.
        data_type: String,
    },
    /// The environment misses something.
    #[error("{0}")]
    Settings(String),
    /// A file that was applied has another text now.
    #[error(
        "{file} was edited after it was applied: restore its text and write a new migration, or, if the effect is the same, add replaces={applied} to its header"
    )]
    Edited {
        /// The file.
        file: String,
        /// Checksum of the text that was applied.
        applied: String,
    },
    /// The database knows this number under another name.
    #[error(
        "migration {number:04} is {ours} in this build and {theirs} in the database: renumber the one that was not applied"
    )]
    Renamed {
        /// The number.
        number: i32,
        /// Name in this build.
        ours: String,
        /// Name in the database.
        theirs: String,
    },
    /// A file appeared below the newest that was applied.
    #[error("{file} is not applied although {newer:04} is: give it a number above {newer:04}")]
    Inserted {
        /// The file.
        file: String,
        /// The newest applied number.
        newer: i32,
    },
    /// The database dropped what this build needs.
    #[error(
        "this build has app level {app_level} and schema {service} has floor {floor}: use a release of app level {floor} or newer"
    )]
    BelowFloor {
        /// The service.
        service: Service,
        /// This build's app level.
        app_level: i32,
        /// The database's floor.
        floor: i32,
    },
    /// An earlier phase is not complete.
    #[error("{file} is not applied: run {phase} first")]
    Earlier {
        /// What is missing.
        file: String,
        /// The phase that applies it.
        phase: &'static str,
    },
    /// A backfill that the contract needs is not done.
    #[error("{file} needs backfill {backfill}, which is not done: run phase backfill until it is")]
    Backfill {
        /// The contract.
        file: String,
        /// The backfill.
        backfill: String,
    },
    /// Assertions find rows now.
    #[error(
        "{file} needs its assertions to hold, and {rows} row(s) break one: {assertion}; correct them, run backfill, then contract again"
    )]
    Unproven {
        /// The contract.
        file: String,
        /// What was asserted.
        assertion: String,
        /// Rows that break it.
        rows: i64,
    },
    /// Nobody said how long the release has served.
    #[error("{file} needs to know how long the release has served: set CRM_SOAKED_SECONDS")]
    SoakUnknown {
        /// The contract.
        file: String,
    },
    /// The release has not served long enough.
    #[error("{file} needs a soak of {} s and the release has served {} s: run contract again later", needed.as_secs(), served.as_secs())]
    Soak {
        /// The contract.
        file: String,
        /// What the file requires.
        needed: Duration,
        /// What the operator measured.
        served: Duration,
    },
    /// A pod of an older release lives.
    #[error(
        "{file} raises the floor to app level {floor}, and {count} instance(s) below it were seen in the last 30 s (release {release}): end them, then run contract again"
    )]
    Instances {
        /// The contract.
        file: String,
        /// The floor to be.
        floor: i32,
        /// How many.
        count: i64,
        /// The release of one of them.
        release: String,
    },
}

impl Error {
    /// What the operator is told.
    pub fn outcome(&self) -> Outcome {
        match self {
            Error::Locked { .. } => Outcome::Locked,
            Error::Refused(_) => Outcome::Refused,
            Error::Dirty { .. } => Outcome::Attention,
            Error::Database { source, .. } if is_trouble_of_the_database(source) => {
                Outcome::Inconclusive
            }
            Error::Busy { .. } | Error::Deadline { .. } | Error::LockLost | Error::Interrupted => {
                Outcome::Inconclusive
            }
            Error::Database { .. } | Error::Unproven { .. } => Outcome::Failed,
        }
    }

    /// The SQLSTATE, when the database itself said no.
    pub fn code(&self) -> Option<String> {
        let Error::Database { source, .. } = self else {
            return None;
        };
        let code = source.as_database_error()?.code()?;
        Some(code.into_owned())
    }

    /// Whether trying the same transaction again may help: a lock was not to be had, or two waited for each other.
    pub fn contended(&self) -> bool {
        let locked = self.code().is_some_and(|code| is_contention(&code));
        locked || matches!(self, Error::Busy { .. })
    }
}

/// Whether the database could not do its work, whatever was asked of it: no word about the files of a release.
fn is_trouble_of_the_database(error: &sqlx::Error) -> bool {
    let Some(told) = error.as_database_error() else {
        use sqlx::Error as E;
        return matches!(
            error,
            E::Io(_) | E::Tls(_) | E::Protocol(_) | E::Configuration(_) | E::WorkerCrashed
        );
    };
    let code = told.code().unwrap_or_default();
    // No connection, no admission, no such database, no resources, stopped by an administrator, trouble of its system.
    let class = code.get(..2).unwrap_or_default();
    matches!(class, "08" | "28" | "3D" | "53" | "58")
        || code.starts_with("57P")
        || is_contention(&code)
}

/// A lock was not to be had, or two transactions waited for each other.
fn is_contention(code: &str) -> bool {
    matches!(code, "55P03" | "40P01" | "40001")
}

/// Adds what was attempted to an error of the database.
pub fn doing(what: impl Into<String>) -> impl FnOnce(sqlx::Error) -> Error {
    let doing = what.into();
    move |source| Error::Database { doing, source }
}

/// The database's own message without row values: its detail may quote personal data.
fn describe(error: &sqlx::Error) -> String {
    match error.as_database_error() {
        Some(told) => match told.code() {
            Some(code) => format!("{} ({code})", told.message()),
            None => told.message().to_owned(),
        },
        None => error.to_string(),
    }
}
