//! The check before traffic: does the schema fit this release, and does the database accept every statement of it?
//! Waits for a database that is not there yet; refuses to go on with one that does not fit.

use std::time::Duration;

use crate::database::Refused;
use crate::http::Shared;
use crate::http::health::window;
use crate::schema;

/// Time between two attempts to reach the database.
const RETRY: Duration = Duration::from_millis(500);

/// Why this release must not serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The schema is too old, or what this release needs was dropped.
    #[error("{0}")]
    Window(schema::Reason),
    /// A statement is not supported.
    #[error("the schema does not have what this release uses")]
    Statement(#[source] Refused),
}

/// Returns when the process may get traffic.
///
/// # Errors
/// It must never get any.
pub async fn check(context: &Shared) -> Result<(), Error> {
    loop {
        match attempt(context).await? {
            Attempt::Fits => break,
            Attempt::Unreachable(error) => tracing::warn!(%error, "waiting for the database"),
        }
        tokio::time::sleep(RETRY).await;
    }
    context.health.set_checked();
    tracing::info!(service = %context.service, "ready");
    Ok(())
}

enum Attempt {
    Fits,
    Unreachable(sqlx::Error),
}

async fn attempt(context: &Shared) -> Result<Attempt, Error> {
    match window(context.database.pool(), context.service).await {
        Ok(window) => schema::fits(context.service, window).map_err(Error::Window)?,
        Err(error) => return Ok(Attempt::Unreachable(error)),
    }
    match context
        .database
        .prepare_all(context.service.statements())
        .await
    {
        Ok(()) => Ok(Attempt::Fits),
        Err(refused) if refused.source.as_database_error().is_some() => {
            Err(Error::Statement(refused))
        }
        Err(refused) => Ok(Attempt::Unreachable(refused.source)),
    }
}
