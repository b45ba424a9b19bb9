//! The container that reads the report of a test: beside it in its pod, started before it and ended by the kubelet after it.
//!
//! In: the operator's own image. Out: the container and the volume that it shares with the test. It can read what the test wrote and nothing else: no token, no key, no database.

use serde_json::{Value, json};

use super::{container_security, environment};
use crate::kept::{REPORT_BYTES, REPORTS_BYTES};
use crate::platform::release::Release;

/// Its name; also that of the volume with the reports.
pub const CONTAINER: &str = "report";
/// Where reports are written.
pub const FOLDER: &str = "/report";
/// Subcommand of the operator's program.
const COLLECT: &str = "collect-report";

/// Restarted if it breaks, and ended last: that is what `restartPolicy` makes of an init container. Its words come from the file only: its log is no summary.
/// So many bytes of what it read go to its log.
pub(super) fn container(image: &str, bytes: usize) -> Value {
    json!({
        "name": CONTAINER,
        "image": image,
        "args": [COLLECT],
        "restartPolicy": "Always",
        "env": [
            environment::variable("CRM_REPORT_DIR", FOLDER),
            environment::variable("CRM_REPORT_KEEP_BYTES", &bytes.to_string()),
        ],
        "resources": { "requests": { "cpu": "5m", "memory": "16Mi" }, "limits": { "memory": "64Mi" } },
        "securityContext": container_security(),
        "terminationMessagePolicy": "File",
        "volumeMounts": [{ "name": CONTAINER, "mountPath": FOLDER, "readOnly": true }]
    })
}

/// Most bytes of one whole report, when all runs of tests of a release are to find room.
pub(super) fn share(release: &Release) -> usize {
    let reported = release.tests.iter().filter(|test| test.report.is_some());
    let runs: usize = reported.map(|test| test.when.len()).sum();
    (REPORTS_BYTES / runs.max(1)).min(REPORT_BYTES)
}

/// Room for reports; bounded where they are read: a test that writes more is evicted.
pub(super) fn volume(is_read: bool) -> Value {
    let room = match is_read {
        true => json!({ "sizeLimit": "16Mi" }),
        false => json!({}),
    };
    json!({ "name": CONTAINER, "emptyDir": room })
}
