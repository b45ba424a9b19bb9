//! What there is to mask: the tables of a service as the database has them now, each column looked up in the lists of
//! `personal.rs`. A column that is on none ends the run here, before anything is written.

use crate::migrate::error::{Error, Refusal, doing};
use crate::migrate::session::Session;
use crate::personal::{self, Content};
use crate::service::Service;

/// A table with personal data.
pub struct Table {
    /// Its name, without the schema.
    pub name: String,
    /// The personal columns that it has, each with the SQL of its substitute.
    pub columns: Vec<(String, &'static str)>,
    /// Its triggers, but for those of foreign keys.
    pub triggers: Vec<Trigger>,
}

/// A trigger that would run.
#[derive(sqlx::FromRow)]
pub struct Trigger {
    /// Its name, in quotes when it needs some.
    pub name: String,
    /// How it is enabled again.
    pub enable: String,
}

/// Columns of all types but those that cannot hold a text. A generated one follows the column that it is made of.
/// Tables in parts are written by their root. A materialized or foreign table keeps a copy, so its columns count too.
const COLUMNS: &str = "
select c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod)
from pg_class c join pg_attribute a on a.attrelid = c.oid
where c.relnamespace = to_regnamespace('{schema}') and c.relkind in ('r', 'p', 'm', 'f') and not c.relispartition
  and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
  and a.atttypid <> all (array['boolean', 'smallint', 'integer', 'bigint', 'real', 'double precision', 'numeric', 'uuid',
    'date', 'time', 'timestamp', 'timestamptz', 'interval']::regtype[])
order by c.relname, a.attnum";

const TRIGGERS: &str = "
select quote_ident(t.tgname) as name, case t.tgenabled when 'A' then 'enable always' else 'enable' end as enable
from pg_trigger t join pg_class c on c.oid = t.tgrelid
where c.relnamespace = to_regnamespace('{schema}') and c.relname = $1 and not t.tgisinternal and t.tgenabled in ('O', 'A')
order by t.tgname";

/// The tables of a service that have personal columns, in the order of their names.
///
/// # Errors
/// A column is on no list, or the database's.
pub async fn tables(session: &mut Session, service: Service) -> Result<Vec<Table>, Error> {
    let columns = session.sql(COLUMNS);
    let columns: Vec<(String, String, String)> = sqlx::query_as(columns)
        .fetch_all(&mut session.connection)
        .await
        .map_err(doing("look for columns with text"))?;
    let mut tables: Vec<Table> = Vec::new();
    for (table, column, data_type) in columns {
        let content = personal::content(service, &table, &column).ok_or_else(|| {
            let column = format!("{service}.{table}.{column}");
            Refusal::Unlisted { column, data_type }
        })?;
        let Content::Personal(substitute) = content else {
            continue;
        };
        match tables.last_mut().filter(|last| last.name == table) {
            Some(last) => last.columns.push((column, substitute)),
            None => tables.push(Table {
                triggers: triggers(session, &table).await?,
                name: table,
                columns: vec![(column, substitute)],
            }),
        }
    }
    Ok(tables)
}

async fn triggers(session: &mut Session, table: &str) -> Result<Vec<Trigger>, Error> {
    let triggers = session.sql(TRIGGERS);
    sqlx::query_as(triggers)
        .bind(table)
        .fetch_all(&mut session.connection)
        .await
        .map_err(doing(format!("look for the triggers of {table}")))
}
