//! `/livez`, `/readyz` and `/version`: whether to restart the process, whether to send it traffic, what it is.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::Shared;
use super::problem::Problem;
use crate::schema::{self, Window};
use crate::service::Service;

/// How long the database may take to answer a probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// What a probe needs to know of the process.
#[derive(Default)]
pub struct Health {
    draining: AtomicBool,
    checked: OnceLock<()>,
}

impl Health {
    /// From now on new traffic should go elsewhere.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the process is about to stop.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Every statement of this release was accepted by the database.
    pub fn set_checked(&self) {
        self.checked.get_or_init(|| ());
    }
}

/// Reads the schema window that the database states.
///
/// # Errors
/// The database's; a schema that was never migrated is level 0.
pub async fn window(pool: &PgPool, service: Service) -> Result<Window, sqlx::Error> {
    let statement = match service {
        Service::Customer => "select schema_level, min_app_level from customer.schema_compat",
        Service::Sales => "select schema_level, min_app_level from sales.schema_compat",
    };
    match sqlx::query_as::<_, (i32, i32)>(statement)
        .fetch_optional(pool)
        .await
    {
        Ok(row) => {
            let (schema_level, min_app_level) = row.unwrap_or_default();
            Ok(Window {
                schema_level,
                min_app_level,
            })
        }
        Err(error) if is_undefined_table(&error) => Ok(Window {
            schema_level: 0,
            min_app_level: 0,
        }),
        Err(error) => Err(error),
    }
}

fn is_undefined_table(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(|error| error.code())
        .is_some_and(|code| code == "42P01")
}

/// `GET /livez`: the process answers.
pub async fn live() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// `GET /readyz`: the database answers, its schema fits this release, and the process stays.
pub async fn ready(State(shared): State<Shared>) -> Result<Json<Value>, Problem> {
    if shared.health.is_draining() {
        return Err(Problem::unavailable(
            "draining",
            "the process is about to stop",
        ));
    }
    if shared.health.checked.get().is_none() {
        return Err(Problem::unavailable(
            "starting",
            "the statements of this release are not checked yet",
        ));
    }
    let window = probe(&shared).await?;
    schema::fits(shared.service, window)
        .map_err(|reason| Problem::unavailable("schema-mismatch", reason.to_string()))?;
    Ok(Json(
        json!({"status": "ok", "schemaLevel": window.schema_level}),
    ))
}

/// `GET /version`: release, levels and revision.
pub async fn version(State(shared): State<Shared>) -> Response {
    let schema = schema::of(shared.service);
    let database = probe(&shared).await.ok();
    Json(json!({
        "service": shared.service.name(),
        "version": env!("CARGO_PKG_VERSION"),
        "release": std::env::var("CRM_RELEASE").ok(),
        "track": std::env::var("CRM_TRACK").ok(),
        "revision": option_env!("CRM_REVISION"),
        "appLevel": schema.app_level,
        "minSchemaLevel": schema.min_schema_level,
        "schema": database.map(|window| json!({"level": window.schema_level, "floor": window.min_app_level})),
    }))
    .into_response()
}

async fn probe(shared: &Shared) -> Result<Window, Problem> {
    let probe = window(shared.database.pool(), shared.service);
    match tokio::time::timeout(PROBE_TIMEOUT, probe).await {
        Ok(window) => Ok(window?),
        Err(_) => Err(Problem::unavailable(
            "database-timeout",
            "the database took longer than a second to answer",
        )),
    }
}
