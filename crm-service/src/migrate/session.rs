//! One connection of the migrator: every statement of a run goes through here, as the owner role, with an empty
//! search path and with limits on waiting and running.
//!
//! *Fence.* A runner that lost its lock notices up to a few seconds later, and a killed one may leave a server process
//! that is just committing. Each transaction therefore begins by taking an advisory lock of its own, without waiting:
//! two runners are never inside one at once, whatever became of the lock of the run.

use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use super::error::{Error, doing};
use super::header::Limits;
use super::settings::Settings;
use crate::service::Service;

const RECONNECT: Duration = Duration::from_millis(500);

/// A connection that works on the schema of one service.
pub struct Session {
    /// The connection, for prepared queries; their SQL comes from [`Session::sql`].
    pub connection: PgConnection,
    service: Service,
}

impl Session {
    /// Connects as the owner; waits for a database that is still starting.
    ///
    /// # Errors
    /// The database refuses, or cannot be reached within the deadline for the lock.
    pub async fn open(settings: &Settings, service: Service) -> Result<Session, Error> {
        let options = settings
            .database
            .clone()
            .application_name(&format!("crm-migrate/{service}"))
            .options([("search_path", "")])
            // Cached plans of our own would break on our own changes.
            .statement_cache_capacity(0);
        let connection = connect(&options, settings.lock_deadline).await?;
        let mut session = Session {
            connection,
            service,
        };
        if let Some(role) = &settings.owner_role {
            let set_role = format!("set role {}", quoted(role));
            let what = format!("become role {role}");
            session.run(&set_role).await.map_err(doing(what))?;
        }
        Ok(session)
    }

    /// Closes the connection as politely as a drop cannot; the result does not matter any more.
    pub async fn close(self) {
        if let Err(error) = self.connection.close().await {
            tracing::debug!(%error, "closing a connection failed");
        }
    }

    /// SQL of this service: `{schema}` stands for its schema's name, which is a constant of this build.
    pub fn sql(&self, template: &str) -> AssertSqlSafe<String> {
        AssertSqlSafe(template.replace("{schema}", self.service.name()))
    }

    /// Runs statements by the simple protocol: no parameters, no result.
    ///
    /// # Errors
    /// The database's.
    pub async fn run(&mut self, template: &str) -> Result<(), sqlx::Error> {
        let sql = self.sql(template);
        sqlx::raw_sql(sql).execute(&mut self.connection).await?;
        Ok(())
    }

    /// Opens a transaction with a file's limits, behind the fence.
    ///
    /// # Errors
    /// The database's, or another runner's transaction has not ended.
    pub async fn begin(&mut self, limits: Limits) -> Result<(), Error> {
        let begin = format!(
            "begin; set local statement_timeout = {}; set local lock_timeout = {}",
            limits.statement_timeout.as_millis(),
            limits.lock_timeout.as_millis()
        );
        self.run(&begin)
            .await
            .map_err(doing("open a transaction"))?;
        let key = key(self.service, "transaction");
        let free: bool = sqlx::query_scalar("select pg_try_advisory_xact_lock($1)")
            .bind(key)
            .fetch_one(&mut self.connection)
            .await
            .map_err(doing("ask for the fence of transactions"))?;
        if free {
            return Ok(());
        }
        Err(Error::Busy {
            service: self.service,
        })
    }

    /// Makes the transaction's work stay.
    ///
    /// # Errors
    /// The database's. Whether the work stayed is then unknown; running again finds out.
    pub async fn commit(&mut self) -> Result<(), Error> {
        self.run("commit").await.map_err(doing("commit"))
    }

    /// Ends the transaction without its work. A connection that is gone has done so already.
    pub async fn rollback(&mut self) {
        if let Err(error) = self.run("rollback").await {
            tracing::debug!(%error, "the connection is gone, and the transaction with it");
        }
    }

    /// Runs one statement of a step of which `begun` is the start. Locks taken by a step are held to its end, so all
    /// its waits together get the time that the file allows for one.
    ///
    /// # Errors
    /// The database's.
    pub async fn run_in_step(
        &mut self,
        statement: &str,
        limits: Limits,
        begun: Instant,
    ) -> Result<(), sqlx::Error> {
        let left = limits.lock_timeout.saturating_sub(begun.elapsed());
        let wait = left.max(limits.lock_timeout / 6).as_millis();
        self.run(&format!("set local lock_timeout = {wait}"))
            .await?;
        // Not through `run`: a file's text is executed as it was linted.
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }
}

async fn connect(options: &PgConnectOptions, limit: Duration) -> Result<PgConnection, Error> {
    let begun = Instant::now();
    loop {
        let attempt = tokio::time::timeout(limit, options.connect()).await;
        let error = match attempt {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => error,
            Err(_) => sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()),
        };
        if !starting(&error) || begun.elapsed() + RECONNECT >= limit {
            let place = format!("{}:{}", options.get_host(), options.get_port());
            let user = options.get_username();
            return Err(doing(format!("connect to {place} as {user}"))(error));
        }
        tracing::info!(%error, elapsed = ?begun.elapsed(), "the database is not there yet");
        tokio::time::sleep(RECONNECT).await;
    }
}

/// Whether the same attempt may succeed a little later.
fn starting(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        // Starting or shutting down; too many connections.
        sqlx::Error::Database(told) => {
            matches!(told.code().as_deref(), Some("57P03" | "53300"))
        }
        _ => false,
    }
}

/// An identifier in quotes.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The number of an advisory lock. PostgreSQL keeps these per database; the rest of the key is in the hash.
pub fn key(service: Service, kind: &str) -> i64 {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(format!("crm-migrate/{service}/{kind}"));
    let (first, _) = digest.split_first_chunk().expect("a digest has 32 bytes");
    i64::from_be_bytes(*first)
}
