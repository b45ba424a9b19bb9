//! Proves a migration complete: each assertion is a query that must return no row.
//! Nothing can be written while they run, and no row is read out: only its number.

use std::time::Instant;

use super::error::{Error, Refusal, doing};
use super::ledger::{self, Known};
use super::phase::Phase;
use super::report::Report;
use super::retry::Tries;
use super::session::Session;
use super::set::{File, Set};
use super::settings::Settings;

/// An assertion that does not hold.
#[derive(Debug)]
pub struct Broken {
    /// What was asserted, in the file's words.
    pub assertion: String,
    /// Rows that break it.
    pub rows: i64,
}

/// Checks every migration that is expanded and not yet contracted, and notes when it held.
///
/// # Errors
/// A backfill is not done, an assertion does not hold, or the database's.
pub async fn run(
    session: &mut Session,
    (set, known): (&Set, &Known),
    settings: &Settings,
    report: &mut Report,
) -> Result<(), Error> {
    for migration in &set.migrations {
        let contracted = known.contracted(set, migration.number);
        let Some(file) = migration.file(Phase::Verify).filter(|_| !contracted) else {
            continue;
        };
        let before = [Phase::Expand, Phase::Backfill].map(|phase| migration.file(phase));
        if let Some(missing) = before.into_iter().flatten().find(|file| !known.done(file)) {
            return Err(Error::Refused(Refusal::Earlier {
                file: missing.label(),
                phase: missing.phase.name(),
            }));
        }
        let begun = Instant::now();
        if let Some(broken) = prove(session, file).await? {
            return Err(Error::Unproven {
                file: file.label(),
                assertion: broken.assertion,
                rows: broken.rows,
            });
        }
        ledger::record(session, (file, "done"), settings, begun).await?;
        report.applied(file.label());
    }
    Ok(())
}

/// Runs the assertions of a file; the first that does not hold, if any.
///
/// # Errors
/// The database's.
pub async fn prove(session: &mut Session, file: &File) -> Result<Option<Broken>, Error> {
    let mut tries = Tries::default();
    loop {
        let result = attempt(session, file).await;
        session.rollback().await;
        match result {
            Ok(broken) => return Ok(broken),
            Err(error) => tries.again(error, &file.label()).await?,
        }
    }
}

async fn attempt(session: &mut Session, file: &File) -> Result<Option<Broken>, Error> {
    session.begin(file.header.limits).await?;
    session
        .run("set transaction read only")
        .await
        .map_err(doing("forbid writes"))?;
    for statement in &file.statements {
        // Counted, not read: a row may be personal data.
        let count = format!("select count(*) from ({}\n) as broken", statement.text);
        let rows: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(count))
            .fetch_one(&mut session.connection)
            .await
            .map_err(doing(format!(
                "check {}, line {}",
                file.label(),
                statement.line
            )))?;
        if rows > 0 {
            let assertion = match &statement.comment {
                Some(comment) => comment.clone(),
                None => format!("the query in line {}", statement.line),
            };
            return Ok(Some(Broken { assertion, rows }));
        }
    }
    Ok(None)
}
