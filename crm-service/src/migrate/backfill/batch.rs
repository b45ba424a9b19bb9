//! The batches of one backfill and its checkpoint. The checkpoint is read inside each batch's transaction, so that it
//! cannot be older than the work.

use std::time::{Duration, Instant};

use super::pace::Pace;
use crate::migrate::error::{Error, doing};
use crate::migrate::header::Batches;
use crate::migrate::retry::Tries;
use crate::migrate::session::{Session, quoted};
use crate::migrate::set::File;

const PROGRESS: Duration = Duration::from_secs(5);

/// Makes the checkpoint, if there is none, with the planner's estimate of the rows to come.
///
/// # Errors
/// The database's.
pub async fn begin(session: &mut Session, file: &File) -> Result<(), Error> {
    let begin = session.sql(
        "insert into {schema}.backfill (name, total, state)
         select $1, greatest(0, (select reltuples::bigint from pg_class where oid = to_regclass($2))), 'running'
         on conflict do nothing",
    );
    sqlx::query(begin)
        .bind(&file.name)
        .bind(&batches(file).table)
        .execute(&mut session.connection)
        .await
        .map_err(doing(format!("begin backfill {}", file.name)))?;
    Ok(())
}

/// Makes the next run go through all rows again: some were not copied.
///
/// # Errors
/// The database's.
pub async fn restart(session: &mut Session, file: &File) -> Result<(), Error> {
    let restart = session.sql(
        "update {schema}.backfill set state = 'running', cursor = null, done = 0 where name = $1",
    );
    sqlx::query(restart)
        .bind(&file.name)
        .execute(&mut session.connection)
        .await
        .map_err(doing(format!("restart backfill {}", file.name)))?;
    Ok(())
}

/// Copies what is left, resting between batches as the database's answers advise.
///
/// # Errors
/// The database's, after the tries of a batch are used up.
pub async fn copy(session: &mut Session, file: &File) -> Result<(), Error> {
    let key_type = key_type(session, batches(file)).await?;
    let mut pace = Pace::new(batches(file).size);
    let (begun, mut told) = (Instant::now(), Instant::now());
    let mut copied = 0;
    loop {
        let batch_begun = Instant::now();
        let rows = with_tries(session, file, &key_type, &mut pace).await?;
        if rows == 0 {
            return Ok(());
        }
        copied += rows;
        pace.took(batch_begun.elapsed());
        if told.elapsed() > PROGRESS {
            told = Instant::now();
            tracing::info!(backfill = file.name, rows = copied, elapsed = ?begun.elapsed(), "copying");
        }
        tokio::time::sleep(pace.rest).await;
    }
}

async fn with_tries(
    session: &mut Session,
    file: &File,
    key_type: &str,
    pace: &mut Pace,
) -> Result<usize, Error> {
    let mut tries = Tries::default();
    loop {
        let error = match batch(session, file, key_type, pace.size).await {
            Ok(rows) => return Ok(rows),
            Err(error) => error,
        };
        session.rollback().await;
        pace.shrink();
        tries.again(error, &file.label()).await?;
    }
}

/// One batch: its rows locked, copied and checked off in one transaction. 0 when there are none left.
async fn batch(
    session: &mut Session,
    file: &File,
    key_type: &str,
    size: i64,
) -> Result<usize, Error> {
    let failed = || doing(format!("copy a batch of backfill {}", file.name));
    session.begin(file.header.limits).await?;
    let checkpoint = session.sql("select state, cursor from {schema}.backfill where name = $1");
    let (state, cursor): (String, Option<String>) = sqlx::query_as(checkpoint)
        .bind(&file.name)
        .fetch_one(&mut session.connection)
        .await
        .map_err(failed())?;
    let keys = match state.as_str() {
        "running" => lock_rows(session, batches(file), (cursor.as_deref(), key_type), size)
            .await
            .map_err(failed())?,
        _ => Vec::new(),
    };
    if !keys.is_empty() {
        sqlx::query(sqlx::AssertSqlSafe(file.statements[0].text.clone()))
            .bind(&keys)
            .execute(&mut session.connection)
            .await
            .map_err(failed())?;
    }
    check_off(session, file, &keys).await.map_err(failed())?;
    session.commit().await?;
    Ok(keys.len())
}

/// Locks the next rows in the order of their key and gives their keys as text.
async fn lock_rows(
    session: &mut Session,
    batches: &Batches,
    (cursor, key_type): (Option<&str>, &str),
    size: i64,
) -> Result<Vec<String>, sqlx::Error> {
    let (table, key) = (&batches.table, quoted(&batches.key));
    // `order by` without the table would sort by the text that is selected.
    // A plain update of a row that is not its key waits for this lock; a reference to it does not.
    let lock = format!(
        "select walked.{key}::text from {table} as walked
         where $1::text is null or walked.{key} > $1::text::{key_type}
         order by walked.{key} limit $2 for no key update"
    );
    sqlx::query_scalar(sqlx::AssertSqlSafe(lock))
        .bind(cursor)
        .bind(size)
        .fetch_all(&mut session.connection)
        .await
}

async fn check_off(session: &mut Session, file: &File, keys: &[String]) -> Result<(), sqlx::Error> {
    let check_off = session.sql(
        "update {schema}.backfill set cursor = coalesce($2, cursor), done = done + $3,
           state = case when $2 is null then 'copied' else state end
         where name = $1 and state = 'running'",
    );
    sqlx::query(check_off)
        .bind(&file.name)
        .bind(keys.last())
        .bind(i64::try_from(keys.len()).expect("a batch has at most 10000 rows"))
        .execute(&mut session.connection)
        .await?;
    Ok(())
}

async fn key_type(session: &mut Session, batches: &Batches) -> Result<String, Error> {
    let of = format!("read the type of {}.{}", batches.table, batches.key);
    sqlx::query_scalar(
        "select format_type(atttypid, atttypmod) from pg_attribute where attrelid = to_regclass($1) and attname = $2",
    )
    .bind(&batches.table)
    .bind(&batches.key)
    .fetch_one(&mut session.connection)
    .await
    .map_err(doing(of))
}

fn batches(file: &File) -> &Batches {
    let batches = file.header.batches.as_ref();
    batches.expect("a backfill's header names its table and key")
}
