//! Steady traffic through the live Services, from a pod in the platform's namespace. In: a platform that serves. Out: what the traffic met.
//! Traffic that died, or that says nothing of itself, is an error: it has shown nothing.

use std::fs::File;
use std::io::{BufRead, BufReader, Lines};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::Platform;
use crate::process::end_child;
use crate::{command, paths};

/// Seconds within which the traffic must flow: it makes some hundred records before.
const STEADY: u64 = 120;
/// Seconds within which the pod must have ended after it was told to: it reads its first records back before.
const END: u32 = 120;
const EXIT_CODES: &str =
    r#"--output=jsonpath={.status.containerStatuses[*].state.terminated.exitCode}{"\n"}"#;

/// Running traffic; dropping it stops it.
pub struct Load {
    platform: Platform,
    pod: String,
    log: PathBuf,
    follower: Child,
    stopped: bool,
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

impl Platform {
    /// Starts steady traffic through the live Services; returns when it flows.
    ///
    /// # Errors
    /// When the pod does not start, or ends before the traffic flows.
    pub fn start_load(&self, image: &str, rate: u32) -> Result<Load> {
        let url = |service: &str| format!("http://{}-{service}:8080", self.name);
        self.start_traffic(&load_container(self, (image, rate), url))
    }

    /// As [`Platform::start_load`], by one host that leads to all services.
    ///
    /// # Errors
    /// When the pod does not start, or ends before the traffic flows.
    pub fn start_load_by(&self, host: &str, image: &str, rate: u32) -> Result<Load> {
        let url = |_: &str| format!("http://{host}");
        self.start_traffic(&load_container(self, (image, rate), url))
    }

    /// As [`Platform::start_load`], by a container that makes requests of another kind and tells of them as `crm-service load` does.
    ///
    /// # Errors
    /// When the pod does not start, or ends before the traffic flows.
    pub fn start_traffic(&self, container: &Value) -> Result<Load> {
        let pod = format!("{}-load", self.name);
        // That of an earlier load may still be on its way out.
        self.kubectl(&["delete", "pod", &pod, "--ignore-not-found", "--timeout=50s"])?;
        self.apply(&load_pod(self, &pod, container))?;
        let running = "--for=jsonpath={.status.phase}=Running";
        self.kubectl(&["wait", running, "--timeout=50s", &format!("pod/{pod}")])
            .with_context(|| {
                let words = self.kubectl(&["logs", &pod, "--tail=5"]);
                format!("the load did not start: {}", words.unwrap_or_default())
            })?;
        let log = paths::log(&format!("load-{}-{}", self.namespace, self.name));
        std::fs::create_dir_all(log.parent().context("logs have a folder")?)?;
        let mut kubectl = self.cluster.kubectl(1800);
        kubectl.args(["--namespace", &self.namespace, "logs", "--follow", &pod]);
        let follower = kubectl
            .stdin(Stdio::null())
            .stdout(File::create(&log)?)
            .stderr(Stdio::null())
            .spawn()
            .context("cannot follow the load's log")?;
        let mut load = Load {
            platform: self.clone(),
            pod,
            log,
            follower,
            stopped: false,
        };
        load.wait_until_steady()?;
        Ok(load)
    }
}

impl Load {
    fn wait_until_steady(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(STEADY);
        while !objects(&self.text()?).any(|line| line["second"].is_number()) {
            let ended = self.follower.try_wait()?.is_some();
            if ended || Instant::now() > deadline {
                let state = if ended { "ended" } else { "made no traffic" };
                bail!(
                    "the load in pod {} {state} within {STEADY} s; its last words:\n{}",
                    self.pod,
                    self.last_words()
                );
            }
            std::thread::sleep(Duration::from_millis(300));
        }
        Ok(())
    }

    /// Stops the traffic and answers what it met.
    ///
    /// # Errors
    /// When the pod had ended before, ended with another code than 0, or left no summary; and when not one request was made.
    pub fn stop(mut self) -> Result<Traffic> {
        let code = self.end()?;
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.follower.try_wait()?.is_none() {
            ensure!(
                Instant::now() < deadline,
                "the log of pod {} did not end within 30 s of the pod",
                self.pod
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        self.stopped = true;
        let traffic = Traffic::from_log(&self.text()?).with_context(|| {
            format!(
                "the load in pod {} ended with exit code {code}; the end of {}:\n{}",
                self.pod,
                self.log.display(),
                self.last_words()
            )
        })?;
        ensure!(
            code == 0,
            "the load in pod {} ended with exit code {code}: {}",
            self.pod,
            traffic.summary
        );
        Ok(traffic)
    }

    /// Deletes the pod and answers the exit code of its container, which only who watches can see: the pod is gone a moment later.
    fn end(&self) -> Result<i32> {
        let mut kubectl = self.platform.cluster.kubectl(END);
        kubectl.args(["--namespace", &self.platform.namespace]);
        kubectl.args(["get", "pod", &self.pod, "--watch", EXIT_CODES]);
        let mut watch = kubectl
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot watch the load's pod")?;
        let stdout = watch.stdout.take().expect("standard output is piped");
        let code = self.told_to_end(BufReader::new(stdout).lines());
        end_child(&mut watch);
        code
    }

    fn told_to_end(&self, mut codes: Lines<BufReader<ChildStdout>>) -> Result<i32> {
        let early = codes.next().transpose()?;
        let early = early.with_context(|| format!("the load's pod {} is gone", self.pod))?;
        ensure!(
            early.is_empty(),
            "the load in pod {} had ended by itself, with exit code {early}:\n{}",
            self.pod,
            self.last_words()
        );
        self.platform
            .kubectl(&["delete", "pod", &self.pod, "--wait=false"])?;
        for code in codes {
            let code = code?;
            if !code.is_empty() {
                return code.parse().context("an exit code is a number");
            }
        }
        bail!(
            "the load in pod {} did not end within {END} s of SIGTERM",
            self.pod
        )
    }

    fn text(&self) -> Result<String> {
        std::fs::read_to_string(&self.log)
            .with_context(|| format!("cannot read {}", self.log.display()))
    }

    fn last_words(&self) -> String {
        command::last_lines(&self.text().unwrap_or_default(), 5)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if !self.stopped {
            let pod = ["delete", "pod", &self.pod, "--ignore-not-found"];
            // Nothing more can be done about an error here; the namespace goes in the end.
            self.platform
                .kubectl(&[&pod[..], &["--wait=false"]].concat())
                .ok();
            end_child(&mut self.follower);
        }
    }
}

fn objects(text: &str) -> impl DoubleEndedIterator<Item = Value> {
    text.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
}

impl Traffic {
    /// Reads the summary, which is the one line that tells the kinds of trouble.
    fn from_log(text: &str) -> Result<Self> {
        let summary = objects(text)
            .rfind(|line| line["kinds"].is_object())
            .context("the load left no summary")?;
        let count = |key: &str| {
            summary[key]
                .as_u64()
                .with_context(|| format!("the summary has no {key}: {summary}"))
        };
        let requests = count("requests")?;
        ensure!(requests > 0, "the load made no request: {summary}");
        Ok(Self {
            requests,
            failed: count("failed")?,
            wrong: count("wrong")?,
            summary: summary.clone(),
        })
    }
}

fn load_container(
    platform: &Platform,
    (image, rate): (&str, u32),
    url: impl Fn(&str) -> String,
) -> Value {
    let identity = |key: &str| json!({ "secretKeyRef": { "name": format!("{}-identity", platform.name), "key": key } });
    json!({
        "image": image,
        "args": ["load", "--rate", rate.to_string(), "--seconds", "1800"],
        "env": [
            { "name": "CRM_CUSTOMER_URL", "value": url("customer") },
            { "name": "CRM_SALES_URL", "value": url("sales") },
            { "name": "CRM_SIGNING_KEY", "valueFrom": identity("signing-key.pem") },
            { "name": "CRM_JWKS", "valueFrom": identity("jwks.json") }
        ]
    })
}

fn load_pod(platform: &Platform, pod: &str, container: &Value) -> Value {
    let mut container = container.clone();
    container["name"] = json!("load");
    // What the platform's own tests carry: NetworkPolicies let it reach live pods.
    let labels =
        json!({ "crmplatform.io/platform": platform.name, "crmplatform.io/stage": "Verify" });
    container["securityContext"] = json!({ "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] } });
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": pod, "namespace": platform.namespace, "labels": labels },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 90,
            "securityContext": { "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [container]
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: &str = r#"{"second":0,"requests":9,"failed":0,"wrong":0,"p99Ms":1.5}"#;

    fn summary(requests: u64) -> String {
        let text = json!({ "requests": requests, "failed": 1, "wrong": 2, "p99Ms": 1.5, "kinds": { "wrong": 2 } });
        format!("{SECOND}\n{text}\n")
    }

    #[test]
    fn the_line_of_a_second_is_no_summary() {
        let error = Traffic::from_log(SECOND).unwrap_err().to_string();
        assert!(error.contains("no summary"), "{error}");
    }

    #[test]
    fn traffic_without_a_request_shows_nothing() {
        let error = Traffic::from_log(&summary(0)).unwrap_err().to_string();
        assert!(error.contains("no request"), "{error}");
    }

    #[test]
    fn the_summary_is_read_whatever_lines_stand_around_it() {
        let traffic = Traffic::from_log(&format!("{}not json\n", summary(7))).unwrap();
        assert_eq!((traffic.requests, traffic.failed, traffic.wrong), (7, 1, 2));
    }
}
