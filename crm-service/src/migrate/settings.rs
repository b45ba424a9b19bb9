//! Where the database is, as whom to work, and how long to wait: environment and command line in, one value out.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

use super::error::Refusal;
use super::phase::Phase;
use crate::connection;

/// Where Kubernetes reads a container's last words.
const TERMINATION_LOG: &str = "/dev/termination-log";

/// How a run reaches its database and how long it may wait.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address and credentials of the migrator.
    pub database: PgConnectOptions,
    /// Role that owns what is made; the migrator is a member of it.
    pub owner_role: Option<String>,
    /// Role of the serving pods, which gets rights on rows only.
    pub app_role: Option<String>,
    /// How long the release has served.
    pub soaked: Option<Duration>,
    /// A scratch database: nothing serves there, nothing has to soak.
    pub rehearsal: bool,
    /// The release, for the ledger.
    pub release: String,
    /// Limit of the whole run, once the lock is held.
    pub deadline: Duration,
    /// Limit of the wait for the database and for the lock.
    pub lock_deadline: Duration,
}

impl Settings {
    /// Reads the environment of the delivery contract.
    ///
    /// # Errors
    /// No database is named, or a value cannot be read.
    pub fn from_environment() -> Result<Settings, Refusal> {
        let database =
            connection::options().map_err(|error| Refusal::Settings(error.to_string()))?;
        Ok(Settings {
            // A failed statement is reported once, by us; its text may be long.
            database: database.disable_statement_logging(),
            owner_role: text("CRM_OWNER_ROLE"),
            app_role: text("CRM_APP_ROLE"),
            soaked: seconds("CRM_SOAKED_SECONDS")?,
            rehearsal: truth("CRM_REHEARSAL")?,
            release: text("CRM_RELEASE").unwrap_or_else(|| "none".to_owned()),
            deadline: Duration::from_secs(600),
            lock_deadline: Duration::from_secs(60),
        })
    }

    /// How long a phase may take when nobody says: a backfill goes on for as long as its table needs.
    pub const fn default_deadline(phase: Phase) -> Duration {
        match phase {
            Phase::Backfill => Duration::from_secs(24 * 3600),
            _ => Duration::from_secs(600),
        }
    }
}

/// Where the summary is left: `CRM_TERMINATION_LOG`, or where Kubernetes reads a container's last words.
pub fn termination_log() -> PathBuf {
    let path = text("CRM_TERMINATION_LOG");
    path.unwrap_or_else(|| TERMINATION_LOG.to_owned()).into()
}

fn text(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn seconds(name: &str) -> Result<Option<Duration>, Refusal> {
    let Some(value) = text(name) else {
        return Ok(None);
    };
    match value.parse() {
        Ok(seconds) => Ok(Some(Duration::from_secs(seconds))),
        Err(_) => Err(Refusal::Settings(format!(
            "{name} is {value:?}: write whole seconds, for example 600"
        ))),
    }
}

fn truth(name: &str) -> Result<bool, Refusal> {
    match text(name).as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(value) => Err(Refusal::Settings(format!(
            "{name} is {value:?}: write true or false"
        ))),
    }
}
