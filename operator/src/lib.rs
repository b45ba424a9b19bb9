//! The CrmPlatform operator, in the order in which a platform flows through it:
//!
//! ```text
//!  watch            observe           plan (pure)                 apply            status
//!  controller -> observe -> platform + plan + desired  -> apply -> status::next -> written
//!     ^  IO        IO in      no client, no clock         IO out      pure            |
//!     '--------- owned Deployments, Services, Jobs, Pods change; or requeue ----------'
//! ```

pub mod api;
pub mod apply;
pub mod backoff;
pub mod context;
pub mod controller;
pub mod cost;
pub mod delivery;
pub mod desired;
pub mod drift;
pub mod error;
pub mod events;
pub mod health;
pub mod kept;
pub mod leader;
pub mod metrics;
pub mod observe;
pub mod observed;
pub mod plan;
pub mod platform;
pub mod policy;
pub mod reconcile;
pub mod registry;
pub mod report;
pub mod secrets;
pub mod status;
pub mod telemetry;
pub mod written;
