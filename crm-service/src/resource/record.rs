//! The columns of every record, and the part of them that callers may write.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::FromRow;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::auth::Principal;
use crate::http::fields::Fields;

/// The common fields that a caller may write.
pub const EDITABLE: [&str; 3] = ["owner_id", "external_source", "external_id"];

/// What every record has.
#[derive(Debug, FromRow, Serialize, ToSchema)]
pub struct Record {
    /// Made by the service; later records sort after earlier ones.
    pub id: Uuid,
    /// Counts the changes; the ETag.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Subject of the token that made it.
    pub created_by: String,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// Subject of the token that last changed it.
    pub updated_by: String,
    /// Who looks after it; at first who made it.
    pub owner_id: String,
    /// The system it was taken over from.
    pub external_source: Option<String>,
    /// Its id there; unique together with `external_source`.
    pub external_id: Option<String>,
}

/// The common part of what a caller writes.
pub struct Common {
    /// See [`Record::owner_id`].
    pub owner_id: String,
    /// See [`Record::external_source`].
    pub external_source: Option<String>,
    /// See [`Record::external_id`].
    pub external_id: Option<String>,
}

impl Common {
    /// Reads the common fields.
    pub fn parse(fields: &mut Fields, principal: &Principal) -> Common {
        let owner_id = fields
            .text("owner_id", 200)
            .unwrap_or_else(|| principal.subject.clone());
        let external_source = fields.text("external_source", 100);
        let external_id = fields.text("external_id", 200);
        if external_source.is_some() != external_id.is_some() {
            let missing = if external_id.is_some() {
                "external_source"
            } else {
                "external_id"
            };
            fields.refuse(
                missing,
                "required",
                "external_source and external_id are given together",
            );
        }
        Common {
            owner_id,
            external_source,
            external_id,
        }
    }
}
