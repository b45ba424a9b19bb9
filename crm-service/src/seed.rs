//! Rows to try things on: the same ones each time, written by SQL. Running it again changes nothing. The rows look like
//! real ones, so that a migration that is rehearsed on them meets what it will meet: nulls, shared addresses, history.

use std::time::Instant;

use sqlx::postgres::PgPoolOptions;

use crate::connection;
use crate::database::limited;
use crate::service::Service;

/// `crm-service seed`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The service whose tables are filled.
    #[arg(long, env = "CRM_SERVICE")]
    service: Service,
    /// What to fill them with.
    #[arg(long, value_enum, default_value_t = Profile::Demo)]
    profile: Profile,
}

/// A set of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// A small company: 200 accounts, 1,000 contacts, 300 opportunities.
    Demo,
}

/// Why no rows were written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// See [`connection::Error`].
    #[error("the database is not configured")]
    Connection(#[source] connection::Error),
    /// It cannot be reached, or the schema is not there yet.
    #[error("failed to seed {service}: is the database there and migrated?")]
    Database {
        /// The service.
        service: Service,
        /// What the database says.
        #[source]
        source: sqlx::Error,
    },
}

const CUSTOMER: &str = include_str!("seed/customer.sql");
const SALES: &str = include_str!("seed/sales.sql");

/// Fills the tables of a service.
///
/// # Errors
/// The database cannot be reached or is not migrated.
pub async fn run(arguments: &Arguments) -> Result<(), Error> {
    let options = connection::options().map_err(Error::Connection)?;
    let rows = fill(options, arguments.service, arguments.profile).await?;
    tracing::info!(service = %arguments.service, rows, "seeded");
    Ok(())
}

/// Fills the tables of a service in one transaction; returns the number of new rows.
///
/// # Errors
/// The database cannot be reached or is not migrated.
pub async fn fill(
    options: sqlx::postgres::PgConnectOptions,
    service: Service,
    profile: Profile,
) -> Result<u64, Error> {
    let started = Instant::now();
    let script = match (service, profile) {
        (Service::Customer, Profile::Demo) => CUSTOMER,
        (Service::Sales, Profile::Demo) => SALES,
    };
    let failed = |source| Error::Database { service, source };
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .connect_with(limited(options))
        .await
        .map_err(failed)?;
    let mut transaction = pool.begin().await.map_err(failed)?;
    let mut rows = 0;
    for statement in script
        .split(";\n")
        .map(str::trim)
        .filter(|statement| !statement.is_empty())
    {
        rows += sqlx::query(statement)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?
            .rows_affected();
    }
    transaction.commit().await.map_err(failed)?;
    tracing::debug!(milliseconds = started.elapsed().as_millis(), "written");
    Ok(rows)
}
