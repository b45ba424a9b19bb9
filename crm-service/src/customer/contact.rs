//! Contacts: the people at accounts. In this release a contact has one email address.

use std::sync::LazyLock;

use serde::Serialize;
use sqlx::{FromRow, PgConnection};
use utoipa::ToSchema;
use uuid::Uuid;

use super::account;
use crate::auth::Principal;
use crate::http::fields::Fields;
use crate::http::problem::Problem;
use crate::listing::{Filter, Kind, Listing, Sort};
use crate::resource::{Binding, Record, Resource, Rule, Statements, Table, sees};
use crate::service::Service;

/// Holds a contact against deletion until the transaction ends; parameters id, run.
pub const VISIBLE: &str = "select id from customer.contact where id = $1 and run_id = $2 and deleted_at is null for share";

/// A contact as stored and as shown.
#[derive(Debug, FromRow, Serialize, ToSchema)]
#[schema(as = Contact)]
pub struct Row {
    /// What every record has.
    #[sqlx(flatten)]
    #[serde(flatten)]
    record: Record,
    /// The account it belongs to.
    account_id: Option<Uuid>,
    /// Given name.
    first_name: Option<String>,
    /// Family name.
    last_name: String,
    /// Position in the organisation.
    title: Option<String>,
    /// Email address; several people may share one.
    email: Option<String>,
    /// Telephone number.
    phone: Option<String>,
}

impl AsRef<Record> for Row {
    fn as_ref(&self) -> &Record {
        &self.record
    }
}

/// What a caller writes.
#[derive(ToSchema)]
#[schema(as = ContactInput)]
pub struct Input {
    /// Id of an account.
    account_id: Option<Uuid>,
    /// At most 100 characters.
    first_name: Option<String>,
    /// 1 to 100 characters.
    last_name: String,
    /// At most 100 characters.
    title: Option<String>,
    /// An address such as ada@example.com.
    email: Option<String>,
    /// At most 50 characters.
    phone: Option<String>,
}

/// The resource.
pub struct Contact;

static STATEMENTS: LazyLock<Statements> = LazyLock::new(|| Statements::new(&Contact::TABLE));

impl Resource for Contact {
    const SERVICE: Service = Service::Customer;
    const NAME: &'static str = "contact";
    const COLLECTION: &'static str = "contacts";
    const TABLE: Table = Table {
        name: "customer.contact",
        columns: &[
            "account_id",
            "first_name",
            "last_name",
            "title",
            "email",
            "phone",
        ],
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
                name: "last_name",
                column: "last_name",
                kind: Kind::Text,
            },
            Filter {
                name: "email",
                column: "lower(email)",
                kind: Kind::FoldedText,
            },
        ],
        sorts: &[Sort {
            name: "last_name",
            kind: Kind::Text,
        }],
    };
    const RULES: &'static [Rule] = &[];

    type Row = Row;
    type Input = Input;

    fn statements() -> &'static Statements {
        &STATEMENTS
    }

    fn parse(fields: &mut Fields, _creating: bool) -> Input {
        Input {
            account_id: fields.id("account_id"),
            first_name: fields.text("first_name", 100),
            last_name: fields.required_text("last_name", 100),
            title: fields.text("title", 100),
            email: fields.email("email"),
            phone: fields.text("phone", 50),
        }
    }

    fn bind<'q>(query: Binding<'q, Row>, input: &'q Input) -> Binding<'q, Row> {
        query
            .bind(input.account_id)
            .bind(&input.first_name)
            .bind(&input.last_name)
            .bind(&input.title)
            .bind(&input.email)
            .bind(&input.phone)
    }

    async fn check(
        connection: &mut PgConnection,
        principal: &Principal,
        before: Option<&Row>,
        input: &mut Input,
    ) -> Result<(), Problem> {
        let unchanged = before.is_some_and(|row| row.account_id == input.account_id);
        if unchanged {
            Ok(())
        } else {
            account::check(connection, input.account_id, principal.run).await
        }
    }

    async fn deletable(connection: &mut PgConnection, row: &Row) -> Result<(), Problem> {
        let in_use: bool = sqlx::query_scalar(IN_USE)
            .bind(row.record.id)
            .fetch_one(connection)
            .await?;
        if in_use {
            return Err(Problem::conflict(
                "in-use",
                "notes belong to this contact: delete them first",
            ));
        }
        Ok(())
    }
}

/// Whether anything still belongs to a contact; parameter id.
pub const IN_USE: &str =
    "select exists (select 1 from customer.note where contact_id = $1 and deleted_at is null)";

/// Checks that a contact named in a field is there for this caller, and keeps it there until the transaction ends.
pub async fn check(
    connection: &mut PgConnection,
    id: Option<Uuid>,
    run: Uuid,
) -> Result<(), Problem> {
    match id {
        Some(id) if !sees(connection, VISIBLE, id, run).await? => Err(Problem::invalid(
            "/contact_id",
            "not-found",
            "must be the id of a contact",
        )),
        _ => Ok(()),
    }
}
