//! Shows levels, ledger, backfills and live instances as JSON, for people. Writes nothing.

use serde_json::{Value, json};

use super::error::{Error, doing};
use super::ledger::Known;
use super::session::Session;
use super::set::Set;

/// The status as JSON.
///
/// # Errors
/// The database's.
pub async fn describe(
    session: &mut Session,
    set: &Set,
    known: Option<&Known>,
) -> Result<Value, Error> {
    let none = Known::default();
    let (backfills, instances) = match known {
        Some(_) => (backfills(session).await?, instances(session).await?),
        None => (Value::Null, Value::Null),
    };
    let known = known.unwrap_or(&none);
    Ok(json!({
        "service": set.service.name(),
        "appLevel": set.app_level,
        "schema": {"level": known.window.schema_level, "floor": known.window.min_app_level, "head": set.head()},
        "pending": known.pending(set),
        "ledger": known.rows,
        "backfills": backfills,
        "instances": instances,
    }))
}

async fn backfills(session: &mut Session) -> Result<Value, Error> {
    let sql = session.sql(
        "select coalesce(jsonb_agg(jsonb_build_object('name', name, 'state', state, 'done', done, 'total', total)
           order by name), '[]') from {schema}.backfill",
    );
    sqlx::query_scalar(sql)
        .fetch_one(&mut session.connection)
        .await
        .map_err(doing("read the backfills"))
}

async fn instances(session: &mut Session) -> Result<Value, Error> {
    let sql = session.sql(
        "select coalesce(jsonb_agg(jsonb_build_object('release', release, 'appLevel', app_level, 'count', count)
           order by release), '[]')
         from (select release, app_level, count(*) from {schema}.instance
           where seen_at > now() - interval '30 seconds' group by release, app_level) as live",
    );
    sqlx::query_scalar(sql)
        .fetch_one(&mut session.connection)
        .await
        .map_err(doing("read the instances"))
}
