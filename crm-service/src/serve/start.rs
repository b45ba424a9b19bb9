//! The check before traffic: does the schema fit this release, and does the database accept every statement of it?
//! Waits for a database that is not there yet or busy; refuses to go on with one that does not fit.

use std::time::Duration;

use crate::database::Refused;
use crate::http::Shared;
use crate::http::health::window;
use crate::schema;
use crate::serve::heartbeat::{self, Heart};

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
pub async fn check(context: &Shared, heart: &mut Heart) -> Result<(), Error> {
    loop {
        match attempt(context, heart).await? {
            Attempt::Fits => break,
            Attempt::NotYet(error) => tracing::warn!(%error, "waiting for the database"),
        }
        tokio::time::sleep(RETRY).await;
    }
    context.health.set_checked();
    tracing::info!(service = %context.service, "ready");
    Ok(())
}

enum Attempt {
    Fits,
    NotYet(sqlx::Error),
}

/// The beat comes first: a migration that raises the floor holds beats back meanwhile, so it either sees this process
/// or has raised the floor before this process reads it.
async fn attempt(context: &Shared, heart: &mut Heart) -> Result<Attempt, Error> {
    let beaten = match heart.beat().await {
        Err(error) if !is_about_the_schema(&error) => return Ok(Attempt::NotYet(error)),
        beaten => beaten,
    };
    match window(context.database.pool(), context.service).await {
        Ok(window) => schema::fits(context.service, window).map_err(Error::Window)?,
        Err(error) => return Ok(Attempt::NotYet(error)),
    }
    let [statement, _] = heartbeat::statements(context.service);
    beaten.map_err(|source| Error::Statement(Refused { statement, source }))?;
    match context
        .database
        .prepare_all(context.service.statements())
        .await
    {
        Ok(()) => Ok(Attempt::Fits),
        Err(refused) if is_about_the_schema(&refused.source) => Err(Error::Statement(refused)),
        Err(refused) => Ok(Attempt::NotYet(refused.source)),
    }
}

/// Whether waiting is in vain: the statement is wrong for these tables and rights (42), or there is no such schema (3F).
/// All else, such as a lock or a shutdown, passes.
fn is_about_the_schema(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code.starts_with("42") || code.starts_with("3F"))
}
