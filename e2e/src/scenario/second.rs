//! A second operator that takes no part in the election and acts in any case. In: the cluster. Out: a Deployment that goes away when it is dropped.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{CALL, SYSTEM};
use crate::{Cluster, command};

const NAME: &str = "crm-operator-second";

/// The second operator; dropping it removes it, whatever happened.
pub struct SecondOperator {
    cluster: Cluster,
}

impl SecondOperator {
    /// Starts a copy of the installed operator without its Lease, and waits until it is ready.
    ///
    /// # Errors
    /// When there is no operator to copy, or the copy is not ready within two minutes.
    pub fn start(cluster: &Cluster) -> Result<Self> {
        let second = Self {
            cluster: cluster.clone(),
        };
        let text = second.kubectl(&["get", "deployment", "crm-operator", "--output=json"])?;
        let copy = without_election(serde_json::from_str(&text)?)?;
        let mut apply = cluster.kubectl(CALL);
        apply.args(["apply", "--server-side", "--filename", "-"]);
        command::output_with_input(&mut apply, &copy.to_string())?;
        let deployment = format!("deployment/{NAME}");
        let status = ["rollout", "status", &deployment, "--timeout=120s"];
        let mut kubectl = cluster.kubectl(150);
        command::output(kubectl.args(["--namespace", SYSTEM]).args(status))?;
        Ok(second)
    }

    /// Its log lines since it started.
    ///
    /// # Errors
    /// When kubectl fails.
    pub fn log(&self) -> Result<String> {
        self.kubectl(&["logs", &format!("deployment/{NAME}"), "--tail=-1"])
    }

    fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let mut kubectl = self.cluster.kubectl(CALL);
        command::output(kubectl.args(["--namespace", SYSTEM]).args(arguments))
    }
}

impl Drop for SecondOperator {
    fn drop(&mut self) {
        let delete = ["delete", "deployment", NAME, "--ignore-not-found"];
        let cascade = ["--cascade=foreground", "--wait=true", "--timeout=60s"];
        if let Err(error) = self.kubectl(&[&delete[..], &cascade[..]].concat()) {
            eprintln!("the second operator may still be there: {error:#}");
        }
    }
}

/// The same pods under another name and other labels, so that neither Deployment counts those of the other.
fn without_election(installed: Value) -> Result<Value> {
    let mut spec = installed["spec"].clone();
    let labels =
        json!({ "app.kubernetes.io/name": "crm-operator", "app.kubernetes.io/instance": NAME });
    spec["replicas"] = json!(1);
    spec["selector"] = json!({ "matchLabels": labels });
    spec["template"]["metadata"] = json!({ "labels": labels });
    let arguments = spec["template"]["spec"]["containers"][0]["args"].as_array_mut();
    let arguments = arguments.context("the operator has arguments")?;
    let before = arguments.len();
    arguments.retain(|argument| {
        let argument = argument.as_str().unwrap_or_default();
        !argument.starts_with("--lease=")
    });
    anyhow::ensure!(
        arguments.len() + 1 == before,
        "the installed operator takes part in no election"
    );
    let metadata = json!({ "name": NAME, "namespace": SYSTEM, "labels": labels });
    Ok(json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec }))
}
