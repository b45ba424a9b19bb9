//! What the operator remembers of the tags of `spec.image`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::MESSAGE_LIMIT;

/// The newest image that `spec.imageUpdate` found. It never goes back by itself: neither when tags vanish nor when the registry is out of reach.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ImageUpdate {
    /// It stands for `spec.image`, by tag; its digest is in `status.images`.
    pub image: String,
    /// When it was found.
    pub found_at: Time,
    /// The newest tag that is left out, because its image was rejected before under another tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed_over: Option<String>,
    /// Why there may be a newer one that is not used, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MESSAGE_LIMIT))]
    pub message: Option<String>,
}
