//! The columns of the customer service's tables that may hold text, as `personal.rs` wants them.

use crate::personal::{Column, Content, EMAIL, LOOKUP, NAME, PHONE, PROSE, SHARED, WEBSITE};

/// The primary address is that of the contact's column, while there is one; the others are numbered by age.
const EMAILS: Content = Content::Personal(
    "'c' || replace(this.contact_id::text, '-', '') \
     || case when this.is_primary then '' else '.' || lpad((select count(*) from customer.contact_email other \
       where other.contact_id = this.contact_id and not other.is_primary \
       and (other.created_at, other.email_norm) < (this.created_at, this.email_norm))::text, 4, '0') end \
     || '@example.invalid'",
);

/// Every column with text, of every schema level that this build can meet.
pub const COLUMNS: &[Column] = &[
    ("account_kind.code", LOOKUP),
    ("account_kind.label", LOOKUP),
    ("account.name", NAME),
    ("account.kind", LOOKUP),
    ("account.industry", SHARED),
    ("account.website", WEBSITE),
    ("account.phone", PHONE),
    ("account.description", PROSE),
    ("contact.first_name", NAME),
    ("contact.last_name", NAME),
    ("contact.title", PROSE),
    ("contact.email", EMAIL),
    ("contact.phone", PHONE),
    ("contact_email.email", EMAILS),
    ("contact_email.label", SHARED),
    ("note.body", PROSE),
];
