//! Notes: what people wrote about an account or a contact.

use std::sync::LazyLock;

use serde::Serialize;
use sqlx::{FromRow, PgConnection};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{account, contact};
use crate::auth::Principal;
use crate::http::fields::Fields;
use crate::http::problem::Problem;
use crate::listing::{Filter, Kind, Listing};
use crate::resource::{Binding, Record, Resource, Rule, Statements, Table};
use crate::service::Service;

/// A note as stored and as shown.
#[derive(Debug, FromRow, Serialize, ToSchema)]
#[schema(as = Note)]
pub struct Row {
    /// What every record has.
    #[sqlx(flatten)]
    #[serde(flatten)]
    record: Record,
    /// The account it is about, unless it is about a contact.
    account_id: Option<Uuid>,
    /// The contact it is about, unless it is about an account.
    contact_id: Option<Uuid>,
    /// Its text.
    body: String,
}

impl AsRef<Record> for Row {
    fn as_ref(&self) -> &Record {
        &self.record
    }
}

/// What a caller writes: a text about exactly one account or contact.
#[derive(ToSchema)]
#[schema(as = NoteInput)]
pub struct Input {
    /// Id of an account.
    account_id: Option<Uuid>,
    /// Id of a contact.
    contact_id: Option<Uuid>,
    /// 1 to 50,000 characters.
    body: String,
}

/// The resource.
pub struct Note;

static STATEMENTS: LazyLock<Statements> = LazyLock::new(|| Statements::new(&Note::TABLE));

impl Resource for Note {
    const SERVICE: Service = Service::Customer;
    const NAME: &'static str = "note";
    const COLLECTION: &'static str = "notes";
    const TABLE: Table = Table {
        name: "customer.note",
        columns: &["account_id", "contact_id", "body"],
        fixed: &[],
        read_only: &[],
    };
    const LISTING: Listing = Listing {
        filters: &[
            Filter {
                name: "account_id",
                column: "account_id",
                kind: Kind::Id,
            },
            Filter {
                name: "contact_id",
                column: "contact_id",
                kind: Kind::Id,
            },
        ],
        sorts: &[],
    };
    const RULES: &'static [Rule] = &[];

    type Row = Row;
    type Input = Input;

    fn statements() -> &'static Statements {
        &STATEMENTS
    }

    fn parse(fields: &mut Fields, _creating: bool) -> Input {
        let before = fields.failures();
        let (account_id, contact_id) = (fields.id("account_id"), fields.id("contact_id"));
        if account_id.is_some() == contact_id.is_some() && fields.failures() == before {
            let message = "give exactly one of account_id and contact_id";
            fields.refuse("account_id", "invalid", message);
            fields.refuse("contact_id", "invalid", message);
        }
        Input {
            account_id,
            contact_id,
            body: fields.required_text("body", 50_000),
        }
    }

    fn bind<'q>(query: Binding<'q, Row>, input: &'q Input) -> Binding<'q, Row> {
        query
            .bind(input.account_id)
            .bind(input.contact_id)
            .bind(&input.body)
    }

    async fn check(
        connection: &mut PgConnection,
        principal: &Principal,
        before: Option<&Row>,
        input: &mut Input,
    ) -> Result<(), Problem> {
        if before.is_some_and(|row| {
            (row.account_id, row.contact_id) == (input.account_id, input.contact_id)
        }) {
            return Ok(());
        }
        account::check(connection, input.account_id, principal.run).await?;
        contact::check(connection, input.contact_id, principal.run).await
    }
}
