//! The operator under an image policy. In: the cluster, and the chart's `imagePolicy`. Out: an operator that has it, and that has none again when this is
//! dropped. All platforms of the cluster are under it, so whoever uses it must be alone.

use anyhow::Result;
use serde_json::{Value, json};

use super::{SYSTEM, operator_pods};
use crate::{Cluster, command, paths};

/// A policy in force; dropping it takes it away, whatever happened.
pub struct ImagePolicy {
    cluster: Cluster,
}

impl ImagePolicy {
    /// Gives the installed operator a policy, and waits until no pod without it is left: one that ends may still lead.
    ///
    /// # Errors
    /// When helm fails, or the pods are not exchanged within two minutes.
    pub fn start(cluster: &Cluster, policy: &Value) -> Result<Self> {
        let started = Self {
            cluster: cluster.clone(),
        };
        started.change(policy)?;
        Ok(started)
    }

    /// Puts another policy in its place.
    ///
    /// # Errors
    /// As [`ImagePolicy::start`].
    pub fn change(&self, policy: &Value) -> Result<()> {
        let before = operator_pods(&self.cluster)?;
        let mut helm = self.cluster.helm(180);
        helm.args(["upgrade", "crm-operator"])
            .arg(paths::checkout().join("charts/crm-operator"));
        helm.args(["--namespace", SYSTEM, "--reset-then-reuse-values", "--wait"]);
        helm.args(["--timeout", "120s", "--set-json"]);
        command::output(helm.arg(format!("imagePolicy={policy}")))?;
        for pod in before {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            let mut kubectl = self.cluster.kubectl(150);
            kubectl.args(["--namespace", SYSTEM, "wait", "--for=delete"]);
            command::output(kubectl.args(["--timeout=120s", &format!("pod/{name}")]))?;
        }
        Ok(())
    }
}

impl Drop for ImagePolicy {
    fn drop(&mut self) {
        let none = json!({ "allowedRegistries": [], "requireDigest": false, "signatureKey": "" });
        if let Err(error) = self.change(&none) {
            eprintln!("the operator may still have an image policy: {error:#}");
        }
    }
}
