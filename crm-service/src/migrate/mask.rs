//! Puts substitutes in the place of personal data, in a database that a rehearsal restored from a backup. What there is
//! to mask says the catalog, so any schema level will do; what takes its place says `personal.rs`.
//!
//! *Guarantees.* Never on a live database. All tables are one transaction: a run that breaks off leaves all as it was,
//! and running again changes nothing more. Rows, keys and nulls stay. *Caveats.* The old versions of the rows are in the
//! files of the server until a vacuum; no role of the service can read them.

mod catalog;

use std::time::Duration;

use sqlx::AssertSqlSafe;

use self::catalog::Table;
use super::error::{Error, Refusal, doing};
use super::header::Limits;
use super::report::Report;
use super::retry::Tries;
use super::session::{Session, quoted};
use super::settings::Settings;
use crate::service::Service;

/// How the operator calls the databases of its rehearsals.
const SCRATCH: &str = "scratch_";
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// Asked before anything is connected.
///
/// # Errors
/// Nobody said that this is a rehearsal.
pub fn permit(settings: &Settings) -> Result<(), Refusal> {
    match settings.rehearsal {
        true => Ok(()),
        false => Err(Refusal::Live),
    }
}

/// Masks every table of a service.
///
/// # Errors
/// The database is no scratch database, a column is on no list, or the database's; nothing is masked then.
pub async fn run(
    session: &mut Session,
    service: Service,
    settings: &Settings,
    report: &mut Report,
) -> Result<(), Error> {
    check_name(session).await?;
    let mut tries = Tries::default();
    let rows = loop {
        match attempt(session, service, settings).await {
            Ok(rows) => break rows,
            Err(error) => {
                session.rollback().await;
                tries.again(error, "mask").await?;
            }
        }
    };
    report.masked(rows);
    Ok(())
}

/// A wrong variable is one mistake. Live heartbeats would not tell: those of the backup are young when it is.
async fn check_name(session: &mut Session) -> Result<(), Error> {
    let database: String = sqlx::query_scalar("select current_database()::text")
        .fetch_one(&mut session.connection)
        .await
        .map_err(doing("ask for the name of the database"))?;
    if database.starts_with(SCRATCH) {
        return Ok(());
    }
    Err(Error::Refused(Refusal::NotScratch { database }))
}

async fn attempt(
    session: &mut Session,
    service: Service,
    settings: &Settings,
) -> Result<u64, Error> {
    let limits = Limits {
        lock_timeout: LOCK_TIMEOUT,
        // Nobody waits for these rows.
        statement_timeout: settings.deadline,
    };
    session.begin(limits).await?;
    let mut rows = 0;
    for table in catalog::tables(session, service).await? {
        let masked = mask(session, &table).await?;
        tracing::info!(table = table.name, rows = masked, "masked");
        rows += masked;
    }
    session.commit().await?;
    Ok(rows)
}

/// Masks one table; gives the number of rows that were not masked before.
async fn mask(session: &mut Session, table: &Table) -> Result<u64, Error> {
    let name = format!("{{schema}}.{}", quoted(&table.name));
    let what = || doing(format!("mask table {}", table.name));
    // A trigger of an expand would write to the tables that are masked on their own.
    for trigger in &table.triggers {
        let disable = format!("alter table {name} disable trigger {}", trigger.name);
        session.run(&disable).await.map_err(what())?;
    }
    let update: AssertSqlSafe<String> = session.sql(&update(table, &name));
    let rows = sqlx::query(update)
        .execute(&mut session.connection)
        .await
        .map_err(what())?
        .rows_affected();
    for trigger in &table.triggers {
        let enable = format!(
            "alter table {name} {} trigger {}",
            trigger.enable, trigger.name
        );
        session.run(&enable).await.map_err(what())?;
    }
    // Statistics quote the values that they were made of.
    let analyze = format!("analyze {name}");
    session.run(&analyze).await.map_err(what())?;
    Ok(rows)
}

/// Rows that are masked already are left alone, so that a second run shows itself as one.
fn update(table: &Table, name: &str) -> String {
    let substitutes: Vec<_> = table
        .columns
        .iter()
        .map(|(column, sql)| {
            let column = quoted(column);
            let value = sql.replace("{column}", &format!("this.{column}"));
            let value = format!("case when this.{column} is not null then {value} end");
            (column, value)
        })
        .collect();
    let set: Vec<_> = substitutes
        .iter()
        .map(|(column, value)| format!("{column} = {value}"))
        .collect();
    let differs: Vec<_> = substitutes
        .iter()
        .map(|(column, value)| format!("this.{column} is distinct from {value}"))
        .collect();
    let (set, differs) = (set.join(", "), differs.join(" or "));
    format!("update {name} as this set {set} where {differs}")
}
