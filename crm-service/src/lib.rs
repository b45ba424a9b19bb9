//! The CRM's services: one binary that serves, migrates, seeds and tests `customer` and `sales`.
//!
//! ```text
//! request -> http (scope, problems, metrics) -> <service>/<resource> (parse) -> resource (SQL in one transaction) -> answer
//! ```

pub mod auth;
pub mod client;
pub mod connection;
pub mod customer;
pub mod database;
pub mod http;
pub mod listing;
pub mod load;
pub mod migrate;
mod money;
pub mod openapi;
pub mod personal;
pub mod resource;
pub mod sales;
pub mod schema;
pub mod seed;
pub mod serve;
pub mod service;
pub mod suite;
mod synthetic;
pub mod telemetry;
mod word;
