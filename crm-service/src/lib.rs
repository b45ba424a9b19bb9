//! The CRM's services: one binary that serves, migrates, seeds and tests `customer` and `sales`.
//!
//! ```text
//! request -> http (scope, problems, metrics) -> <service>/<resource> (parse) -> resource (SQL in one transaction) -> answer
//! ```

pub mod connection;
pub mod migrate;
pub mod schema;
pub mod service;
