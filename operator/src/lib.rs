//! The CrmPlatform operator, in the order in which a platform flows through it:
//!
//! ```text
//!  watch            observe           plan (pure)                 apply            status
//!  controller -> observe -> platform + plan + desired  -> apply -> status::next -> written
//!     ^  IO        IO in      no client, no clock         IO out      pure            |
//!     '--------- owned Deployments, Services, Jobs, Pods change; or requeue ----------'
//! ```

pub mod api;
pub mod cost;
pub mod delivery;
pub mod desired;
pub mod kept;
pub mod observed;
pub mod plan;
pub mod platform;
pub mod policy;
pub mod report;
pub mod status;

// Not needed to decide: the simulation is built without them.
#[cfg(feature = "cluster")]
pub mod apply;
#[cfg(feature = "cluster")]
pub mod backoff;
#[cfg(feature = "cluster")]
pub mod context;
#[cfg(feature = "cluster")]
pub mod controller;
#[cfg(feature = "cluster")]
pub mod drift;
#[cfg(feature = "cluster")]
pub mod error;
#[cfg(feature = "cluster")]
pub mod events;
#[cfg(feature = "cluster")]
pub mod health;
#[cfg(feature = "cluster")]
pub mod leader;
#[cfg(feature = "cluster")]
pub mod metrics;
#[cfg(feature = "cluster")]
pub mod observe;
#[cfg(feature = "cluster")]
pub mod reconcile;
#[cfg(feature = "cluster")]
pub mod registry;
#[cfg(feature = "cluster")]
pub mod secrets;
#[cfg(feature = "cluster")]
pub mod telemetry;
#[cfg(feature = "cluster")]
pub mod told;
#[cfg(feature = "cluster")]
pub mod written;
