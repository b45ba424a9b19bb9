//! Contacts: the people at accounts. What is written of their email addresses is in [`email`].

pub mod email;

use std::sync::LazyLock;

use serde::Serialize;
use sqlx::{FromRow, PgConnection};
use utoipa::ToSchema;
use uuid::Uuid;

use self::email::{Email, Wanted};
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
    /// Telephone number.
    phone: Option<String>,
    /// The primary address of `emails`.
    email: Option<String>,
    /// All email addresses, the primary one first.
    #[sqlx(json)]
    emails: Vec<Email>,
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
    /// At most 50 characters.
    phone: Option<String>,
    /// Sets the primary address, or takes it away, and leaves the others.
    #[schema(value_type = Option<String>)]
    #[expect(
        dead_code,
        reason = "only described here: both fields are read into one"
    )]
    email: (),
    /// All addresses, at most 20, at most one of them primary; goes with `email` when both name the same primary address.
    #[schema(value_type = Option<Vec<Email>>)]
    emails: Wanted,
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
        columns: &["account_id", "first_name", "last_name", "title", "phone"],
        fixed: &[],
        read_only: &[email::PRIMARY, email::ALL],
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
                column: email::CONTACTS_WITH,
                kind: Kind::FoldedText,
            },
        ],
        sorts: &[Sort {
            name: "last_name",
            kind: Kind::Text,
        }],
    };
    const RULES: &'static [Rule] = &[];
    const KEPT_ELSEWHERE: &'static [&'static str] = &["email", "emails"];

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
            phone: fields.text("phone", 50),
            email: (),
            emails: Wanted::parse(fields),
        }
    }

    fn bind<'q>(query: Binding<'q, Row>, input: &'q Input) -> Binding<'q, Row> {
        query
            .bind(input.account_id)
            .bind(&input.first_name)
            .bind(&input.last_name)
            .bind(&input.title)
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

    async fn written(
        connection: &mut PgConnection,
        _principal: &Principal,
        row: &mut Row,
        input: &Input,
    ) -> Result<(), Problem> {
        if input.emails != Wanted::Unchanged {
            row.emails = email::store(connection, row.record.id, &input.emails).await?;
            row.email = email::primary(&row.emails).map(str::to_owned);
        }
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
