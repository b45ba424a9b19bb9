//! Pipelines: the ways that an opportunity can go, as an ordered list of stages.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgConnection};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::auth::Principal;
use crate::http::fields::Fields;
use crate::http::problem::Problem;
use crate::listing::{Filter, Kind, Listing, Sort};
use crate::resource::{Binding, Record, Resource, Rule, Statements, Table};
use crate::service::Service;

/// Most stages of a pipeline.
const MAXIMUM_STAGES: usize = 20;

/// Makes the stages of a pipeline; parameters ids, names, positions, probabilities, kinds, actor, run, pipeline.
const ADD_STAGES: &str = "insert into sales.stage \
     (id, name, position, probability, kind, created_by, updated_by, owner_id, run_id, pipeline_id) \
     select new.id, new.name, new.position, new.probability, new.kind, $6, $6, $6, $7, $8 \
     from unnest($1::uuid[], $2::text[], $3::int[], $4::int[], $5::text[]) as new (id, name, position, probability, kind)";

/// Whether an opportunity is in a pipeline; parameter id.
const IN_USE: &str =
    "select exists (select 1 from sales.opportunity where pipeline_id = $1 and deleted_at is null)";

/// The statements of this module beside the common ones.
pub const STATEMENTS_BESIDE: [&str; 2] = [ADD_STAGES, IN_USE];

/// A stage as part of its pipeline.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct StageOfPipeline {
    /// Its id.
    id: Uuid,
    /// Its name.
    name: String,
    /// Its place, from 1.
    position: i32,
    /// Percent of the amount that counts in the forecast.
    probability: i32,
    /// open, won or lost; later releases may know more.
    kind: String,
}

/// A pipeline as stored and as shown.
#[derive(Debug, FromRow, Serialize, ToSchema)]
#[schema(as = Pipeline)]
pub struct Row {
    /// What every record has.
    #[sqlx(flatten)]
    #[serde(flatten)]
    record: Record,
    /// Its name.
    name: String,
    /// Its stages in order.
    #[sqlx(json)]
    stages: Vec<StageOfPipeline>,
}

impl AsRef<Record> for Row {
    fn as_ref(&self) -> &Record {
        &self.record
    }
}

/// A stage of a new pipeline.
#[derive(ToSchema)]
pub struct StageInput {
    /// 1 to 100 characters.
    name: String,
    /// open, won or lost.
    kind: String,
    /// 0 to 100; needed for open stages only.
    probability: Option<i32>,
}

/// What a caller writes. Stages are given when a pipeline is made; later each is changed by itself.
#[derive(ToSchema)]
#[schema(as = PipelineInput)]
pub struct Input {
    /// 1 to 100 characters.
    name: String,
    /// At least one open, one won and one lost stage.
    stages: Vec<StageInput>,
}

/// The resource.
pub struct Pipeline;

static STATEMENTS: LazyLock<Statements> = LazyLock::new(|| Statements::new(&Pipeline::TABLE));

impl Resource for Pipeline {
    const SERVICE: Service = Service::Sales;
    const NAME: &'static str = "pipeline";
    const COLLECTION: &'static str = "pipelines";
    const TABLE: Table = Table {
        name: "sales.pipeline",
        columns: &["name"],
        fixed: &[],
        read_only: &[
            "(select coalesce(json_agg(json_build_object('id', stage.id, 'name', stage.name, 'position', stage.position, \
            'probability', stage.probability, 'kind', stage.kind) order by stage.position), '[]'::json) \
            from sales.stage where stage.pipeline_id = pipeline.id) as stages",
        ],
    };
    const LISTING: Listing = Listing {
        filters: &[Filter {
            name: "name",
            column: "name",
            kind: Kind::Text,
        }],
        sorts: &[Sort {
            name: "name",
            kind: Kind::Text,
        }],
    };
    const RULES: &'static [Rule] = &[];
    const CONFIGURATION: bool = true;

    type Row = Row;
    type Input = Input;

    fn statements() -> &'static Statements {
        &STATEMENTS
    }

    fn parse(fields: &mut Fields, creating: bool) -> Input {
        let name = fields.required_text("name", 100);
        let stages = if creating {
            parse_stages(fields)
        } else {
            Vec::new()
        };
        Input { name, stages }
    }

    fn bind<'q>(query: Binding<'q, Row>, input: &'q Input) -> Binding<'q, Row> {
        query.bind(&input.name)
    }

    async fn written(
        connection: &mut PgConnection,
        principal: &Principal,
        row: &mut Row,
        input: &Input,
    ) -> Result<(), Problem> {
        if input.stages.is_empty() {
            return Ok(());
        }
        let positions = 1_i32..;
        let stage = |(position, stage): (i32, &StageInput)| StageOfPipeline {
            id: Uuid::now_v7(),
            name: stage.name.clone(),
            position,
            probability: stage.probability.unwrap_or_default(),
            kind: stage.kind.clone(),
        };
        row.stages = positions.zip(&input.stages).map(stage).collect();
        let stages = &row.stages;
        sqlx::query(ADD_STAGES)
            .bind(stages.iter().map(|stage| stage.id).collect::<Vec<_>>())
            .bind(
                stages
                    .iter()
                    .map(|stage| stage.name.clone())
                    .collect::<Vec<_>>(),
            )
            .bind(
                stages
                    .iter()
                    .map(|stage| stage.position)
                    .collect::<Vec<_>>(),
            )
            .bind(
                stages
                    .iter()
                    .map(|stage| stage.probability)
                    .collect::<Vec<_>>(),
            )
            .bind(
                stages
                    .iter()
                    .map(|stage| stage.kind.clone())
                    .collect::<Vec<_>>(),
            )
            .bind(&principal.subject)
            .bind(principal.run)
            .bind(row.record.id)
            .execute(connection)
            .await?;
        Ok(())
    }

    async fn deletable(connection: &mut PgConnection, row: &Row) -> Result<(), Problem> {
        let in_use: bool = sqlx::query_scalar(IN_USE)
            .bind(row.record.id)
            .fetch_one(connection)
            .await?;
        if in_use {
            return Err(Problem::conflict(
                "in-use",
                "opportunities are in this pipeline: move or delete them first",
            ));
        }
        Ok(())
    }
}

fn parse_stages(fields: &mut Fields) -> Vec<StageInput> {
    let before = fields.failures();
    let objects = fields.objects("stages", MAXIMUM_STAGES);
    let objects = fields
        .required("stages", objects, before)
        .unwrap_or_default();
    let mut stages = Vec::with_capacity(objects.len());
    for mut object in objects {
        stages.push(parse_stage(&mut object));
        fields.absorb(object.errors());
    }
    let complete = ["open", "won", "lost"]
        .iter()
        .all(|kind| stages.iter().any(|stage| stage.kind == *kind));
    if !complete && fields.failures() == before {
        fields.refuse(
            "stages",
            "invalid",
            "must have at least one stage of each kind: open, won and lost",
        );
    }
    stages
}

fn parse_stage(object: &mut Fields) -> StageInput {
    let name = object.required_text("name", 100);
    let kind = object.required_text("kind", 20);
    let before = object.failures();
    let given = object.integer("probability", 0, 100);
    let probability = match kind.as_str() {
        "open" => object.required("probability", given, before),
        "won" => Some(100),
        "lost" => Some(0),
        "" => None,
        _ => {
            object.refuse("kind", "invalid", "must be open, won or lost");
            None
        }
    };
    StageInput {
        name,
        kind,
        probability,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn errors(stages: serde_json::Value) -> Vec<String> {
        let mut fields = Fields::new(
            json!({"name": "Sales", "stages": stages})
                .as_object()
                .unwrap()
                .clone(),
            "",
        );
        Pipeline::parse(&mut fields, true);
        fields
            .errors()
            .into_iter()
            .map(|error| format!("{} {}", error.pointer, error.code))
            .collect()
    }

    #[test]
    fn a_pipeline_needs_a_way_in_and_both_ways_out() {
        let open = json!({"name": "New", "kind": "open", "probability": 10});
        assert_eq!(
            errors(json!([open, {"name": "Won", "kind": "won"}])),
            ["/stages invalid"]
        );
        assert!(
            errors(json!([open, {"name": "Won", "kind": "won"}, {"name": "Lost", "kind": "lost"}]))
                .is_empty()
        );
        assert_eq!(
            errors(json!([{"name": "New", "kind": "open", "probability": 101}])),
            ["/stages/0/probability invalid"]
        );
        assert_eq!(
            errors(json!([{"name": "New", "kind": "odd", "weight": 1}])),
            ["/stages/0/kind invalid", "/stages/0/weight unknown-field"]
        );
    }
}
