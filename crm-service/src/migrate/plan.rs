//! Shows what is still to be done: each file, how hard it locks which table, how many rows that table has, and whether
//! it takes something away. Writes nothing.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::error::{Error, doing};
use super::ledger::Known;
use super::phase::Phase;
use super::session::Session;
use super::set::{File, Set};
use super::statement::{self, Lock};

/// The plan as JSON; steps in the order in which the phases run.
///
/// # Errors
/// The database's.
pub async fn describe(session: &mut Session, set: &Set, known: &Known) -> Result<Value, Error> {
    let mut steps = Vec::new();
    for file in Phase::OF_FILES.iter().flat_map(|phase| set.files(*phase)) {
        // Assertions are about rows on the way; a contract ends the way.
        let over = file.phase == Phase::Verify && known.contracted(set, file.number);
        if !known.done(file) && !over {
            steps.push(step(session, file).await?);
        }
    }
    Ok(json!({
        "service": set.service.name(),
        "appLevel": set.app_level,
        "schema": {"level": known.window.schema_level, "floor": known.window.min_app_level, "head": set.head()},
        "steps": steps,
        "offers": Phase::OFFERED,
    }))
}

async fn step(session: &mut Session, file: &File) -> Result<Value, Error> {
    let mut locks: BTreeMap<String, Lock> = BTreeMap::new();
    if let Some(batches) = &file.header.batches {
        locks.insert(batches.table.clone(), Lock::RowExclusive);
    }
    for found in file.statements.iter().flat_map(statement::locks) {
        let strongest = locks.entry(found.table).or_insert(found.lock);
        *strongest = found.lock.max(*strongest);
    }
    let mut tables = Vec::new();
    for (table, lock) in locks {
        let rows = rows(session, &table).await?;
        tables.push(json!({"table": table, "lock": lock, "rows": rows}));
    }
    let destructive = file.statements.iter().any(statement::destructive);
    Ok(json!({
        "file": file.label(),
        "phase": file.phase.name(),
        "transactional": file.header.transactional,
        "tables": tables,
        "destructive": destructive,
        "reversible": !destructive,
    }))
}

/// The planner's estimate; `null` for a table that is not there yet or was never looked at.
async fn rows(session: &mut Session, table: &str) -> Result<Option<i64>, Error> {
    sqlx::query_scalar(
        "select reltuples::bigint from pg_class where oid = to_regclass($1) and reltuples >= 0",
    )
    .bind(table)
    .fetch_optional(&mut session.connection)
    .await
    .map_err(doing(format!("estimate the rows of {table}")))
}
