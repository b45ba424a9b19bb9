//! Applies a file outside of a transaction, which only an index needs. An intent row goes first, so that a crash
//! leaves a trace; a build that broke off leaves an invalid index, which is dropped and built again.

use std::time::Instant;

use super::error::{Error, doing};
use super::ledger;
use super::report::Outcome;
use super::retry::Tries;
use super::session::Session;
use super::set::File;
use super::settings::Settings;
use super::statement::{self, Concurrent};

/// Applies a `tx=no` file; `false` when it turns out to be applied already.
///
/// # Errors
/// The database's; `Dirty` when something is left that the runner cannot put right.
pub async fn apply(session: &mut Session, file: &File, settings: &Settings) -> Result<bool, Error> {
    let begun = Instant::now();
    let resumed = match intend(session, file, settings).await? {
        Intent::Done => return Ok(false),
        Intent::New => false,
        Intent::Resumed => true,
    };
    let concurrent = statement::concurrent(&file.statements[0]);
    if resumed && concurrent.is_none() {
        return Err(Error::Dirty {
            file: file.label(),
            problem: "an earlier run ended inside its statement, and only index builds can be put right by themselves: \
                      look whether it took effect, then set the state of its row in schema_migration to done, or delete the row"
                .to_owned(),
        });
    }
    if let Err(error) = build(session, file, concurrent.as_ref(), resumed).await {
        return Err(clean_up(session, file, concurrent.as_ref(), error).await);
    }
    finish(session, file, settings, begun).await?;
    Ok(true)
}

enum Intent {
    New,
    Resumed,
    Done,
}

/// Writes the intent row in a transaction behind the fence, and says what was there before.
async fn intend(session: &mut Session, file: &File, settings: &Settings) -> Result<Intent, Error> {
    let mut tries = Tries::default();
    loop {
        let error = match try_intend(session, file, settings).await {
            Ok(intent) => return Ok(intent),
            Err(error) => error,
        };
        session.rollback().await;
        tries.again(error, &file.label()).await?;
    }
}

async fn try_intend(
    session: &mut Session,
    file: &File,
    settings: &Settings,
) -> Result<Intent, Error> {
    session.begin(file.header.limits).await?;
    let intent = match ledger::state(session, file).await?.as_deref() {
        Some("done") => Intent::Done,
        Some(_) => Intent::Resumed,
        None => {
            ledger::record(session, (file, "running"), settings, Instant::now()).await?;
            Intent::New
        }
    };
    session.commit().await?;
    Ok(intent)
}

/// Runs the statement until what it asks for is there and valid.
async fn build(
    session: &mut Session,
    file: &File,
    concurrent: Option<&Concurrent>,
    resumed: bool,
) -> Result<(), Error> {
    limit(session, file).await?;
    let mut tries = Tries::default();
    let mut ours = resumed;
    loop {
        let error = match try_build(session, file, concurrent, ours).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        // From the first attempt on, an index of this name may be our own.
        ours = true;
        tries.again(error, &file.label()).await?;
    }
}

async fn try_build(
    session: &mut Session,
    file: &File,
    concurrent: Option<&Concurrent>,
    ours: bool,
) -> Result<(), Error> {
    if let Some(Concurrent::Create { index }) = concurrent {
        match validity(session, index).await? {
            Some(true) if ours => return Ok(()),
            Some(false) => drop_invalid(session, index).await?,
            Some(true) | None => {}
        }
    }
    session
        .run(&file.statements[0].text)
        .await
        .map_err(doing(format!("apply {}", file.label())))?;
    match concurrent {
        Some(Concurrent::Create { index }) => match validity(session, index).await? {
            Some(true) => Ok(()),
            _ => Err(Error::Dirty {
                file: file.label(),
                problem: format!(
                    "index {index} is not valid after its build: drop it, then run again"
                ),
            }),
        },
        _ => Ok(()),
    }
}

/// After a failure that trying again does not cure: what is left of the build goes, and so does the intent.
async fn clean_up(
    session: &mut Session,
    file: &File,
    concurrent: Option<&Concurrent>,
    error: Error,
) -> Error {
    // Without an answer of the database there is no connection either; the next run puts it right.
    if error.code().is_none() {
        return error;
    }
    let cleaned = async {
        if let Some(Concurrent::Create { index }) = concurrent
            && validity(session, index).await? == Some(false)
        {
            drop_invalid(session, index).await?;
        }
        ledger::forget(session, file).await
    };
    match cleaned.await {
        Ok(()) => error,
        // The intent is still there, and with it the next run puts it right.
        Err(second) if second.outcome() == Outcome::Inconclusive => error,
        Err(second) => Error::Dirty {
            file: file.label(),
            problem: format!("{error}; and then {second}: remove what it left, then run again"),
        },
    }
}

async fn finish(
    session: &mut Session,
    file: &File,
    settings: &Settings,
    begun: Instant,
) -> Result<(), Error> {
    let mut tries = Tries::default();
    while let Err(error) = try_finish(session, file, settings, begun).await {
        session.rollback().await;
        tries.again(error, &file.label()).await?;
    }
    Ok(())
}

async fn try_finish(
    session: &mut Session,
    file: &File,
    settings: &Settings,
    begun: Instant,
) -> Result<(), Error> {
    session.begin(file.header.limits).await?;
    ledger::record(session, (file, "done"), settings, begun).await?;
    ledger::raise_level(session, file.number).await?;
    session.commit().await
}

/// The file's limits for the whole session: without a transaction there is nothing smaller to bind them to.
async fn limit(session: &mut Session, file: &File) -> Result<(), Error> {
    let limits = file.header.limits;
    let sql = format!(
        "set lock_timeout = {}; set statement_timeout = {}",
        limits.lock_timeout.as_millis(),
        limits.statement_timeout.as_millis()
    );
    session.run(&sql).await.map_err(doing("set the limits"))
}

async fn drop_invalid(session: &mut Session, index: &str) -> Result<(), Error> {
    tracing::warn!(index, "dropping an invalid index that a broken build left");
    session
        .run(&format!("drop index concurrently if exists {index}"))
        .await
        .map_err(doing(format!("drop the invalid index {index}")))
}

/// Whether an index is valid; `None` when there is none of this name.
async fn validity(session: &mut Session, index: &str) -> Result<Option<bool>, Error> {
    sqlx::query_scalar("select indisvalid from pg_index where indexrelid = to_regclass($1)")
        .bind(index)
        .fetch_optional(&mut session.connection)
        .await
        .map_err(doing(format!("look at index {index}")))
}
