//! Opportunities: what may be sold, to whom, for how much and when. Their stage changes by `:move` only.

use std::sync::LazyLock;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use sqlx::{FromRow, PgConnection};
use utoipa::ToSchema;
use uuid::Uuid;

use super::stage_move;
use crate::auth::Principal;
use crate::http::fields::Fields;
use crate::http::problem::Problem;
use crate::listing::{Filter, Kind, Listing, Sort};
use crate::money::Money;
use crate::resource::{Binding, Record, Resource, Rule, Statements, Table};
use crate::service::Service;
use crate::word::words;

/// The stage where a new opportunity starts: the named one or the first open one. Holds the pipeline against deletion
/// until the transaction ends. Parameters pipeline, run, stage or null.
pub const STAGE: &str = "select stage.id from sales.stage join sales.pipeline on pipeline.id = stage.pipeline_id \
     where pipeline.id = $1 and pipeline.run_id = $2 and pipeline.deleted_at is null and stage.kind = 'open' \
     and ($3::uuid is null or stage.id = $3) order by stage.position limit 1 for share of pipeline";

words!(
    /// Whether it is still to be won.
    State { Open = "open", Won = "won", Lost = "lost" }
);

/// An opportunity as stored and as shown.
#[derive(Debug, FromRow, Serialize, ToSchema)]
#[schema(as = Opportunity)]
pub struct Row {
    /// What every record has.
    #[sqlx(flatten)]
    #[serde(flatten)]
    pub record: Record,
    /// What it is about.
    name: String,
    /// The account, a record of the customer service.
    account_id: Option<Uuid>,
    /// The contact, a record of the customer service.
    contact_id: Option<Uuid>,
    /// What it is worth: a decimal in a string.
    #[schema(value_type = String)]
    amount: Money,
    /// Currency of the amount, as in EUR.
    currency: String,
    /// Percent of the amount that counts in the forecast, instead of its stage's.
    probability_override: Option<i32>,
    /// The day on which it is expected to be won.
    expected_close_date: NaiveDate,
    /// What is to be done next.
    next_step: Option<String>,
    /// The pipeline it is in.
    pipeline_id: Uuid,
    /// The stage it is in.
    pub stage_id: Uuid,
    /// open, won or lost; later releases may know more.
    #[sqlx(try_from = "String")]
    #[schema(value_type = String)]
    state: State,
    /// Since when it is in its stage.
    pub stage_entered_at: DateTime<Utc>,
    /// The stage before it was won or lost.
    last_open_stage_id: Option<Uuid>,
    /// When it was won or lost.
    closed_at: Option<DateTime<Utc>>,
    /// Why it was lost.
    lost_reason: Option<String>,
    /// More about why it was lost.
    lost_notes: Option<String>,
}

impl AsRef<Record> for Row {
    fn as_ref(&self) -> &Record {
        &self.record
    }
}

/// What a caller writes. Pipeline and stage are given when it is made.
#[derive(ToSchema)]
#[schema(as = OpportunityInput)]
pub struct Input {
    /// 1 to 200 characters.
    name: String,
    /// Id of an account; not checked here, the customer service owns it.
    account_id: Option<Uuid>,
    /// Id of a contact; not checked here, the customer service owns it.
    contact_id: Option<Uuid>,
    /// A decimal in a string, as in "1250.50".
    #[schema(value_type = String)]
    amount: Money,
    /// Three capital letters, as in EUR.
    currency: String,
    /// 0 to 100.
    probability_override: Option<i32>,
    /// A day, as in 2026-01-31.
    expected_close_date: NaiveDate,
    /// At most 500 characters.
    next_step: Option<String>,
    /// Id of a pipeline; only when it is made.
    pipeline_id: Uuid,
    /// Id of an open stage of the pipeline, else its first one; only when it is made.
    stage_id: Option<Uuid>,
}

/// The resource.
pub struct Opportunity;

static STATEMENTS: LazyLock<Statements> = LazyLock::new(|| Statements::new(&Opportunity::TABLE));

impl Resource for Opportunity {
    const SERVICE: Service = Service::Sales;
    const NAME: &'static str = "opportunity";
    const COLLECTION: &'static str = "opportunities";
    const TABLE: Table = Table {
        name: "sales.opportunity",
        columns: &[
            "name",
            "account_id",
            "contact_id",
            "amount",
            "currency",
            "probability_override",
            "expected_close_date",
            "next_step",
        ],
        fixed: &["pipeline_id", "stage_id", "state"],
        read_only: &[
            "stage_entered_at",
            "last_open_stage_id",
            "closed_at",
            "lost_reason",
            "lost_notes",
        ],
    };
    const LISTING: Listing = Listing {
        filters: &[
            Filter {
                name: "account_id",
                column: "account_id",
                kind: Kind::Id,
            },
            Filter {
                name: "pipeline_id",
                column: "pipeline_id",
                kind: Kind::Id,
            },
            Filter {
                name: "stage_id",
                column: "stage_id",
                kind: Kind::Id,
            },
            Filter {
                name: "state",
                column: "state",
                kind: Kind::Text,
            },
            Filter {
                name: "currency",
                column: "currency",
                kind: Kind::Text,
            },
            Filter {
                name: "amount",
                column: "amount",
                kind: Kind::Decimal,
            },
            Filter {
                name: "expected_close_date",
                column: "expected_close_date",
                kind: Kind::Date,
            },
            Filter {
                name: "closed_at",
                column: "closed_at",
                kind: Kind::Timestamp,
            },
        ],
        sorts: &[
            Sort {
                name: "amount",
                kind: Kind::Decimal,
            },
            Sort {
                name: "expected_close_date",
                kind: Kind::Date,
            },
        ],
    };
    const RULES: &'static [Rule] = &[];

    type Row = Row;
    type Input = Input;

    fn statements() -> &'static Statements {
        &STATEMENTS
    }

    fn parse(fields: &mut Fields, creating: bool) -> Input {
        let (pipeline_id, stage_id) = match creating {
            true => (fields.required_id("pipeline_id"), fields.id("stage_id")),
            false => (Uuid::nil(), None),
        };
        Input {
            name: fields.required_text("name", 200),
            account_id: fields.id("account_id"),
            contact_id: fields.id("contact_id"),
            amount: fields.amount("amount"),
            currency: parse_currency(fields),
            probability_override: fields.integer("probability_override", 0, 100),
            expected_close_date: fields.required_date("expected_close_date"),
            next_step: fields.text("next_step", 500),
            pipeline_id,
            stage_id,
        }
    }

    fn bind<'q>(query: Binding<'q, Row>, input: &'q Input) -> Binding<'q, Row> {
        query
            .bind(&input.name)
            .bind(input.account_id)
            .bind(input.contact_id)
            .bind(input.amount)
            .bind(&input.currency)
            .bind(input.probability_override)
            .bind(input.expected_close_date)
            .bind(&input.next_step)
    }

    fn bind_fixed<'q>(query: Binding<'q, Row>, input: &'q Input) -> Binding<'q, Row> {
        query
            .bind(input.pipeline_id)
            .bind(input.stage_id)
            .bind(State::Open.as_str())
    }

    async fn check(
        connection: &mut PgConnection,
        principal: &Principal,
        before: Option<&Row>,
        input: &mut Input,
    ) -> Result<(), Problem> {
        if before.is_some() {
            return Ok(());
        }
        let query = sqlx::query_scalar(STAGE)
            .bind(input.pipeline_id)
            .bind(principal.run)
            .bind(input.stage_id);
        let stage: Option<Uuid> = query.fetch_optional(connection).await?;
        let named = input.stage_id.is_some();
        input.stage_id = Some(stage.ok_or_else(|| match named {
            true => Problem::invalid(
                "/stage_id",
                "not-found",
                "must be the id of an open stage of the pipeline",
            ),
            false => Problem::invalid("/pipeline_id", "not-found", "must be the id of a pipeline"),
        })?);
        Ok(())
    }

    async fn written(
        connection: &mut PgConnection,
        principal: &Principal,
        row: &mut Row,
        _input: &Input,
    ) -> Result<(), Problem> {
        // The first version is the one that was just made; a change never moves.
        if row.record.version == 1 {
            stage_move::enter(connection, principal, row).await
        } else {
            Ok(())
        }
    }
}

fn parse_currency(fields: &mut Fields) -> String {
    let before = fields.failures();
    let currency = fields.required_text("currency", 3);
    let well_formed = currency.len() == 3 && currency.bytes().all(|byte| byte.is_ascii_uppercase());
    if !well_formed && fields.failures() == before {
        fields.refuse(
            "currency",
            "invalid",
            "must be three capital letters such as EUR",
        );
    }
    currency
}
