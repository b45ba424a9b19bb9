//! Moving an opportunity: `POST /opportunities/{id}:move`, and the history of its stages.
//!
//! A move locks the opportunity, writes how long it was in the stage it leaves, and puts it into the next one, all in
//! one transaction. Times are whole milliseconds, so the durations of a history add up exactly.

use axum::extract::{Path, RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};
use sqlx::{FromRow, PgConnection};
use utoipa::ToSchema;
use uuid::Uuid;

use super::opportunity::{Opportunity, Row};
use crate::auth::Principal;
use crate::database::Database;
use crate::http::Shared;
use crate::http::conditional::required_version;
use crate::http::fields::Fields;
use crate::http::problem::Problem;
use crate::resource::{
    Caller, Operations, Resource, json_with_version, locked, parse_id, read_body,
};

/// Writes the first entry; parameters id, opportunity, stage, moment, actor.
const ENTER: &str = "insert into sales.stage_move (id, opportunity_id, from_stage_id, to_stage_id, moved_at, moved_by, duration_ms) \
     values ($1, $2, null, $3, $4, $5, 0)";

/// The stage to move to, and its pipeline held against deletion; parameters stage, run.
const TARGET: &str = "select stage.pipeline_id, stage.kind from sales.stage join sales.pipeline on pipeline.id = stage.pipeline_id \
     where stage.id = $1 and pipeline.run_id = $2 and pipeline.deleted_at is null for share of pipeline";

/// Writes an entry, never earlier than the one before; parameters id, opportunity, stage, actor.
const LEAVE: &str = "insert into sales.stage_move (id, opportunity_id, from_stage_id, to_stage_id, moved_at, moved_by, duration_ms) \
     select $1, opportunity.id, opportunity.stage_id, $3, moment.at, $4, \
     (extract(epoch from moment.at - opportunity.stage_entered_at) * 1000)::bigint \
     from sales.opportunity cross join lateral \
     (select greatest(date_trunc('milliseconds', clock_timestamp()), opportunity.stage_entered_at) as at) as moment \
     where opportunity.id = $2 returning moved_at";

/// Puts the opportunity into its stage; parameters id, actor, pipeline, stage, kind, moment, reason, notes.
const MOVE: &str = "update sales.opportunity set version = version + 1, updated_at = now(), updated_by = $2, pipeline_id = $3, \
     last_open_stage_id = case when state = 'open' then stage_id else last_open_stage_id end, stage_id = $4, state = $5, \
     stage_entered_at = $6::timestamptz, closed_at = case when $5 = 'open' then null else $6::timestamptz end, lost_reason = $7, lost_notes = $8 where id = $1";

/// The history of an opportunity; parameters opportunity, run.
const HISTORY: &str = "select stage_move.id, stage_move.opportunity_id, stage_move.from_stage_id, stage_move.to_stage_id, \
     stage_move.moved_at, stage_move.moved_by, stage_move.duration_ms from sales.stage_move \
     join sales.opportunity on opportunity.id = stage_move.opportunity_id \
     where stage_move.opportunity_id = $1 and opportunity.run_id = $2 and opportunity.deleted_at is null \
     order by stage_move.moved_at, stage_move.id limit 1000";

/// The statements of this module.
pub const STATEMENTS: [&str; 5] = [ENTER, TARGET, LEAVE, MOVE, HISTORY];

/// An entry of the history.
#[derive(Debug, FromRow, Serialize, ToSchema)]
struct StageMove {
    id: Uuid,
    /// The opportunity that moved.
    opportunity_id: Uuid,
    /// The stage it left; null for the first entry.
    from_stage_id: Option<Uuid>,
    /// The stage it entered.
    to_stage_id: Uuid,
    /// When.
    moved_at: DateTime<Utc>,
    /// Subject of the token that moved it.
    moved_by: String,
    /// Milliseconds that it was in the stage it left.
    duration_ms: i64,
}

/// The body of a move.
#[derive(ToSchema)]
struct StageMoveInput {
    /// The stage to move to, of any pipeline.
    stage_id: Uuid,
    /// Needed for a lost stage, and only there: one of price, competitor, no_budget, no_decision, missing_feature, other.
    lost_reason: Option<String>,
    /// At most 2,000 characters; for a lost stage only.
    lost_notes: Option<String>,
}

/// Writes the first entry of an opportunity that was just made.
pub async fn enter(
    connection: &mut PgConnection,
    principal: &Principal,
    row: &Row,
) -> Result<(), Problem> {
    let query = sqlx::query(ENTER)
        .bind(Uuid::now_v7())
        .bind(row.record.id)
        .bind(row.stage_id)
        .bind(row.stage_entered_at);
    query.bind(&principal.subject).execute(connection).await?;
    Ok(())
}

/// `POST /opportunities/{id}:move`. The router cannot match a verb behind an id, so it is told apart here.
pub async fn act(
    State(shared): State<Shared>,
    caller: Caller,
    Path(target): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let id = target
        .strip_suffix(":move")
        .ok_or_else(|| Problem::of_status(StatusCode::METHOD_NOT_ALLOWED))?;
    let id = parse_id(id)?;
    let principal = caller.writer(false)?;
    let target = (id, required_version(request.headers())?);
    let input = parse(read_body(request, &["application/json"]).await?)?;
    let database = &shared.database;
    let row = database
        .fresh_once(|| move_to(database, &principal, target, &input))
        .await?;
    Ok(json_with_version(StatusCode::OK, &row, row.record.version))
}

/// `GET /opportunities/{id}/stage-moves`, oldest first.
pub async fn history(
    State(shared): State<Shared>,
    Caller(principal): Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let id = parse_id(&id)?;
    if query.is_some_and(|query| !query.is_empty()) {
        return Err(Problem::parameters(Vec::new()));
    }
    let database = &shared.database;
    let read = || async {
        let query = sqlx::query_as::<_, StageMove>(HISTORY)
            .bind(id)
            .bind(principal.run);
        Ok(query.fetch_all(database.pool()).await?)
    };
    let items = database.fresh_once(read).await?;
    if items.is_empty() {
        return Err(Problem::not_found("there is no opportunity with this id"));
    }
    Ok(axum::Json(json!({"items": items, "next_cursor": null})).into_response())
}

fn parse(body: Map<String, Value>) -> Result<StageMoveInput, Problem> {
    let mut fields = Fields::new(body, "");
    let input = StageMoveInput {
        stage_id: fields.required_id("stage_id"),
        lost_reason: fields.text("lost_reason", 50),
        lost_notes: fields.text("lost_notes", 2_000),
    };
    fields.finish()?;
    Ok(input)
}

async fn move_to(
    database: &Database,
    principal: &Principal,
    (id, version): (Uuid, i64),
    input: &StageMoveInput,
) -> Result<Row, Problem> {
    let mut transaction = database.begin().await?;
    let before = locked::<Opportunity>(&mut transaction, principal, id, version).await?;
    if before.stage_id == input.stage_id {
        return Err(Problem::conflict(
            "invalid-transition",
            "the opportunity is in this stage already",
        ));
    }
    let (pipeline, kind) = target(&mut transaction, principal, input).await?;
    let leave = sqlx::query_scalar(LEAVE)
        .bind(Uuid::now_v7())
        .bind(id)
        .bind(input.stage_id)
        .bind(&principal.subject);
    let moment: DateTime<Utc> = leave.fetch_one(&mut *transaction).await?;
    sqlx::query(MOVE)
        .bind(id)
        .bind(&principal.subject)
        .bind(pipeline)
        .bind(input.stage_id)
        .bind(&kind)
        .bind(moment)
        .bind(&input.lost_reason)
        .bind(&input.lost_notes)
        .execute(&mut *transaction)
        .await
        .map_err(unknown_reason)?;
    let get = Opportunity::statements().get.as_str();
    let row = sqlx::query_as(get)
        .bind(id)
        .bind(principal.run)
        .fetch_one(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(row)
}

/// The pipeline and kind of the stage to move to, if what was given with it fits.
async fn target(
    connection: &mut PgConnection,
    principal: &Principal,
    input: &StageMoveInput,
) -> Result<(Uuid, String), Problem> {
    let query = sqlx::query_as::<_, (Uuid, String)>(TARGET)
        .bind(input.stage_id)
        .bind(principal.run);
    let found = query.fetch_optional(connection).await?;
    let found = found
        .ok_or_else(|| Problem::invalid("/stage_id", "not-found", "must be the id of a stage"))?;
    let lost = found.1 == "lost";
    if lost && input.lost_reason.is_none() {
        return Err(Problem::invalid(
            "/lost_reason",
            "required",
            "must say why the opportunity was lost",
        ));
    }
    if !lost && (input.lost_reason.is_some() || input.lost_notes.is_some()) {
        return Err(Problem::invalid(
            "/lost_reason",
            "invalid",
            "can be given for a lost stage only",
        ));
    }
    Ok(found)
}

fn unknown_reason(error: sqlx::Error) -> Problem {
    let constraint = error
        .as_database_error()
        .and_then(|error| error.constraint());
    match constraint {
        Some("opportunity_lost_reason_known") => {
            let message =
                "must be one of price, competitor, no_budget, no_decision, missing_feature, other";
            Problem::invalid("/lost_reason", "invalid", message)
        }
        _ => Problem::from(error),
    }
}

/// The part of the OpenAPI document about moves.
pub fn operations() -> Operations {
    Operations::new()
        .action::<Row, StageMoveInput>(
            "/api/sales/v1/opportunities/{id}:move",
            "Move an opportunity to another stage",
        )
        .history::<StageMove>(
            "/api/sales/v1/opportunities/{id}/stage-moves",
            "The stages an opportunity was in, oldest first",
        )
}
