//! `cargo e2e bench`: what a release costs, measured on the cluster. In: a cluster with the project's images. Out: a table, and an error when it is over budget.

mod audit;
mod writes;

pub use writes::run as writes;
