//! The CrmPlatform operator, in the order in which a platform flows through it:
//!
//! ```text
//!  watch            observe           plan (pure)                 apply            status
//!  controller -> observe -> platform + plan + desired  -> apply -> status::next -> written
//!     ^  IO        IO in      no client, no clock         IO out      pure            |
//!     '--------- owned Deployments, Services, Jobs, Pods change; or requeue ----------'
//! ```

pub mod api;
#[cfg(feature = "cluster")]
pub mod apply;
#[cfg(feature = "cluster")]
pub mod backoff;
#[cfg(feature = "cluster")]
pub mod context;
#[cfg(feature = "cluster")]
pub mod controller;
pub mod cost;
pub mod delivery;
pub mod desired;
#[cfg(feature = "cluster")]
pub mod drift;
#[cfg(feature = "cluster")]
pub mod error;
#[cfg(feature = "cluster")]
pub mod events;
#[cfg(feature = "cluster")]
pub mod health;
pub mod kept;
#[cfg(feature = "cluster")]
pub mod leader;
#[cfg(feature = "cluster")]
pub mod metrics;
#[cfg(feature = "cluster")]
pub mod observe;
pub mod observed;
pub mod plan;
pub mod platform;
pub mod policy;
#[cfg(feature = "cluster")]
pub mod reconcile;
#[cfg(feature = "cluster")]
pub mod registry;
pub mod report;
#[cfg(feature = "cluster")]
pub mod secrets;
pub mod status;
#[cfg(feature = "cluster")]
pub mod telemetry;
#[cfg(feature = "cluster")]
pub mod written;
