//! The Jobs that make and drop the scratch database of a release.
//!
//! A platform that is deleted while a release is rehearsed cannot drop its scratch database any more. So each one carries the day on which it was made, and who
//! makes one drops what was left on the same server long ago. One that was never given its day is left alone.

use k8s_openapi::api::batch::v1::Job;
use serde_json::json;

use super::environment::{self, Role};
use super::job::{self, SCRATCH_DEADLINE_SECONDS, Shape, Step};
use super::{Scope, Track, labels, names};
use crate::platform::release::DatabaseUse;

/// Days after which a scratch database that nobody is connected to was left behind: longer than any deadline of a step that works on one.
const LEFT_AFTER_DAYS: i32 = 14;

/// Makes an empty scratch database.
pub fn create(scope: Scope<'_>, step: &Step) -> Job {
    let name = names::scratch_database(&scope.platform.uid, scope.id);
    let owner = owner(scope);
    let drop = drop_statement(&name);
    let mark = mark_statement(&name);
    let sweep = sweep_statement();
    // What cannot be swept says nothing about the release.
    let script = format!(
        r"psql -qX -v ON_ERROR_STOP=1 <<'SQL'
{drop};
create database {name}{owner};
{mark}
SQL
psql -qX <<'SQL' || echo 'scratch databases that were left behind could not be looked for'
{sweep} \gexec
SQL"
    );
    job(scope, step, (&script, SCRATCH_DEADLINE_SECONDS))
}

/// Makes a copy of it as it stands, rows and grants included.
pub fn copy(scope: Scope<'_>, step: &Step) -> Job {
    let name = names::scratch_database(&scope.platform.uid, scope.id);
    let copy = names::scratch_copy(&scope.platform.uid, scope.id);
    let owner = owner(scope);
    let drop = drop_statement(&copy);
    let mark = mark_statement(&copy);
    let script = format!(
        r"psql -qX -v ON_ERROR_STOP=1 <<'SQL'
{drop};
create database {copy} template {name}{owner};
{mark}
SQL"
    );
    // As many rows as a restore has brought may have to be copied.
    let backup = scope.platform.backup.as_ref();
    let deadline = backup.map_or(SCRATCH_DEADLINE_SECONDS, |own| own.deadline_seconds);
    job(
        scope,
        step,
        (&script, deadline.max(SCRATCH_DEADLINE_SECONDS)),
    )
}

/// Drops both.
pub fn remove(scope: Scope<'_>, step: &Step) -> Job {
    let name = names::scratch_database(&scope.platform.uid, scope.id);
    let copy = names::scratch_copy(&scope.platform.uid, scope.id);
    let script = format!(
        "psql -qX -v ON_ERROR_STOP=1 -c '{}' -c '{}'",
        drop_statement(&copy),
        drop_statement(&name)
    );
    job(scope, step, (&script, SCRATCH_DEADLINE_SECONDS))
}

/// Who owns a database that is made.
fn owner(scope: Scope<'_>) -> String {
    match scope.release.database {
        DatabaseUse::Embedded => format!(" owner {}", environment::OWNER_ROLE),
        DatabaseUse::Secret { .. } => String::new(),
    }
}

/// Writes the day on a database.
fn mark_statement(name: &str) -> String {
    format!(
        r"select format('comment on database %I is %L', '{name}', 'made ' || to_char(now() at time zone 'utc', 'YYYY-MM-DD')) \gexec"
    )
}

fn drop_statement(name: &str) -> String {
    format!("drop database if exists {name} with (force)")
}

/// Selects a statement for each scratch database that was left behind: by its name and its comment, old, ours to drop, and without a connection.
fn sweep_statement() -> String {
    format!(
        r"select format('drop database if exists %I', datname) from pg_database as base
where datname ~ '^scratch_[0-9a-z]{{8}}_r[0-9a-z]{{10}}(_copy)?$' and pg_has_role(datdba, 'MEMBER')
and substring(shobj_description(oid, 'pg_database') from '^made (\d{{4}}-\d\d-\d\d)$') < to_char(now() at time zone 'utc' - interval '{LEFT_AFTER_DAYS} days', 'YYYY-MM-DD')
and not exists (select from pg_stat_activity where datid = base.oid)"
    )
}

fn job(scope: Scope<'_>, step: &Step, (script, deadline): (&str, i32)) -> Job {
    let container = json!({
        "image": scope.platform.settings.postgres_image,
        "command": ["sh", "-ec", script],
        "env": environment::database(scope, Role::Migrator, Track::Live),
        "resources": { "requests": { "cpu": "10m", "memory": "32Mi" }, "limits": { "memory": "128Mi" } }
    });
    job::job(
        scope,
        step,
        Shape {
            service: "",
            track: labels::CANDIDATE,
            container,
            deadline,
            tries: 3,
            final_codes: &[],
            volume: None,
            collector: None,
        },
    )
}
