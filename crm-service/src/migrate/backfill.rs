//! Moves existing rows to where a new release looks for them, batch by batch, while old and new releases serve.
//!
//! *Guarantees.* A batch locks its parent rows, so a concurrent writer waits instead of colliding; its work and its
//! checkpoint are one transaction, so a run that breaks off goes on where it was. Done means: copied, statistics
//! renewed, assertions hold.

mod batch;
mod pace;

use std::time::Instant;

use super::error::{Error, Refusal, doing};
use super::ledger::{self, Known};
use super::phase::Phase;
use super::report::Report;
use super::retry::Tries;
use super::session::Session;
use super::set::{File, Migration, Set};
use super::settings::Settings;
use super::verify;

/// Does every backfill of this build that is not done.
///
/// # Errors
/// An expand is missing, an assertion does not hold afterwards, or the database's.
pub async fn run(
    session: &mut Session,
    (set, known): (&Set, &Known),
    settings: &Settings,
    report: &mut Report,
) -> Result<(), Error> {
    for migration in &set.migrations {
        let backfill = migration.file(Phase::Backfill);
        let Some(file) = backfill.filter(|file| !known.done(file)) else {
            continue;
        };
        let expand = migration.file(Phase::Expand);
        if let Some(missing) = expand.filter(|file| !known.done(file)) {
            return Err(Error::Refused(Refusal::Earlier {
                file: missing.label(),
                phase: missing.phase.name(),
            }));
        }
        one(session, migration, file, settings).await?;
        report.applied(file.label());
    }
    Ok(())
}

async fn one(
    session: &mut Session,
    migration: &Migration,
    file: &File,
    settings: &Settings,
) -> Result<(), Error> {
    let begun = Instant::now();
    batch::begin(session, file).await?;
    batch::copy(session, file).await?;
    analyze(session, file).await?;
    if let Some(verify) = migration.file(Phase::Verify)
        && let Some(broken) = verify::prove(session, verify).await?
    {
        batch::restart(session, file).await?;
        return Err(Error::Unproven {
            file: verify.label(),
            assertion: broken.assertion,
            rows: broken.rows,
        });
    }
    let mut tries = Tries::default();
    while let Err(error) = finish(session, file, settings, begun).await {
        session.rollback().await;
        tries.again(error, &file.label()).await?;
    }
    Ok(())
}

/// Renews the planner's picture of the tables that grew.
async fn analyze(session: &mut Session, file: &File) -> Result<(), Error> {
    let walked = file.header.batches.iter().map(|batches| &batches.table);
    let limits = file.header.limits;
    for table in file.header.analyze.iter().chain(walked) {
        let mut tries = Tries::default();
        while let Err(error) = analyze_one(session, table, limits).await {
            session.rollback().await;
            tries.again(error, &file.label()).await?;
        }
    }
    Ok(())
}

async fn analyze_one(
    session: &mut Session,
    table: &str,
    limits: super::header::Limits,
) -> Result<(), Error> {
    session.begin(limits).await?;
    // Sampling takes as long as it takes, and disturbs nobody.
    session
        .run(&format!("set local statement_timeout = 0; analyze {table}"))
        .await
        .map_err(doing(format!("renew the statistics of {table}")))?;
    session.commit().await
}

async fn finish(
    session: &mut Session,
    file: &File,
    settings: &Settings,
    begun: Instant,
) -> Result<(), Error> {
    session.begin(file.header.limits).await?;
    let done =
        session.sql("update {schema}.backfill set state = 'done', total = done where name = $1");
    sqlx::query(done)
        .bind(&file.name)
        .execute(&mut session.connection)
        .await
        .map_err(doing(format!("note backfill {} as done", file.name)))?;
    ledger::record(session, (file, "done"), settings, begun).await?;
    session.commit().await
}
