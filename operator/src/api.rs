//! The contract with users: the types of `CrmPlatform` and its status, and the vocabulary of conditions.
//!
//! In: nothing. Out: types that serialise to what the API server stores. Must not decide anything, and knows neither a clock nor a client.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

pub mod conditions;
pub mod spec;
pub mod status;

pub use spec::{CrmPlatform, CrmPlatformSpec};
pub use status::CrmPlatformStatus;

/// API group of everything this operator defines, and prefix of its labels and annotations.
pub const GROUP: &str = "crmplatform.io";
