//! The email addresses of a contact. In: what a caller wants, and a contact whose row this transaction has just written.
//! Out: the addresses as stored.
//!
//! Reads the view `customer.contact_emails` only and writes the table `customer.contact_email` only: beside this release
//! one may serve that knows a single address, and the migration keeps the two in step. The row of the contact comes
//! first, always: its lock is what keeps two writers of addresses apart. What only reads names the contact first too: the
//! contract of the migration locks the two tables in this order.

use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgConnection};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::fields::Fields;
use crate::http::problem::Problem;

/// Most addresses of a contact.
const MAXIMUM: usize = 20;
/// What an address is for when nobody says.
const DEFAULT_LABEL: &str = "work";

/// The primary address, as a column of a contact.
pub const PRIMARY: &str = "(select address.email from customer.contact_emails as address \
     where address.contact_id = contact.id and address.is_primary) as email";

/// All addresses, as a column of a contact.
pub const ALL: &str = "(select coalesce(json_agg(json_build_object('email', address.email, 'label', address.label, \
     'primary', address.is_primary) order by address.is_primary desc, address.email_norm), '[]'::json) \
     from customer.contact_emails as address where address.contact_id = contact.id) as emails";

/// The contacts that have an address.
pub const CONTACTS_WITH: &str =
    "select contact_id from customer.contact_emails where email_norm {}";

/// Reads the addresses; parameter contact.
const STORED: &str = "select email, label, is_primary from customer.contact_emails where contact_id = $1 \
     order by is_primary desc, email_norm";

/// Takes all other addresses away; parameters contact, addresses.
const REMOVE: &str = "delete from customer.contact_email where contact_id = $1 \
     and email_norm <> all (select lower(kept) from unnest($2::text[]) as kept)";

/// Makes room for another primary address; parameters contact, the new one.
const DEMOTE: &str = "update customer.contact_email set is_primary = false where contact_id = $1 and is_primary \
     and email_norm is distinct from lower($2)";

/// Adds and changes addresses; parameters contact, addresses, labels, primary.
const KEEP: &str = "insert into customer.contact_email (contact_id, email, label, is_primary) \
     select $1::uuid, new.email, new.label, new.is_primary \
     from unnest($2::text[], $3::text[], $4::bool[]) as new (email, label, is_primary) \
     on conflict (contact_id, email_norm) do update \
     set email = excluded.email, label = excluded.label, is_primary = excluded.is_primary \
     where (contact_email.email, contact_email.label, contact_email.is_primary) \
     is distinct from (excluded.email, excluded.label, excluded.is_primary)";

/// The statements of this module beside the columns and the filter.
pub const STATEMENTS: [&str; 4] = [STORED, REMOVE, DEMOTE, KEEP];

/// An email address of a contact.
#[derive(Clone, Debug, PartialEq, Eq, FromRow, Serialize, Deserialize, ToSchema)]
#[schema(as = ContactEmail)]
pub struct Email {
    /// An address such as name@example.com; several people may share one.
    pub email: String,
    /// What it is for, at most 50 characters; `work` when left out.
    #[serde(default)]
    pub label: String,
    /// Whether it is the one to write to; false when left out.
    #[serde(default)]
    #[sqlx(rename = "is_primary")]
    pub primary: bool,
}

/// What a caller wants of the addresses.
#[derive(Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The addresses stay.
    Unchanged,
    /// Another primary address or none; the other addresses stay.
    Primary(Option<String>),
    /// These and no others.
    All(Vec<Email>),
}

impl Wanted {
    /// Reads `email` and `emails`; both may be given when they say the same.
    pub fn parse(fields: &mut Fields) -> Wanted {
        let before = fields.failures();
        let (single, many) = (fields.is_given("email"), fields.is_given("emails"));
        let email = fields.email("email");
        let emails = parse_all(fields);
        if !many {
            return match single {
                true => Wanted::Primary(email),
                false => Wanted::Unchanged,
            };
        }
        if single && fields.failures() == before && email.as_deref() != primary(&emails) {
            fields.refuse("email", "invalid", "must be the primary address of emails");
        }
        Wanted::All(emails)
    }

    /// The addresses that a contact with the `stored` ones shall have.
    fn applied_to(&self, stored: &[Email]) -> Result<Vec<Email>, Problem> {
        let address = match self {
            Wanted::Unchanged => return Ok(stored.to_vec()),
            Wanted::All(emails) => return Ok(emails.clone()),
            Wanted::Primary(address) => address,
        };
        let mut emails: Vec<Email> = stored.to_vec();
        let Some(address) = address else {
            emails.retain(|email| !email.primary);
            return Ok(emails);
        };
        let folded = address.to_lowercase();
        let label = emails
            .iter()
            .find(|email| email.email.to_lowercase() == folded)
            .map_or_else(|| DEFAULT_LABEL.to_owned(), |email| email.label.clone());
        emails.retain(|email| !email.primary && email.email.to_lowercase() != folded);
        if emails.len() >= MAXIMUM {
            let message = format!("a contact has at most {MAXIMUM} addresses: remove one first");
            return Err(Problem::invalid("/email", "too-long", &message));
        }
        emails.push(Email {
            email: address.clone(),
            label,
            primary: true,
        });
        Ok(emails)
    }
}

/// The primary one of some addresses.
pub fn primary(emails: &[Email]) -> Option<&str> {
    let primary = emails.iter().find(|email| email.primary);
    primary.map(|email| email.email.as_str())
}

fn parse_all(fields: &mut Fields) -> Vec<Email> {
    let objects = fields.objects("emails", MAXIMUM).unwrap_or_default();
    let (mut emails, mut known) = (Vec::<Email>::with_capacity(objects.len()), Vec::new());
    for mut object in objects {
        let email = parse_one(&mut object);
        let folded = email.email.to_lowercase();
        if !folded.is_empty() && known.contains(&folded) {
            object.refuse(
                "email",
                "duplicate",
                "is in the list already, maybe in another case",
            );
        }
        if email.primary && primary(&emails).is_some() {
            object.refuse("primary", "invalid", "must be true for one address only");
        }
        known.push(folded);
        emails.push(email);
        fields.absorb(object.errors());
    }
    emails
}

fn parse_one(object: &mut Fields) -> Email {
    let before = object.failures();
    let email = object.email("email");
    Email {
        email: object.required("email", email, before).unwrap_or_default(),
        label: object
            .text("label", 50)
            .unwrap_or_else(|| DEFAULT_LABEL.to_owned()),
        primary: object.flag("primary"),
    }
}

/// Gives a contact the addresses that are wanted; returns what is stored then. The contact's row is written already.
///
/// # Errors
/// 422 when there would be too many, or the database's.
pub async fn store(
    connection: &mut PgConnection,
    contact: Uuid,
    wanted: &Wanted,
) -> Result<Vec<Email>, Problem> {
    // Not taken from the row as it was found: that statement may have waited, and then its subqueries are older than it.
    let stored = read(connection, contact).await?;
    let emails = wanted.applied_to(&stored)?;
    if emails == stored {
        return Ok(stored);
    }
    let addresses: Vec<&str> = emails.iter().map(|email| email.email.as_str()).collect();
    let labels: Vec<&str> = emails.iter().map(|email| email.label.as_str()).collect();
    let primaries: Vec<bool> = emails.iter().map(|email| email.primary).collect();
    sqlx::query(REMOVE)
        .bind(contact)
        .bind(&addresses)
        .execute(&mut *connection)
        .await?;
    sqlx::query(DEMOTE)
        .bind(contact)
        .bind(primary(&emails))
        .execute(&mut *connection)
        .await?;
    sqlx::query(KEEP)
        .bind(contact)
        .bind(&addresses)
        .bind(&labels)
        .bind(&primaries)
        .execute(&mut *connection)
        .await?;
    Ok(read(connection, contact).await?)
}

async fn read(connection: &mut PgConnection, contact: Uuid) -> Result<Vec<Email>, sqlx::Error> {
    let query = sqlx::query_as(STORED).bind(contact);
    query.fetch_all(connection).await
}

#[cfg(test)]
mod tests;
