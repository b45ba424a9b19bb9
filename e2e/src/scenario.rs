//! What a person would do with a platform, for the demonstration and the cluster tests: install the operator, apply, change, wait, put it under load.
//!
//! In: a [`Cluster`] and its images. Out: what the API server says. Everything goes through kubectl and helm, as it would by hand; every wait has a
//! deadline and says what it waited for.

mod conditions;
mod gateway;
mod install;
mod kill;
mod load;
mod policy;
mod second;
mod session;
mod signature;
mod stream;
mod tags;
mod waiting;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{Cluster, command, paths};

pub use conditions::{condition, message, reason};
pub use gateway::Gateway;
pub use install::{digest, install_operator};
pub use kill::{kill_leader, operator_pods};
pub use load::{Load, Traffic};
pub use policy::ImagePolicy;
pub use second::SecondOperator;
pub use session::Session;
pub use signature::Signer;
pub use tags::Repository;

/// Namespace of the operator.
pub const SYSTEM: &str = "crm-system";
/// Seconds for one call of kubectl.
const CALL: u32 = 60;

/// One platform in a namespace.
#[derive(Clone)]
pub struct Platform {
    /// The cluster it lives in.
    pub cluster: Cluster,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Platform {
    /// A platform that is not applied yet, in a namespace that enforces the `restricted` level.
    ///
    /// # Errors
    /// When the namespace cannot be made.
    pub fn new(cluster: &Cluster, namespace: &str, name: &str) -> Result<Self> {
        let platform = Self {
            cluster: cluster.clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        let labels = json!({ "pod-security.kubernetes.io/enforce": "restricted", "crmplatform.io/e2e": "true" });
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace, "labels": labels } });
        platform.apply(&namespace)?;
        Ok(platform)
    }

    /// The sample platform with `image`.
    ///
    /// # Errors
    /// When the sample cannot be read.
    pub fn sample(&self, image: &str) -> Result<Value> {
        let file = paths::checkout().join("manifests/samples/acme.yaml");
        let mut kubectl = self.cluster.kubectl(CALL);
        kubectl
            .args(["create", "--dry-run=client", "--output=json", "--filename"])
            .arg(file);
        let text = command::output(&mut kubectl)?;
        let objects = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
        let mut all = Vec::new();
        for object in objects {
            let object = object?;
            match object["items"].as_array() {
                Some(items) => all.extend(items.clone()),
                None => all.push(object),
            }
        }
        let mut object = all
            .into_iter()
            .find(|object| object["kind"] == "CrmPlatform")
            .context("the sample holds a CrmPlatform")?;
        object["metadata"] = json!({ "name": self.name, "namespace": self.namespace });
        object["spec"]["image"] = json!(image);
        Ok(object)
    }

    /// Applies an object on the server's side; answers what kubectl said, warnings included.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub fn apply(&self, object: &Value) -> Result<String> {
        let mut kubectl = self.cluster.kubectl(CALL);
        kubectl.args([
            "apply",
            "--server-side",
            "--force-conflicts",
            "--warnings-as-errors",
            "--filename",
            "-",
        ]);
        command::output_with_input(&mut kubectl, &object.to_string())
    }

    /// Asks the API server whether it would take the committed definition; a warning is an error.
    ///
    /// # Errors
    /// When it would not.
    pub fn try_definition(&self) -> Result<String> {
        let mut kubectl = self.cluster.kubectl(CALL);
        kubectl.args([
            "apply",
            "--server-side",
            "--force-conflicts",
            "--dry-run=server",
            "--warnings-as-errors",
            "--filename",
        ]);
        kubectl.arg(paths::checkout().join("crds/crmplatforms.crmplatform.io.yaml"));
        command::output(&mut kubectl)
    }

    /// Runs kubectl in the platform's namespace.
    ///
    /// # Errors
    /// When kubectl fails.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        command::output(
            self.cluster
                .kubectl(CALL)
                .args(["--namespace", &self.namespace])
                .args(arguments),
        )
    }

    /// Objects of a kind in the namespace, by label selector.
    ///
    /// # Errors
    /// When kubectl fails.
    pub fn list(&self, kind: &str, selector: &str) -> Result<Vec<Value>> {
        let text = self.kubectl(&["get", kind, "--selector", selector, "--output=json"])?;
        let list: Value = serde_json::from_str(&text)?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    /// The platform as it is.
    ///
    /// # Errors
    /// When it is not there.
    pub fn get(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.kubectl(&[
            "get",
            "crmplatform",
            &self.name,
            "--output=json",
        ])?)?)
    }

    /// Changes fields of the spec by a merge patch.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub fn patch(&self, spec: &Value) -> Result<()> {
        let patch = json!({ "spec": spec }).to_string();
        self.kubectl(&[
            "patch",
            "crmplatform",
            &self.name,
            "--type=merge",
            "--patch",
            &patch,
        ])?;
        Ok(())
    }

    /// Sets an annotation of the platform.
    ///
    /// # Errors
    /// When kubectl fails.
    pub fn annotate(&self, key: &str, value: &str) -> Result<()> {
        let annotation = format!("{key}={value}");
        self.kubectl(&[
            "annotate",
            "--overwrite",
            "crmplatform",
            &self.name,
            &annotation,
        ])?;
        Ok(())
    }

    /// Runs SQL in the embedded database as its superuser; answers bare rows.
    ///
    /// # Errors
    /// When the statement fails.
    pub fn sql(&self, statement: &str) -> Result<String> {
        self.sql_in("crm", statement)
    }

    /// As [`Platform::sql`], in another database of the server.
    ///
    /// # Errors
    /// When the statement fails.
    pub fn sql_in(&self, database: &str, statement: &str) -> Result<String> {
        let pod = format!("{}-postgres-0", self.name);
        self.sql_at(&pod, (database, statement))
    }

    /// As [`Platform::sql_in`], of the server in another pod.
    ///
    /// # Errors
    /// When the statement fails.
    pub fn sql_at(&self, pod: &str, (database, statement): (&str, &str)) -> Result<String> {
        let psql = [
            "psql",
            "-U",
            "postgres",
            "-d",
            database,
            "-Atq",
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            statement,
        ];
        let out = self.kubectl(&[&["exec", pod, "--"], &psql[..]].concat())?;
        Ok(out.trim().to_owned())
    }

    /// UIDs of the live pods, sorted.
    ///
    /// # Errors
    /// When kubectl fails.
    pub fn live_pods(&self) -> Result<Vec<String>> {
        let pods = self.list(
            "pods",
            &format!(
                "crmplatform.io/platform={},crmplatform.io/track=stable",
                self.name
            ),
        )?;
        let stay = pods
            .iter()
            .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        let mut uids: Vec<_> = stay
            .map(|pod| {
                pod["metadata"]["uid"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned()
            })
            .collect();
        uids.sort();
        Ok(uids)
    }
}
