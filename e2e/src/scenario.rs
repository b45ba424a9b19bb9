//! What a person would do with a platform, for the demonstration and the cluster tests: install the operator, apply, change, wait, put it under load.
//!
//! In: a [`Cluster`] and its [`Images`]. Out: what the API server says. Everything goes through kubectl and helm, as it would by hand; every wait has a
//! deadline and says what it waited for.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::{Cluster, Images, command, paths};

/// Namespace of the operator.
pub const SYSTEM: &str = "crm-system";
/// Seconds for one call of kubectl.
const CALL: u32 = 60;

/// Installs the operator by its chart, once per process.
///
/// # Errors
/// When helm fails or the operator does not get ready within two minutes.
pub fn install_operator(cluster: &Cluster, images: &Images) -> Result<()> {
    static DONE: OnceLock<Result<(), String>> = OnceLock::new();
    let result =
        DONE.get_or_init(|| helm_upgrade(cluster, images).map_err(|error| format!("{error:#}")));
    result.clone().map_err(anyhow::Error::msg)
}

fn helm_upgrade(cluster: &Cluster, images: &Images) -> Result<()> {
    let (repository, _) = images
        .operator
        .rsplit_once(':')
        .context("the operator's image has a tag")?;
    let mut helm = cluster.helm(180);
    helm.args(["upgrade", "--install", "crm-operator"])
        .arg(paths::checkout().join("charts/crm-operator"));
    helm.args([
        "--namespace",
        SYSTEM,
        "--create-namespace",
        "--wait",
        "--timeout",
        "120s",
    ]);
    // By digest: a tag that was pushed again must reach the pod too.
    helm.args([
        "--set",
        &format!(
            "image.repository={repository},image.digest={}",
            digest(&images.operator)?
        ),
    ]);
    helm.args([
        "--set",
        &format!(
            "postgresImage={},insecureRegistries={{{}}}",
            images.postgres, cluster.registry
        ),
    ]);
    command::output(&mut helm)?;
    Ok(())
}

fn digest(image: &str) -> Result<String> {
    let digest = command::output(command::within(30, paths::tool("crane")).args([
        "digest",
        "--insecure",
        image,
    ]))?;
    Ok(digest.trim().to_owned())
}

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

    /// Waits until `holds` is true of the platform and answers it.
    ///
    /// # Errors
    /// After `seconds`, with the platform's conditions, its pods and the operator's last words.
    pub fn wait(&self, what: &str, seconds: u64, holds: impl Fn(&Value) -> bool) -> Result<Value> {
        self.watch(what, seconds, |platform| Ok(holds(platform)))
    }

    /// As [`Platform::wait`], for a test that looks elsewhere too or tells what it sees.
    ///
    /// # Errors
    /// After `seconds`, or when `holds` fails.
    pub fn watch(
        &self,
        what: &str,
        seconds: u64,
        mut holds: impl FnMut(&Value) -> Result<bool>,
    ) -> Result<Value> {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        loop {
            let platform = self.get()?;
            if holds(&platform)? {
                return Ok(platform);
            }
            if Instant::now() > deadline {
                bail!(
                    "{}/{}: waited {seconds} s for: {what}\n{}",
                    self.namespace,
                    self.name,
                    self.story(&platform)
                );
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// Waits until the release of the present spec serves.
    ///
    /// # Errors
    /// After `seconds`.
    pub fn wait_ready(&self, seconds: u64) -> Result<Value> {
        self.wait("Ready for the present spec", seconds, |platform| {
            platform["status"]["observedGeneration"] == platform["metadata"]["generation"]
                && condition(platform, "Ready") == "True"
        })
    }

    /// Waits until the operator gave the present spec up, and answers the reason.
    ///
    /// # Errors
    /// After `seconds`.
    pub fn wait_stalled(&self, seconds: u64) -> Result<(Value, String)> {
        let platform = self.wait("Stalled for the present spec", seconds, |platform| {
            platform["status"]["observedGeneration"] == platform["metadata"]["generation"]
                && condition(platform, "Stalled") == "True"
        })?;
        let reason = reason(&platform, "Stalled");
        Ok((platform, reason))
    }

    /// Runs SQL in the embedded database as its superuser; answers bare rows.
    ///
    /// # Errors
    /// When the statement fails.
    pub fn sql(&self, statement: &str) -> Result<String> {
        let pod = format!("{}-postgres-0", self.name);
        let psql = [
            "psql",
            "-U",
            "postgres",
            "-d",
            "crm",
            "-Atq",
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            statement,
        ];
        let out = self.kubectl(&[&["exec", pod.as_str(), "--"], &psql[..]].concat())?;
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
        let mut uids: Vec<_> = pods
            .iter()
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

    /// Starts steady traffic through the live Services.
    ///
    /// # Errors
    /// When the pod does not start.
    pub fn start_load(&self, image: &str, rate: u32) -> Result<Load> {
        Load::start(self.clone(), image, rate)
    }

    /// Everything a failed test should show.
    fn story(&self, platform: &Value) -> String {
        let status = &platform["status"];
        let conditions: Vec<_> = status["conditions"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|c| {
                format!(
                    "  {} {} {}: {}",
                    c["type"], c["status"], c["reason"], c["message"]
                )
            })
            .collect();
        let pods = self
            .kubectl(&["get", "pods,jobs,deployments", "--output=wide"])
            .unwrap_or_default();
        let events = self
            .kubectl(&["get", "events", "--sort-by=.lastTimestamp"])
            .unwrap_or_default();
        let words = command::output(self.cluster.kubectl(CALL).args([
            "--namespace",
            SYSTEM,
            "logs",
            "deployment/crm-operator",
            "--tail=15",
        ]))
        .unwrap_or_default();
        let rejected = &status["rejected"];
        format!(
            "stage {}\n{}\nrejected {rejected}\n{pods}\n{}\n{words}",
            status["stage"],
            conditions.join("\n"),
            command::last_lines(&events, 15)
        )
    }
}

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

/// Traffic through the live Services, from a pod in the platform's namespace.
pub struct Load {
    platform: Platform,
    pod: String,
    log: PathBuf,
    follower: Child,
}

/// What the traffic met.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// Requests sent.
    pub requests: u64,
    /// Requests without an answer, or with one of the 500s.
    pub failed: u64,
    /// Answers that were not what had been written.
    pub wrong: u64,
    /// The whole summary.
    pub summary: Value,
}

impl Load {
    fn start(platform: Platform, image: &str, rate: u32) -> Result<Self> {
        let pod = format!("{}-load", platform.name);
        platform.apply(&load_pod(&platform, &pod, image, rate))?;
        platform.kubectl(&[
            "wait",
            "--for=jsonpath={.status.phase}=Running",
            "--timeout=50s",
            &format!("pod/{pod}"),
        ])?;
        let log = paths::log(&format!("load-{}-{}", platform.namespace, platform.name));
        std::fs::create_dir_all(log.parent().context("logs have a folder")?)?;
        let mut kubectl = platform.cluster.kubectl(1800);
        kubectl.args(["--namespace", &platform.namespace, "logs", "--follow", &pod]);
        let follower = kubectl
            .stdin(Stdio::null())
            .stdout(File::create(&log)?)
            .stderr(Stdio::null())
            .spawn()
            .context("cannot follow the load's log")?;
        Ok(Self {
            platform,
            pod,
            log,
            follower,
        })
    }

    /// Stops the traffic and answers what it met.
    ///
    /// # Errors
    /// When the pod left no summary.
    pub fn stop(mut self) -> Result<Traffic> {
        self.platform
            .kubectl(&["delete", "pod", &self.pod, "--wait=false"])?;
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.follower.try_wait()?.is_none() {
            ensure!(
                Instant::now() < deadline,
                "the load in pod {} did not end within 60 s of SIGTERM",
                self.pod
            );
            std::thread::sleep(Duration::from_millis(200));
        }
        let text = std::fs::read_to_string(&self.log)?;
        let mut lines = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let summary = lines.rfind(|line| line["p99Ms"].is_number());
        let summary = summary.with_context(|| {
            format!(
                "the load left no summary in {}:\n{}",
                self.log.display(),
                command::last_lines(&text, 5)
            )
        })?;
        let count = |key: &str| {
            summary[key]
                .as_u64()
                .with_context(|| format!("the summary has no {key}: {summary}"))
        };
        Ok(Traffic {
            requests: count("requests")?,
            failed: count("failed")?,
            wrong: count("wrong")?,
            summary: summary.clone(),
        })
    }
}

fn load_pod(platform: &Platform, pod: &str, image: &str, rate: u32) -> Value {
    let url = |service: &str| format!("http://{}-{service}:8080", platform.name);
    let identity = |key: &str| json!({ "secretKeyRef": { "name": format!("{}-identity", platform.name), "key": key } });
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": pod, "namespace": platform.namespace },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 30,
            "securityContext": { "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{
                "name": "load",
                "image": image,
                "args": ["load", "--rate", rate.to_string(), "--seconds", "1800"],
                "env": [
                    { "name": "CRM_CUSTOMER_URL", "value": url("customer") },
                    { "name": "CRM_SALES_URL", "value": url("sales") },
                    { "name": "CRM_SIGNING_KEY", "valueFrom": identity("signing-key.pem") },
                    { "name": "CRM_JWKS", "valueFrom": identity("jwks.json") }
                ],
                "securityContext": { "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] } }
            }]
        }
    })
}
