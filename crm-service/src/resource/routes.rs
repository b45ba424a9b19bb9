//! The five verbs over HTTP: `GET` and `POST` on the collection, `GET`, `PATCH` and `DELETE` on a record.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{
    FromRequest as _, FromRequestParts, Path, Query, Request as HttpRequest, State,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Resource, store};
use crate::auth::{Principal, Right};
use crate::http::Shared;
use crate::http::conditional::{entity_tag, is_known, required_version};
use crate::http::problem::Problem;
use crate::listing::Request;

/// The authenticated caller of a handler.
pub struct Caller(pub Principal);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let principal = parts.extensions.get::<Principal>().cloned();
        principal
            .map(Caller)
            .ok_or_else(|| Problem::unauthorized("this address needs a token"))
    }
}

impl Caller {
    /// The caller, if it may write records, or configuration.
    ///
    /// # Errors
    /// 403.
    pub fn writer(self, configuration: bool) -> Result<Principal, Problem> {
        let needed = if configuration {
            Right::Configure
        } else {
            Right::Write
        };
        match self.0.right >= needed {
            true => Ok(self.0),
            false if configuration => Err(Problem::forbidden(
                "only the roles admin and manager may change this",
            )),
            false => Err(Problem::forbidden(
                "the role readonly may not change anything",
            )),
        }
    }
}

/// The routes of a resource, relative to the service's address.
pub fn routes<R: Resource>() -> Router<Shared> {
    let collection = format!("/{}", R::COLLECTION);
    let mut many = get(list::<R>);
    let mut one = get(read::<R>).patch(change::<R>);
    if R::CREATED_AND_DELETED {
        many = many.post(create::<R>);
        one = one.delete(delete::<R>);
    }
    Router::new()
        .route(&format!("{collection}/{{id}}"), one)
        .route(&collection, many)
}

async fn list<R: Resource>(
    State(shared): State<Shared>,
    Caller(principal): Caller,
    parameters: Result<Query<Vec<(String, String)>>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    let Query(parameters) =
        parameters.map_err(|_| Problem::malformed("the query string cannot be read"))?;
    let request = Request::parse(&R::LISTING, R::COLLECTION, &parameters)?;
    let database = &shared.database;
    let mut rows = database
        .fresh_once(|| store::list::<R>(database, &principal, &request))
        .await?;
    let limit = usize::try_from(request.limit).expect("a limit is between 1 and 200");
    let more = rows.len() > limit;
    rows.truncate(limit);
    let last = rows.last().filter(|_| more);
    let cursor = last.map(|row| request.cursor_after(R::COLLECTION, &json!(row)));
    Ok(axum::Json(Page {
        items: rows,
        next_cursor: cursor,
    })
    .into_response())
}

#[derive(Serialize)]
struct Page<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

async fn read<R: Resource>(
    State(shared): State<Shared>,
    Caller(principal): Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = parse_id(&id)?;
    let database = &shared.database;
    let row = database
        .fresh_once(|| store::get::<R>(database, &principal, id))
        .await?;
    let version = row.as_ref().version;
    if is_known(&headers, version) {
        return Ok((
            StatusCode::NOT_MODIFIED,
            [(header::ETAG, entity_tag(version))],
        )
            .into_response());
    }
    Ok(json_with_version(StatusCode::OK, &row, version))
}

async fn create<R: Resource>(
    State(shared): State<Shared>,
    caller: Caller,
    request: HttpRequest,
) -> Result<Response, Problem> {
    let principal = caller.writer(R::CONFIGURATION)?;
    let body = read_body(request, &["application/json"]).await?;
    let database = &shared.database;
    let row = database
        .fresh_once(|| store::create::<R>(database, &principal, &body))
        .await?;
    let record = row.as_ref();
    let mut response = json_with_version(StatusCode::CREATED, &row, record.version);
    let location = format!("/api/{}/v1/{}/{}", R::SERVICE, R::COLLECTION, record.id);
    let location = HeaderValue::from_str(&location).expect("names and ids are plain ASCII");
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}

async fn change<R: Resource>(
    State(shared): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    request: HttpRequest,
) -> Result<Response, Problem> {
    let principal = caller.writer(R::CONFIGURATION)?;
    let target = (parse_id(&id)?, required_version(request.headers())?);
    let patch = read_body(
        request,
        &["application/merge-patch+json", "application/json"],
    )
    .await?;
    let database = &shared.database;
    let row = database
        .fresh_once(|| store::change::<R>(database, &principal, target, &patch))
        .await?;
    Ok(json_with_version(
        StatusCode::OK,
        &row,
        row.as_ref().version,
    ))
}

async fn delete<R: Resource>(
    State(shared): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let principal = caller.writer(R::CONFIGURATION)?;
    let (id, version) = (parse_id(&id)?, required_version(&headers)?);
    let database = &shared.database;
    database
        .fresh_once(|| store::delete::<R>(database, &principal, id, version))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// An answer with the version as its entity tag.
pub fn json_with_version<T: Serialize>(status: StatusCode, row: &T, version: i64) -> Response {
    (
        status,
        [(header::ETAG, entity_tag(version))],
        axum::Json(row),
    )
        .into_response()
}

/// Reads a JSON object of one of these media types.
///
/// # Errors
/// 415, 413, or 400 when it is not an object.
pub async fn read_body(
    request: HttpRequest,
    media_types: &[&str],
) -> Result<Map<String, Value>, Problem> {
    let value = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media_type = value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    if !media_types.contains(&media_type.as_str()) {
        let detail = format!("send the body as {}", media_types.join(" or "));
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            detail,
        ));
    }
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > crate::http::BODY_LIMIT) {
        return Err(Problem::of_status(StatusCode::PAYLOAD_TOO_LARGE));
    }
    let bytes = Bytes::from_request(request, &())
        .await
        .map_err(|rejection| Problem::of_status(rejection.status()))?;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(body)) => Ok(body),
        Ok(_) => Err(Problem::malformed("the body must be a JSON object")),
        Err(error) => Err(Problem::malformed(format!("the body is not JSON: {error}"))),
    }
}

/// Reads the id of an address. What is not an id names no record.
///
/// # Errors
/// 404.
pub fn parse_id(text: &str) -> Result<Uuid, Problem> {
    text.parse()
        .map_err(|_| Problem::not_found("the address must end with the UUID of a record"))
}
