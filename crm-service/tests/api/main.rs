//! The service as a whole against a real PostgreSQL. `DATABASE_URL` names a server on which databases may be made; each
//! test has a database of its own, migrated by the runner.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by a panic; the lint only knows functions that are tests themselves"
)]

mod behaviour;
mod document;
mod emails;
mod load;
mod platform;
mod program;
mod serving;
mod start;
