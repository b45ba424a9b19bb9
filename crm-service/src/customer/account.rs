//! Accounts: the organisations that a company deals with.

use std::sync::LazyLock;

use serde::Serialize;
use sqlx::{FromRow, PgConnection};
use utoipa::ToSchema;

use crate::http::fields::Fields;
use crate::http::problem::Problem;
use crate::listing::{Filter, Kind, Listing, Sort};
use crate::resource::{Binding, Record, Resource, Rule, Statements, Table, sees};
use crate::service::Service;
use crate::word::words;

/// Holds an account against deletion until the transaction ends; parameters id, run.
pub const VISIBLE: &str = "select id from customer.account where id = $1 and run_id = $2 and deleted_at is null for share";

/// Whether anything still belongs to an account; parameter id.
pub const IN_USE: &str = "select exists (select 1 from customer.contact where account_id = $1 and deleted_at is null) \
     or exists (select 1 from customer.note where account_id = $1 and deleted_at is null)";

words!(
    /// What an account is to the company.
    AccountKind { Prospect = "prospect", Customer = "customer", Partner = "partner", Reseller = "reseller", Investor = "investor" }
);

/// An account as stored and as shown.
#[derive(Debug, FromRow, Serialize, ToSchema)]
#[schema(as = Account)]
pub struct Row {
    /// What every record has.
    #[sqlx(flatten)]
    #[serde(flatten)]
    record: Record,
    /// Its name.
    name: String,
    /// One of prospect, customer, partner, reseller, investor; later releases may know more.
    #[sqlx(try_from = "String")]
    #[schema(value_type = String)]
    kind: AccountKind,
    /// Branch of business.
    industry: Option<String>,
    /// Address on the web.
    website: Option<String>,
    /// Telephone number.
    phone: Option<String>,
    /// Free text.
    description: Option<String>,
}

impl AsRef<Record> for Row {
    fn as_ref(&self) -> &Record {
        &self.record
    }
}

/// What a caller writes.
#[derive(ToSchema)]
#[schema(as = AccountInput)]
pub struct Input {
    /// 1 to 200 characters.
    name: String,
    /// One of the known kinds; `prospect` when left out.
    kind: Option<String>,
    /// At most 100 characters.
    industry: Option<String>,
    /// At most 500 characters.
    website: Option<String>,
    /// At most 50 characters.
    phone: Option<String>,
    /// At most 10,000 characters.
    description: Option<String>,
}

/// The resource.
pub struct Account;

static STATEMENTS: LazyLock<Statements> = LazyLock::new(|| Statements::new(&Account::TABLE));

impl Resource for Account {
    const SERVICE: Service = Service::Customer;
    const NAME: &'static str = "account";
    const COLLECTION: &'static str = "accounts";
    const TABLE: Table = Table {
        name: "customer.account",
        columns: &[
            "name",
            "kind",
            "industry",
            "website",
            "phone",
            "description",
        ],
        fixed: &[],
        read_only: &[],
    };
    const LISTING: Listing = Listing {
        filters: &[
            Filter {
                name: "name",
                column: "name",
                kind: Kind::Text,
            },
            Filter {
                name: "kind",
                column: "kind",
                kind: Kind::Text,
            },
            Filter {
                name: "industry",
                column: "industry",
                kind: Kind::Text,
            },
        ],
        sorts: &[Sort {
            name: "name",
            kind: Kind::Text,
        }],
    };
    const RULES: &'static [Rule] = &[Rule {
        constraint: "account_kind_known",
        field: "kind",
        message: "must be prospect, customer, partner, reseller or investor",
    }];

    type Row = Row;
    type Input = Input;

    fn statements() -> &'static Statements {
        &STATEMENTS
    }

    fn parse(fields: &mut Fields, _creating: bool) -> Input {
        Input {
            name: fields.required_text("name", 200),
            kind: fields.text("kind", 50),
            industry: fields.text("industry", 100),
            website: fields.text("website", 500),
            phone: fields.text("phone", 50),
            description: fields.text("description", 10_000),
        }
    }

    fn bind<'q>(query: Binding<'q, Row>, input: &'q Input) -> Binding<'q, Row> {
        query
            .bind(&input.name)
            .bind(
                input
                    .kind
                    .as_deref()
                    .unwrap_or(AccountKind::Prospect.as_str()),
            )
            .bind(&input.industry)
            .bind(&input.website)
            .bind(&input.phone)
            .bind(&input.description)
    }

    async fn deletable(connection: &mut PgConnection, row: &Row) -> Result<(), Problem> {
        let in_use: bool = sqlx::query_scalar(IN_USE)
            .bind(row.record.id)
            .fetch_one(connection)
            .await?;
        if in_use {
            let detail = "contacts or notes belong to this account: move or delete them first";
            return Err(Problem::conflict("in-use", detail));
        }
        Ok(())
    }
}

/// Checks that an account named in a field is there for this caller, and keeps it there until the transaction ends.
pub async fn check(
    connection: &mut PgConnection,
    id: Option<uuid::Uuid>,
    run: uuid::Uuid,
) -> Result<(), Problem> {
    match id {
        Some(id) if !sees(connection, VISIBLE, id, run).await? => Err(Problem::invalid(
            "/account_id",
            "not-found",
            "must be the id of an account",
        )),
        _ => Ok(()),
    }
}
