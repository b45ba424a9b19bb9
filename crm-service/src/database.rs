//! The pool of the serving process: environment in, connections out; and what an error of the database means to a
//! caller. No statements of its own but those of the health check.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use futures::FutureExt as _;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Connection as _, Executor as _, PgConnection, Postgres, SqlSafeStr as _, Transaction};

use crate::http::problem::Problem;

/// How long a request waits for a connection before it is told to come back.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// Idle time after which a connection is probed before it is used; a probe each time would double the round trips.
const PROBE_AFTER: Duration = Duration::from_secs(5);

/// Limits that the server enforces for every statement of the service. The empty search path keeps names qualified.
const SETTINGS: [(&str, &str); 4] = [
    ("statement_timeout", "5s"),
    ("lock_timeout", "2s"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("search_path", ""),
];

/// Adds the limits to where the database is.
pub fn limited(options: PgConnectOptions) -> PgConnectOptions {
    options.options(SETTINGS).application_name("crm-service")
}

/// A pool whose connections can be declared stale.
#[derive(Clone)]
pub struct Database {
    pool: PgPool,
    stale: Arc<Stale>,
}

/// When a cached statement was last found not to fit the tables any more.
struct Stale {
    origin: Instant,
    /// Microseconds after the origin; 0 = never.
    found: AtomicU64,
}

impl Stale {
    fn is_from_before(&self, age: Duration) -> bool {
        let found = self.found.load(Ordering::Relaxed);
        let opened = self.origin.elapsed().saturating_sub(age);
        found > 0 && opened <= Duration::from_micros(found)
    }

    fn mark(&self) {
        let now = u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.found.fetch_max(now.max(1), Ordering::Relaxed);
    }
}

impl Database {
    /// A pool of at most `size` connections, opened when needed.
    pub fn new(options: PgConnectOptions, size: u32) -> Database {
        let stale = Arc::new(Stale {
            origin: Instant::now(),
            found: AtomicU64::new(0),
        });
        let (on_acquire, on_release) = (stale.clone(), stale.clone());
        let pool = PgPoolOptions::new()
            .max_connections(size)
            .min_connections(1)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(Duration::from_secs(300))
            .test_before_acquire(false)
            .before_acquire(move |connection, meta| {
                let stale = on_acquire.is_from_before(meta.age);
                async move {
                    if stale {
                        return Ok(false);
                    }
                    let probe = meta.idle_for > PROBE_AFTER;
                    Ok(!probe || connection.ping().await.is_ok())
                }
                .boxed()
            })
            .after_release(move |_, meta| {
                let keep = !on_release.is_from_before(meta.age);
                async move { Ok(keep) }.boxed()
            })
            .connect_lazy_with(limited(options));
        Database { pool, stale }
    }

    /// The pool itself, for gauges and for closing.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Starts a transaction.
    ///
    /// # Errors
    /// 503 when no connection is free in time or the server cannot be reached.
    pub async fn begin(&self) -> Result<Transaction<'static, Postgres>, Problem> {
        Ok(self.pool.begin().await?)
    }

    /// Runs a whole unit of work, and once more when it met a statement that was prepared before a migration changed a
    /// table. `work` begins and commits its own transaction, so nothing of the first attempt remains.
    ///
    /// # Errors
    /// Those of the work.
    pub async fn fresh_once<T, F: Future<Output = Result<T, Problem>>>(
        &self,
        work: impl Fn() -> F,
    ) -> Result<T, Problem> {
        match work().await {
            Err(problem) if problem.stale_plan => {
                self.stale.mark();
                tracing::warn!(
                    "a table changed under a prepared statement; older connections are replaced"
                );
                work().await.inspect_err(|again| {
                    if again.stale_plan {
                        tracing::error!(
                            "a statement does not fit the tables, on a new connection either"
                        );
                    }
                })
            }
            outcome => outcome,
        }
    }

    /// Prepares every statement on a connection of its own, which is closed afterwards: a column that is missing is
    /// found before traffic is.
    ///
    /// # Errors
    /// The first statement that the database refuses, with its text.
    pub async fn prepare_all(&self, statements: Vec<String>) -> Result<(), Refused> {
        let connection = self.pool.acquire().await.map_err(|source| Refused {
            statement: "(connect)".into(),
            source,
        })?;
        let mut connection: PgConnection = connection.detach();
        for statement in statements {
            let prepared = connection
                .prepare(sqlx::AssertSqlSafe(statement.clone()).into_sql_str())
                .await
                .map(drop);
            prepared.map_err(|source| Refused { statement, source })?;
        }
        // Failing to say good-bye changes nothing: the statements were accepted.
        let _ = connection.close().await;
        Ok(())
    }
}

/// A statement that the schema does not support.
#[derive(Debug, thiserror::Error)]
#[error("the database refuses a statement of this release: {statement}")]
pub struct Refused {
    /// Its text.
    pub statement: String,
    /// What the database says.
    #[source]
    pub source: sqlx::Error,
}

/// What an error of the database means to the caller; the one place that decides it. The cause goes to the log.
impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        let code = error
            .as_database_error()
            .and_then(|error| error.code())
            .unwrap_or_default()
            .into_owned();
        match (&error, code.as_str()) {
            (_, "0A000") => Problem {
                stale_plan: true,
                ..Problem::internal()
            },
            (sqlx::Error::PoolTimedOut, _) => Problem::unavailable(
                "database-busy",
                "no connection to the database became free in time; try again",
            ),
            (
                sqlx::Error::Io(_)
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed
                | sqlx::Error::Protocol(_),
                _,
            )
            | (_, "57P01" | "57P02" | "57P03" | "53300") => {
                tracing::warn!(%error, "the database is out of reach");
                Problem::unavailable(
                    "database-unavailable",
                    "the database cannot be reached at the moment; try again",
                )
            }
            (_, "57014" | "55P03" | "40001" | "40P01" | "25P03") => {
                tracing::warn!(%error, "a statement was given up");
                Problem::unavailable(
                    "database-timeout",
                    "the database was too busy for this request; nothing was changed, try again",
                )
            }
            (_, "22003" | "22008") => Problem::new(
                StatusCode::BAD_REQUEST,
                "malformed",
                "a number or a date is out of range",
            ),
            _ => {
                tracing::error!(%error, "a statement failed");
                Problem::internal()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_from_before_a_stale_statement_are_replaced_and_later_ones_kept() {
        let stale = Stale {
            origin: Instant::now() - Duration::from_secs(100),
            found: AtomicU64::new(0),
        };
        assert!(!stale.is_from_before(Duration::from_secs(50)));
        stale.mark();
        assert!(stale.is_from_before(Duration::from_secs(50)));
        std::thread::sleep(Duration::from_millis(2));
        assert!(!stale.is_from_before(Duration::ZERO));
    }
}
