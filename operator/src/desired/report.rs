//! The container that reads the report of a test: beside it in its pod, started before it and ended by the kubelet after it.
//!
//! In: the operator's own image. Out: the container and the volume that it shares with the test. It can read what the test wrote and nothing else: no token, no key, no database.

use serde_json::{Value, json};

use super::{container_security, environment};

/// Its name; also that of the volume with the reports.
pub const CONTAINER: &str = "report";
/// Where reports are written.
pub const FOLDER: &str = "/report";
/// Subcommand of the operator's program.
const COLLECT: &str = "collect-report";

/// Restarted if it breaks, and ended last: that is what `restartPolicy` makes of an init container. Its words come from the file only: its log is no summary.
pub(super) fn container(image: &str) -> Value {
    json!({
        "name": CONTAINER,
        "image": image,
        "args": [COLLECT],
        "restartPolicy": "Always",
        "env": [environment::variable("CRM_REPORT_DIR", FOLDER)],
        "resources": { "requests": { "cpu": "5m", "memory": "16Mi" }, "limits": { "memory": "64Mi" } },
        "securityContext": container_security(),
        "terminationMessagePolicy": "File",
        "volumeMounts": [{ "name": CONTAINER, "mountPath": FOLDER, "readOnly": true }]
    })
}

/// Room for reports; bounded where they are read: a test that writes more is evicted.
pub(super) fn volume(is_read: bool) -> Value {
    let room = match is_read {
        true => json!({ "sizeLimit": "16Mi" }),
        false => json!({}),
    };
    json!({ "name": CONTAINER, "emptyDir": room })
}
