//! What all records have in common: the same columns, the same five verbs, the same rules about versions and about who
//! sees what. A resource says what is its own by implementing [`Resource`]; nothing else writes these tables.

mod document;
mod record;
mod routes;
mod store;
mod table;

use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::query::QueryAs;
use sqlx::{FromRow, Postgres};
use utoipa::ToSchema;
use uuid::Uuid;

pub use document::{Operations, operations};
pub use record::Record;
pub use routes::{Caller, json_with_version, parse_id, read_body, routes};
pub use store::locked;
pub use table::{Statements, Table};

use crate::auth::Principal;
use crate::http::fields::Fields;
use crate::http::problem::Problem;
use crate::listing::Listing;
use crate::service::Service;

/// A statement being bound, whose rows have type `T`.
pub type Binding<'q, T> = QueryAs<'q, Postgres, T, PgArguments>;

/// A constraint of the database that a caller can run into, and the field it is about.
pub struct Rule {
    /// Name of the constraint.
    pub constraint: &'static str,
    /// The field.
    pub field: &'static str,
    /// What the field must be.
    pub message: &'static str,
}

/// A kind of record with a table of its own.
pub trait Resource: Sized + Send + Sync + 'static {
    /// The service it belongs to.
    const SERVICE: Service;
    /// One record in words, as in `account`.
    const NAME: &'static str;
    /// The collection in addresses, as in `accounts`.
    const COLLECTION: &'static str;
    /// Its table and own columns.
    const TABLE: Table;
    /// What its lists allow.
    const LISTING: Listing;
    /// Constraints that callers can run into.
    const RULES: &'static [Rule];
    /// Fields that callers write and that [`Resource::written`] keeps in other tables; a change that leaves them out
    /// leaves them as they are.
    const KEPT_ELSEWHERE: &'static [&'static str] = &[];
    /// Whether only administrators and managers write it.
    const CONFIGURATION: bool = false;
    /// Whether records are made and deleted by the common verbs.
    const CREATED_AND_DELETED: bool = true;

    /// A row as stored and as shown.
    type Row: for<'r> FromRow<'r, PgRow>
        + Serialize
        + ToSchema
        + AsRef<Record>
        + Send
        + Sync
        + Unpin
        + 'static;
    /// What a caller may write.
    type Input: ToSchema + Send + Sync + 'static;

    /// Its statements, put together once.
    fn statements() -> &'static Statements;

    /// Reads the own fields of a body; `creating` when there is no record yet.
    fn parse(fields: &mut Fields, creating: bool) -> Self::Input;

    /// Binds the own columns, in the order of [`Table::columns`].
    fn bind<'q>(query: Binding<'q, Self::Row>, input: &'q Self::Input) -> Binding<'q, Self::Row>;

    /// Binds the columns that are written once, in the order of [`Table::fixed`].
    fn bind_fixed<'q>(
        query: Binding<'q, Self::Row>,
        _input: &'q Self::Input,
    ) -> Binding<'q, Self::Row> {
        query
    }

    /// Checks what needs the database, before the row is written and in the same transaction; may complete the input.
    fn check(
        _connection: &mut PgConnection,
        _principal: &Principal,
        _before: Option<&Self::Row>,
        _input: &mut Self::Input,
    ) -> impl Future<Output = Result<(), Problem>> + Send {
        async { Ok(()) }
    }

    /// Writes what belongs to a row that was just written, in the same transaction; may complete the row.
    fn written(
        _connection: &mut PgConnection,
        _principal: &Principal,
        _row: &mut Self::Row,
        _input: &Self::Input,
    ) -> impl Future<Output = Result<(), Problem>> + Send {
        async { Ok(()) }
    }

    /// Checks whether a record may be deleted; its row is locked.
    fn deletable(
        _connection: &mut PgConnection,
        _row: &Self::Row,
    ) -> impl Future<Output = Result<(), Problem>> + Send {
        async { Ok(()) }
    }
}

/// Turns a violated constraint into the answer that names the field.
fn explain<R: Resource>(error: sqlx::Error) -> Problem {
    let constraint = error
        .as_database_error()
        .and_then(|error| error.constraint())
        .unwrap_or_default()
        .to_owned();
    if constraint.ends_with("_external_key") {
        let detail = format!(
            "another {} has this external_source and external_id",
            R::NAME
        );
        return Problem::conflict("duplicate-external-id", detail);
    }
    match R::RULES.iter().find(|rule| rule.constraint == constraint) {
        Some(rule) => Problem::invalid(&format!("/{}", rule.field), "invalid", rule.message),
        None => Problem::from(error),
    }
}

/// The fields of a record that a change starts from: those that a caller may write, by their JSON names.
fn editable<R: Resource>(row: &R::Row) -> Map<String, Value> {
    let Ok(Value::Object(all)) = serde_json::to_value(row) else {
        unreachable!("every row is an object of strings and numbers")
    };
    let own = R::TABLE.columns;
    all.into_iter()
        .filter(|(name, _)| {
            record::EDITABLE.contains(&name.as_str()) || own.contains(&name.as_str())
        })
        .collect()
}

/// Reads one record that must be there and not deleted, by a statement with the parameters id and run.
///
/// # Errors
/// The database's.
pub async fn sees(
    connection: &mut PgConnection,
    statement: &'static str,
    id: Uuid,
    run: Uuid,
) -> Result<bool, Problem> {
    let found = sqlx::query(statement)
        .bind(id)
        .bind(run)
        .fetch_optional(connection)
        .await?;
    Ok(found.is_some())
}
