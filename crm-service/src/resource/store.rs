//! The five verbs on records, each one transaction. The row is locked before its version is compared, so that of two
//! writers the second one loses and no change is lost.

use serde_json::{Map, Value};
use sqlx::PgConnection;
use uuid::Uuid;

use super::record::Common;
use super::{Resource, editable, explain};
use crate::auth::Principal;
use crate::database::Database;
use crate::http::fields::Fields;
use crate::http::problem::Problem;
use crate::listing::{Request, Value as Bound, page};

/// Reads one record.
pub async fn get<R: Resource>(
    database: &Database,
    principal: &Principal,
    id: Uuid,
) -> Result<R::Row, Problem> {
    let query = sqlx::query_as::<_, R::Row>(R::statements().get.as_str())
        .bind(id)
        .bind(principal.run);
    query
        .fetch_optional(database.pool())
        .await?
        .ok_or_else(missing::<R>)
}

/// Reads a page, and one row more when there is a next page.
pub async fn list<R: Resource>(
    database: &Database,
    principal: &Principal,
    request: &Request,
) -> Result<Vec<R::Row>, Problem> {
    let page = page(
        &R::statements().list,
        vec![Bound::Id(principal.run)],
        request,
    );
    let mut query = sqlx::query_as::<_, R::Row>(sqlx::AssertSqlSafe(page.sql));
    for value in page.values {
        query = value.bind_as(query);
    }
    Ok(query.fetch_all(database.pool()).await?)
}

/// Makes a record of a body.
pub async fn create<R: Resource>(
    database: &Database,
    principal: &Principal,
    body: &Map<String, Value>,
) -> Result<R::Row, Problem> {
    let (common, mut input) = parse::<R>(body.clone(), principal, true)?;
    let mut transaction = database.begin().await?;
    R::check(&mut transaction, principal, None, &mut input).await?;
    let query = sqlx::query_as::<_, R::Row>(R::statements().insert.as_str())
        .bind(Uuid::now_v7())
        .bind(&principal.subject)
        .bind(&common.owner_id)
        .bind(&common.external_source)
        .bind(&common.external_id)
        .bind(principal.run);
    let query = R::bind_fixed(R::bind(query, &input), &input);
    let mut row = query
        .fetch_one(&mut *transaction)
        .await
        .map_err(explain::<R>)?;
    R::written(&mut transaction, principal, &mut row, &input).await?;
    transaction.commit().await?;
    Ok(row)
}

/// Applies a merge patch to the record that has this version.
pub async fn change<R: Resource>(
    database: &Database,
    principal: &Principal,
    (id, version): (Uuid, i64),
    patch: &Map<String, Value>,
) -> Result<R::Row, Problem> {
    let mut transaction = database.begin().await?;
    let before = locked::<R>(&mut transaction, principal, id, version).await?;
    let (common, mut input) = parse::<R>(merged(editable::<R>(&before), patch), principal, false)?;
    R::check(&mut transaction, principal, Some(&before), &mut input).await?;
    let query = sqlx::query_as::<_, R::Row>(R::statements().update.as_str())
        .bind(id)
        .bind(&principal.subject)
        .bind(&common.owner_id)
        .bind(&common.external_source)
        .bind(&common.external_id);
    let mut row = R::bind(query, &input)
        .fetch_one(&mut *transaction)
        .await
        .map_err(explain::<R>)?;
    R::written(&mut transaction, principal, &mut row, &input).await?;
    transaction.commit().await?;
    Ok(row)
}

/// Marks the record that has this version as deleted.
pub async fn delete<R: Resource>(
    database: &Database,
    principal: &Principal,
    id: Uuid,
    version: i64,
) -> Result<(), Problem> {
    let mut transaction = database.begin().await?;
    let row = locked::<R>(&mut transaction, principal, id, version).await?;
    R::deletable(&mut transaction, &row).await?;
    sqlx::query(R::statements().delete.as_str())
        .bind(id)
        .bind(&principal.subject)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(())
}

/// Reads and locks the record that has this version.
///
/// # Errors
/// 404 when the caller sees no such record, 412 when its version is another.
pub async fn locked<R: Resource>(
    connection: &mut PgConnection,
    principal: &Principal,
    id: Uuid,
    version: i64,
) -> Result<R::Row, Problem> {
    let query = sqlx::query_as::<_, R::Row>(R::statements().lock.as_str())
        .bind(id)
        .bind(principal.run);
    let row = query
        .fetch_optional(connection)
        .await?
        .ok_or_else(missing::<R>)?;
    match row.as_ref().version {
        current if current == version => Ok(row),
        current => Err(Problem::stale_version(current)),
    }
}

fn missing<R: Resource>() -> Problem {
    Problem::not_found(format!("there is no {} with this id", R::NAME))
}

fn parse<R: Resource>(
    body: Map<String, Value>,
    principal: &Principal,
    creating: bool,
) -> Result<(Common, R::Input), Problem> {
    let mut fields = Fields::new(body, "");
    let common = Common::parse(&mut fields, principal);
    let input = R::parse(&mut fields, creating);
    fields.finish()?;
    Ok((common, input))
}

/// RFC 7396 for flat records. A null of an unknown field stays, so that the unknown field is noticed.
fn merged(mut record: Map<String, Value>, patch: &Map<String, Value>) -> Map<String, Value> {
    record.extend(
        patch
            .iter()
            .map(|(name, value)| (name.clone(), value.clone())),
    );
    record
}
