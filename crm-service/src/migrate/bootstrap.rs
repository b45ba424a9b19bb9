//! Makes the schema of a service and the runner's own tables in it, and gives the app role its rights. Safe to run
//! again at any time; touches no business table but for missing rights.

use std::time::Duration;

use super::error::{Error, doing};
use super::header::Limits;
use super::retry::Tries;
use super::session::{Session, quoted};
use super::settings::Settings;

const LIMITS: Limits = Limits {
    lock_timeout: Duration::from_millis(300),
    statement_timeout: Duration::from_secs(10),
};

/// Never changed, only added to: each statement leaves alone what is there.
const TABLES: &str = "
create schema if not exists {schema};
create table if not exists {schema}.schema_migration (
  number int not null, name text not null,
  phase text not null check (phase in ('expand', 'backfill', 'verify', 'contract')),
  checksum text not null, applied_at timestamptz not null, ms bigint not null, app_version text not null,
  state text not null check (state in ('running', 'done')), primary key (number, phase));
create table if not exists {schema}.schema_compat (
  only_row boolean primary key default true check (only_row),
  schema_level int not null default 0, min_app_level int not null default 1);
create table if not exists {schema}.backfill (
  name text primary key, cursor text, done bigint not null default 0, total bigint not null default 0,
  state text not null check (state in ('running', 'copied', 'done')));
create table if not exists {schema}.instance (
  id uuid primary key, app_level int not null, release text not null,
  started_at timestamptz not null default now(), seen_at timestamptz not null default now());
insert into {schema}.schema_compat default values on conflict do nothing;
";

/// What the app role may see of the runner's tables. Default rights come after: they are for later tables.
const GRANTS: &str = "
grant usage on schema {schema} to {app};
revoke all on {schema}.schema_migration, {schema}.schema_compat, {schema}.backfill, {schema}.instance from {app};
grant select on {schema}.schema_migration, {schema}.schema_compat to {app};
grant select, insert, update, delete on {schema}.instance to {app};
alter default privileges in schema {schema} grant select, insert, update, delete on tables to {app};
alter default privileges in schema {schema} grant usage, select on sequences to {app};
";

/// Business tables, views and sequences on which the app role lacks a right, because they are older than its name; each
/// with the rights that default rights would have given.
const UNGRANTED: &str = "
select rights.wanted, rights.object
from (select c.oid, c.relkind,
    case when c.relkind = 'S' then 'usage, select' else 'select, insert, update, delete' end as wanted,
    case when c.relkind = 'S' then 'sequence ' else 'table ' end || c.oid::regclass::text as object
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = '{schema}' and c.relkind in ('r', 'p', 'v', 'S')
    and c.relname not in ('schema_migration', 'schema_compat', 'backfill', 'instance')) as rights
where case when rights.relkind = 'S'
  then not (has_sequence_privilege($1, rights.oid, 'usage') and has_sequence_privilege($1, rights.oid, 'select'))
  else not (has_table_privilege($1, rights.oid, 'select') and has_table_privilege($1, rights.oid, 'insert')
    and has_table_privilege($1, rights.oid, 'update') and has_table_privilege($1, rights.oid, 'delete')) end";

/// Makes what is missing, in one transaction.
///
/// # Errors
/// The database's: most likely the migrator may not create a schema.
pub async fn ensure(session: &mut Session, settings: &Settings) -> Result<(), Error> {
    let mut tries = Tries::default();
    while let Err(error) = attempt(session, settings).await {
        session.rollback().await;
        tries.again(error, "bootstrap").await?;
    }
    Ok(())
}

async fn attempt(session: &mut Session, settings: &Settings) -> Result<(), Error> {
    session.begin(LIMITS).await?;
    // "already exists" is what a second run is meant to find.
    session
        .run("set local client_min_messages = warning")
        .await
        .map_err(doing("silence notices"))?;
    let tables = TABLES
        .split_inclusive(";\n")
        .filter(|sql| !sql.trim().is_empty());
    for statement in tables {
        session
            .run(statement)
            .await
            .map_err(doing("make the runner's tables"))?;
    }
    if let Some(role) = &settings.app_role {
        grant(session, role).await?;
    }
    session.commit().await
}

async fn grant(session: &mut Session, role: &str) -> Result<(), Error> {
    let failed = || doing(format!("give role {role} its rights"));
    let app = quoted(role);
    let known = session.sql("select has_table_privilege($1, '{schema}.instance', 'delete')");
    let known: bool = sqlx::query_scalar(known)
        .bind(role)
        .fetch_one(&mut session.connection)
        .await
        .map_err(failed())?;
    // One transaction gives them all, so one stands for all.
    let missing = if known { "" } else { GRANTS };
    for statement in missing
        .split_inclusive(";\n")
        .filter(|sql| !sql.trim().is_empty())
    {
        let statement = statement.replace("{app}", &app);
        session.run(&statement).await.map_err(failed())?;
    }
    let ungranted: Vec<(String, String)> = sqlx::query_as(session.sql(UNGRANTED))
        .bind(role)
        .fetch_all(&mut session.connection)
        .await
        .map_err(failed())?;
    for (rights, object) in ungranted {
        let sql = format!("grant {rights} on {object} to {app}");
        session.run(&sql).await.map_err(failed())?;
    }
    Ok(())
}
