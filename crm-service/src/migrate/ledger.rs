//! What the database knows of its migrations: its levels and one row per applied file, read, compared with the files
//! of this build, and written. Decides nothing about order; that is the phases' part.

use std::time::Instant;

use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};

use super::error::{Error, Refusal, doing};
use super::phase::Phase;
use super::session::Session;
use super::set::{File, Set};
use super::settings::Settings;
use crate::schema::Window;

/// A row of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The migration's number.
    pub number: i32,
    /// Its name.
    pub name: String,
    /// The phase of the file.
    pub phase: String,
    /// Checksum of the text that was applied.
    pub checksum: String,
    /// `running` (outside of a transaction, not known to be complete) or `done`.
    pub state: String,
    /// Version of the program that applied it, and its release.
    pub app_version: String,
    /// When, in UTC.
    pub applied_at: chrono::DateTime<chrono::Utc>,
    /// How long it took.
    pub ms: i64,
}

impl FromRow<'_, PgRow> for Row {
    fn from_row(row: &PgRow) -> Result<Row, sqlx::Error> {
        Ok(Row {
            number: row.try_get("number")?,
            name: row.try_get("name")?,
            phase: row.try_get("phase")?,
            checksum: row.try_get("checksum")?,
            state: row.try_get("state")?,
            app_version: row.try_get("app_version")?,
            applied_at: row.try_get("applied_at")?,
            ms: row.try_get("ms")?,
        })
    }
}

/// The ledger and the levels at one moment.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// All rows, by number and phase.
    pub rows: Vec<Row>,
    /// Levels of the database.
    pub window: Window,
}

impl Known {
    /// Whether a file is completely applied.
    pub fn done(&self, file: &File) -> bool {
        let row = self.row(file.number, file.phase);
        row.is_some_and(|row| row.state == "done")
    }

    /// Whether a migration's contract is applied.
    pub fn contracted(&self, set: &Set, number: i32) -> bool {
        let mut contracts = set.files(Phase::Contract);
        contracts.any(|file| file.number == number && self.done(file))
    }

    fn row(&self, number: i32, phase: Phase) -> Option<&Row> {
        let mut rows = self.rows.iter();
        rows.find(|row| row.number == number && row.phase == phase.name())
    }

    /// The phases in which this build has files that are not applied. Verifying again is never pending.
    pub fn pending(&self, set: &Set) -> Vec<&'static str> {
        [Phase::Expand, Phase::Backfill, Phase::Contract]
            .into_iter()
            .filter(|phase| set.files(*phase).any(|file| !self.done(file)))
            .map(Phase::name)
            .collect()
    }
}

/// Reads the ledger; `None` when there is none yet.
///
/// # Errors
/// The database's.
pub async fn read(session: &mut Session) -> Result<Option<Known>, Error> {
    let exists = session.sql("select to_regclass('{schema}.schema_compat') is not null");
    let exists: bool = sqlx::query_scalar(exists)
        .fetch_one(&mut session.connection)
        .await
        .map_err(doing("look for the ledger"))?;
    if !exists {
        return Ok(None);
    }
    let rows = session.sql(
        "select number, name, phase, checksum, state, app_version, applied_at, ms
         from {schema}.schema_migration order by number, applied_at",
    );
    let rows = sqlx::query_as(rows)
        .fetch_all(&mut session.connection)
        .await
        .map_err(doing("read the ledger"))?;
    let window = session.sql("select schema_level, min_app_level from {schema}.schema_compat");
    let window = sqlx::query(window)
        .fetch_one(&mut session.connection)
        .await
        .map_err(doing("read the schema's levels"))?;
    Ok(Some(Known {
        rows,
        window: Window {
            schema_level: window.get("schema_level"),
            min_app_level: window.get("min_app_level"),
        },
    }))
}

/// Compares the files of this build with what the database says was applied.
///
/// # Errors
/// The build is below the floor, or the histories differ.
pub fn check(set: &Set, known: &Known) -> Result<(), Refusal> {
    if set.app_level < known.window.min_app_level {
        return Err(Refusal::BelowFloor {
            service: set.service,
            app_level: set.app_level,
            floor: known.window.min_app_level,
        });
    }
    for file in Phase::OF_FILES.iter().flat_map(|phase| set.files(*phase)) {
        check_file(file, known)?;
    }
    Ok(())
}

fn check_file(file: &File, known: &Known) -> Result<(), Refusal> {
    if let Some(other) = known.rows.iter().find(|row| row.number == file.number)
        && other.name != file.name
    {
        return Err(Refusal::Renamed {
            number: file.number,
            ours: file.name.clone(),
            theirs: other.name.clone(),
        });
    }
    // An assertion changes nothing, so a better one may take its place.
    if let Some(row) = known.row(file.number, file.phase)
        && file.phase != Phase::Verify
        && row.checksum != file.checksum
        && !file.header.replaces.contains(&row.checksum)
    {
        return Err(Refusal::Edited {
            file: file.label(),
            applied: row.checksum.clone(),
        });
    }
    let expands = known.rows.iter().filter(|row| row.phase == "expand");
    let newer = expands.map(|row| row.number).max().unwrap_or_default();
    if file.phase == Phase::Expand && newer > file.number && !known.done(file) {
        return Err(Refusal::Inserted {
            file: file.label(),
            newer,
        });
    }
    Ok(())
}

/// Whether a file is recorded as done, asked inside the transaction that would apply it.
///
/// # Errors
/// The database's.
pub async fn is_done(session: &mut Session, file: &File) -> Result<bool, Error> {
    let state = state(session, file).await?;
    Ok(state.as_deref() == Some("done"))
}

/// The state of a file's row, if it has one.
///
/// # Errors
/// The database's.
pub async fn state(session: &mut Session, file: &File) -> Result<Option<String>, Error> {
    let state =
        session.sql("select state from {schema}.schema_migration where number = $1 and phase = $2");
    sqlx::query_scalar(state)
        .bind(file.number)
        .bind(file.phase.name())
        .fetch_optional(&mut session.connection)
        .await
        .map_err(doing(format!("read the ledger's row of {}", file.label())))
}

/// Writes a file's row, over an earlier one of the same file. `begun` is when its work started.
///
/// # Errors
/// The database's.
pub async fn record(
    session: &mut Session,
    (file, state): (&File, &'static str),
    settings: &Settings,
    begun: Instant,
) -> Result<(), Error> {
    let record = session.sql(
        "insert into {schema}.schema_migration (number, name, phase, checksum, applied_at, ms, app_version, state)
         values ($1, $2, $3, $4, clock_timestamp(), $5, $6, $7)
         on conflict (number, phase) do update set checksum = excluded.checksum, applied_at = excluded.applied_at,
           ms = excluded.ms, app_version = excluded.app_version, state = excluded.state",
    );
    sqlx::query(record)
        .bind(file.number)
        .bind(&file.name)
        .bind(file.phase.name())
        .bind(&file.checksum)
        .bind(i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX))
        .bind(format!(
            "{} {}",
            env!("CARGO_PKG_VERSION"),
            settings.release
        ))
        .bind(state)
        .execute(&mut session.connection)
        .await
        .map_err(doing(format!("record {}", file.label())))?;
    Ok(())
}

/// Takes back the row of a file of which nothing is left.
///
/// # Errors
/// The database's.
pub async fn forget(session: &mut Session, file: &File) -> Result<(), Error> {
    let forget =
        session.sql("delete from {schema}.schema_migration where number = $1 and phase = $2");
    sqlx::query(forget)
        .bind(file.number)
        .bind(file.phase.name())
        .execute(&mut session.connection)
        .await
        .map_err(doing(format!("forget {}", file.label())))?;
    Ok(())
}

/// Raises the schema level, in the transaction that records the expand.
///
/// # Errors
/// The database's.
pub async fn raise_level(session: &mut Session, level: i32) -> Result<(), Error> {
    let raise =
        session.sql("update {schema}.schema_compat set schema_level = greatest(schema_level, $1)");
    raise_to(session, raise, level).await
}

/// Raises the floor, in the transaction that drops what lower app levels need.
///
/// # Errors
/// The database's.
pub async fn raise_floor(session: &mut Session, floor: i32) -> Result<(), Error> {
    let raise = session
        .sql("update {schema}.schema_compat set min_app_level = greatest(min_app_level, $1)");
    raise_to(session, raise, floor).await
}

async fn raise_to(
    session: &mut Session,
    sql: sqlx::AssertSqlSafe<String>,
    value: i32,
) -> Result<(), Error> {
    sqlx::query(sql)
        .bind(value)
        .execute(&mut session.connection)
        .await
        .map_err(doing("raise the schema's level"))?;
    Ok(())
}
