//! A platform that is not of this project: pods of a small Flask service, without a migration and without a word to the operator but exit codes.

use e2e::scenario::Platform;
use serde_json::{Value, json};

/// Ends with 0 when the service says what it should, else with 1.
pub const SAYS_HELLO: &str = r#"
import os, sys, urllib.request
answer = urllib.request.urlopen(os.environ["CRM_HELLO_URL"], timeout=10).read()
sys.exit(0 if answer == b"Hello, World!" else 1)
"#;

/// The platform, with its tests.
pub fn platform(platform: &Platform, image: &str, replicas: i64, tests: &Value) -> Value {
    json!({
        "apiVersion": "crmplatform.io/v1alpha1",
        "kind": "CrmPlatform",
        "metadata": { "name": platform.name, "namespace": platform.namespace },
        "spec": {
            "image": image,
            "services": [{ "name": "hello", "replicas": replicas, "resources": { "requests": { "cpu": "20m", "memory": "48Mi" }, "limits": { "memory": "128Mi" } } }],
            "database": { "embedded": {} },
            "tests": tests,
            "release": { "progressDeadlineSeconds": 120 }
        }
    })
}

/// A test of the gate that runs a program in Python.
pub fn test(name: &str, program: &str) -> Value {
    json!({ "name": name, "when": ["Gate"], "args": ["-c", program], "deadlineSeconds": 120 })
}
