//! The migration runner against a real PostgreSQL. `DATABASE_URL` names a server on which databases and roles may be
//! made; each test works in databases of its own and drops them.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by a panic; the lint only knows functions that are tests themselves"
)]

mod backfills;
mod conditions;
mod contact_email;
mod contention;
mod history;
mod kills;
mod mask;
mod proxy;
mod recovery;
mod reports;
mod roles;
mod scratch;
mod sets;
