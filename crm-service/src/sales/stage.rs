//! Stages: the steps of a pipeline. They are made with their pipeline and changed one by one.

use std::sync::LazyLock;

use serde::Serialize;
use sqlx::{FromRow, PgConnection};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::auth::Principal;
use crate::http::fields::Fields;
use crate::http::problem::Problem;
use crate::listing::{Filter, Kind, Listing};
use crate::resource::{Binding, Record, Resource, Rule, Statements, Table};
use crate::service::Service;
use crate::word::words;

/// A pipeline shows its stages, so a change of one is a change of the pipeline; parameters pipeline, actor.
pub const TOUCH_PIPELINE: &str = "update sales.pipeline set version = version + 1, updated_at = now(), updated_by = $2 where id = $1";

words!(
    /// What being in a stage means.
    StageKind { Open = "open", Won = "won", Lost = "lost" }
);

/// A stage as stored and as shown.
#[derive(Debug, FromRow, Serialize, ToSchema)]
#[schema(as = Stage)]
pub struct Row {
    /// What every record has.
    #[sqlx(flatten)]
    #[serde(flatten)]
    record: Record,
    /// Its name.
    name: String,
    /// Percent of the amount that an open opportunity in it counts in the forecast.
    probability: i32,
    /// The pipeline it belongs to.
    pipeline_id: Uuid,
    /// Its place in the pipeline, from 1.
    position: i32,
    /// open, won or lost; later releases may know more.
    #[sqlx(try_from = "String")]
    #[schema(value_type = String)]
    kind: StageKind,
}

impl AsRef<Record> for Row {
    fn as_ref(&self) -> &Record {
        &self.record
    }
}

/// What a caller writes.
#[derive(ToSchema)]
#[schema(as = StageChange)]
pub struct Input {
    /// 1 to 100 characters.
    name: String,
    /// 0 to 100; fixed for won and lost stages.
    probability: i32,
}

/// The resource.
pub struct Stage;

static STATEMENTS: LazyLock<Statements> = LazyLock::new(|| Statements::new(&Stage::TABLE));

impl Resource for Stage {
    const SERVICE: Service = Service::Sales;
    const NAME: &'static str = "stage";
    const COLLECTION: &'static str = "stages";
    const TABLE: Table = Table {
        name: "sales.stage",
        columns: &["name", "probability"],
        fixed: &[],
        read_only: &["pipeline_id", "position", "kind"],
    };
    const LISTING: Listing = Listing {
        filters: &[
            Filter {
                name: "pipeline_id",
                column: "pipeline_id",
                kind: Kind::Id,
            },
            Filter {
                name: "kind",
                column: "kind",
                kind: Kind::Text,
            },
        ],
        sorts: &[],
    };
    const RULES: &'static [Rule] = &[];
    const CONFIGURATION: bool = true;
    const CREATED_AND_DELETED: bool = false;

    type Row = Row;
    type Input = Input;

    fn statements() -> &'static Statements {
        &STATEMENTS
    }

    fn parse(fields: &mut Fields, _creating: bool) -> Input {
        let name = fields.required_text("name", 100);
        let before = fields.failures();
        let probability = fields.integer("probability", 0, 100);
        Input {
            name,
            probability: fields
                .required("probability", probability, before)
                .unwrap_or_default(),
        }
    }

    fn bind<'q>(query: Binding<'q, Row>, input: &'q Input) -> Binding<'q, Row> {
        query.bind(&input.name).bind(input.probability)
    }

    async fn check(
        _connection: &mut PgConnection,
        _principal: &Principal,
        before: Option<&Row>,
        input: &mut Input,
    ) -> Result<(), Problem> {
        match before {
            Some(row) if row.kind != StageKind::Open && row.probability != input.probability => {
                Err(Problem::invalid(
                    "/probability",
                    "invalid",
                    "is fixed: a won stage counts in full and a lost one not at all",
                ))
            }
            _ => Ok(()),
        }
    }

    async fn written(
        connection: &mut PgConnection,
        principal: &Principal,
        row: &mut Row,
        _input: &Input,
    ) -> Result<(), Problem> {
        sqlx::query(TOUCH_PIPELINE)
            .bind(row.pipeline_id)
            .bind(&principal.subject)
            .execute(connection)
            .await?;
        Ok(())
    }
}
