//! A real Kubernetes for tests, in one command: what goes in is this checkout, what comes out is a running [`Cluster`] whose registry holds the project's images.
//! Everything it makes lives under `target/e2e`; it must not leave a process, a mount or a file anywhere else.

pub mod bench;
mod beside;
pub mod cluster;
pub mod command;
pub mod demo;
pub mod images;
mod kind;
mod lock;
pub mod logs;
mod node;
mod packages;
pub mod paths;
mod postgres;
mod process;
pub mod progress;
pub mod scenario;
pub mod suite;
mod tools;

pub use cluster::Cluster;
pub use images::Images;
