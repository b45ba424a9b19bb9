//! Where the database is: environment in, connect options out. Opens nothing.

use std::env;
use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;

/// Why the environment does not say where the database is.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither way of naming the database is there.
    #[error("no database is named: set PGHOST, PGDATABASE, PGUSER and PGPASSWORD, or DATABASE_URL")]
    Missing,
    /// `DATABASE_URL` is not an address of PostgreSQL. Its text is left out: it may carry a password.
    #[error(
        "DATABASE_URL is not a PostgreSQL address: write postgres://user:password@host:port/database"
    )]
    Malformed(#[source] sqlx::Error),
}

/// Reads `PG*`, or `DATABASE_URL` when `PGHOST` is absent.
///
/// # Errors
/// Neither is set, or the address cannot be read.
pub fn options() -> Result<PgConnectOptions, Error> {
    if env::var_os("PGHOST").is_some() {
        return Ok(PgConnectOptions::new());
    }
    let url = env::var("DATABASE_URL").map_err(|_| Error::Missing)?;
    PgConnectOptions::from_str(&url).map_err(Error::Malformed)
}
