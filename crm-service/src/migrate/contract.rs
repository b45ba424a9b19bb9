//! Drops what only older releases needed, once nothing can need it any more: the backfill is done, its assertions
//! hold now, the release has soaked, and no pod below the new floor lives. Each missing condition is named.

use std::time::Duration;

use super::error::{Error, Refusal, doing};
use super::header::Conditions;
use super::ledger::Known;
use super::phase::Phase;
use super::report::Report;
use super::session::Session;
use super::set::{File, Migration, Set};
use super::settings::Settings;
use super::step;
use super::verify;

/// Applies every contract of this build whose conditions hold; stops at the first whose do not.
///
/// # Errors
/// A condition is missing, or the database's.
pub async fn run(
    session: &mut Session,
    (set, known): (&Set, &Known),
    settings: &Settings,
    report: &mut Report,
) -> Result<(), Error> {
    let expands = set.files(Phase::Expand);
    if let Some(missing) = expands.into_iter().find(|file| !known.done(file)) {
        return Err(Error::Refused(Refusal::Earlier {
            file: missing.label(),
            phase: missing.phase.name(),
        }));
    }
    for migration in &set.migrations {
        let contract = migration.file(Phase::Contract);
        let Some(file) = contract.filter(|file| !known.done(file)) else {
            continue;
        };
        let conditions = file
            .header
            .conditions
            .as_ref()
            .expect("a contract's header has conditions");
        check_backfills(session, known, migration, conditions).await?;
        check_assertions(session, migration).await?;
        if !settings.rehearsal {
            check_soak(file, conditions.soak, settings.soaked)?;
            check_instances(session, file).await?;
        }
        if step::apply(session, file, settings).await? {
            report.applied(file.label());
        }
        report.schema.floor = report.schema.floor.max(conditions.min_app_level);
    }
    Ok(())
}

async fn check_backfills(
    session: &mut Session,
    known: &Known,
    migration: &Migration,
    conditions: &Conditions,
) -> Result<(), Error> {
    let contract = migration
        .file(Phase::Contract)
        .map(File::label)
        .unwrap_or_default();
    let refuse = |backfill: &str| {
        Error::Refused(Refusal::Backfill {
            file: contract.clone(),
            backfill: backfill.to_owned(),
        })
    };
    if migration
        .file(Phase::Backfill)
        .is_some_and(|file| !known.done(file))
    {
        return Err(refuse(&migration.name));
    }
    let done = session.sql("select name from {schema}.backfill where state = 'done'");
    let done: Vec<String> = sqlx::query_scalar(done)
        .fetch_all(&mut session.connection)
        .await
        .map_err(doing("read the state of the backfills"))?;
    match conditions
        .backfills
        .iter()
        .find(|name| !done.contains(name))
    {
        Some(missing) => Err(refuse(missing)),
        None => Ok(()),
    }
}

async fn check_assertions(session: &mut Session, migration: &Migration) -> Result<(), Error> {
    let Some(verify) = migration.file(Phase::Verify) else {
        return Ok(());
    };
    match verify::prove(session, verify).await? {
        None => Ok(()),
        Some(broken) => Err(Error::Refused(Refusal::Unproven {
            file: migration
                .file(Phase::Contract)
                .map(File::label)
                .unwrap_or_default(),
            assertion: broken.assertion,
            rows: broken.rows,
        })),
    }
}

fn check_soak(file: &File, needed: Duration, served: Option<Duration>) -> Result<(), Refusal> {
    let file = file.label();
    match served {
        None => Err(Refusal::SoakUnknown { file }),
        Some(served) if served < needed => Err(Refusal::Soak {
            file,
            needed,
            served,
        }),
        Some(_) => Ok(()),
    }
}

/// Refuses when an instance below the new floor was seen in the last 30 s.
async fn check_instances(session: &mut Session, file: &File) -> Result<(), Error> {
    let floor = floor(file);
    let live = session.sql(
        "select count(*), coalesce(min(release), '') from {schema}.instance
         where app_level < $1 and seen_at > clock_timestamp() - interval '30 seconds'",
    );
    let (count, release): (i64, String) = sqlx::query_as(live)
        .bind(floor)
        .fetch_one(&mut session.connection)
        .await
        .map_err(doing("look for live instances"))?;
    if count == 0 {
        return Ok(());
    }
    Err(Error::Refused(Refusal::Instances {
        file: file.label(),
        floor,
        count,
        release,
    }))
}

/// Inside the step's transaction: holds back heartbeats and asks again. A pod that starts meanwhile has either shown
/// itself, or shows itself after the floor is raised and then reads the new floor.
///
/// # Errors
/// An instance below the new floor lives, or the database's.
pub async fn keep_instances_out(session: &mut Session, file: &File) -> Result<(), Error> {
    session
        .run("lock table {schema}.instance in share row exclusive mode")
        .await
        .map_err(doing("hold back heartbeats"))?;
    check_instances(session, file).await
}

fn floor(file: &File) -> i32 {
    let conditions = file.header.conditions.as_ref();
    conditions.map_or(1, |conditions| conditions.min_app_level)
}
