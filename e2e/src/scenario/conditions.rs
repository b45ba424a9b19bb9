//! Reads the conditions of a platform's status. Pure.

use serde_json::Value;

/// Status of a condition, or an empty string.
pub fn condition(platform: &Value, kind: &str) -> String {
    field(platform, kind, "status")
}

/// Reason of a condition, or an empty string.
pub fn reason(platform: &Value, kind: &str) -> String {
    field(platform, kind, "reason")
}

/// Message of a condition, or an empty string.
pub fn message(platform: &Value, kind: &str) -> String {
    field(platform, kind, "message")
}

fn field(platform: &Value, kind: &str, field: &str) -> String {
    let conditions = platform["status"]["conditions"].as_array();
    let condition = conditions
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == kind);
    condition
        .and_then(|condition| condition[field].as_str())
        .unwrap_or_default()
        .to_owned()
}
