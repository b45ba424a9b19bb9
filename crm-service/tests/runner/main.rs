//! The migration runner against a real PostgreSQL. `DATABASE_URL` names a server on which databases and roles may be
//! made; each test works in databases of its own and drops them.

mod backfills;
mod conditions;
mod contention;
mod history;
mod kills;
mod proxy;
mod recovery;
mod reports;
mod roles;
mod scratch;
mod sets;
