//! The facts of a pod that a verdict or a price may rest on.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::jiff::Timestamp;

use super::{controller, label};
use crate::desired::{labels, report};

/// Names of the containers that the operator makes: of Jobs and of services.
const OUR_CONTAINERS: [&str; 2] = ["main", "service"];

/// A pod as seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodView {
    /// Its name.
    pub name: String,
    /// UID of its controller (Job or ReplicaSet).
    pub controller: String,
    /// Release label.
    pub release: String,
    /// Service label.
    pub service: String,
    /// Track label.
    pub track: String,
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    pub phase: String,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// When the kubelet took it up.
    pub started: Option<Timestamp>,
    /// Since when the kubelet says that it is not ready.
    pub unready_since: Option<Timestamp>,
    /// Why it cannot be scheduled, in the scheduler's words.
    pub unschedulable: Option<String>,
    /// Whether it was lost to an eviction, a preemption or a drain.
    pub disrupted: bool,
    /// How, in the words of who ended it.
    pub disruption: String,
    /// State of its main container.
    pub state: ContainerState,
    /// State of the container that reads the report of a test.
    pub collector: ContainerState,
    /// How often its container was restarted.
    pub restarts: i32,
    /// CPU it asks for, in cores.
    pub cpu: f64,
    /// Memory it asks for, in bytes.
    pub memory: f64,
    /// Whether it is being deleted.
    pub deleting: bool,
}

/// State of a container.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ContainerState {
    /// Nothing known yet.
    #[default]
    Unknown,
    /// Waiting, with the kubelet's reason and message.
    Waiting {
        /// For example `ImagePullBackOff`.
        reason: String,
        /// The kubelet's words.
        message: String,
    },
    /// Running.
    Running,
    /// Ended.
    Terminated {
        /// Exit code of the process.
        exit_code: i32,
        /// For example `OOMKilled`.
        reason: String,
        /// The termination message.
        message: String,
        /// When the process began.
        started: Option<Timestamp>,
        /// When it ended.
        finished: Option<Timestamp>,
    },
}

impl PodView {
    /// Whether its containers will never run again.
    pub fn has_ended(&self) -> bool {
        matches!(self.phase.as_str(), "Succeeded" | "Failed")
    }
}

impl From<&Pod> for PodView {
    fn from(pod: &Pod) -> Self {
        let metadata = &pod.metadata;
        let status = pod.status.clone().unwrap_or_default();
        let condition = |kind: &str, value: &str| {
            status
                .conditions
                .iter()
                .flatten()
                .find(|c| c.type_ == kind && c.status == value)
                .cloned()
        };
        // The kubelet sets no condition when a volume holds more than it may, only this reason.
        let target = condition("DisruptionTarget", "True");
        let evicted = status.reason.as_deref() == Some("Evicted");
        let said = status.message.clone().filter(|_| evicted);
        let said = said.or(target.as_ref().and_then(|target| target.message.clone()));
        let disruption = (evicted || target.is_some()).then(|| said.unwrap_or_default());
        // Others may have been injected beside it.
        let ours = |container: &&ContainerStatus| OUR_CONTAINERS.contains(&container.name.as_str());
        let all = || status.container_statuses.iter().flatten();
        let container = all().find(ours).or_else(|| all().next());
        let collector = status
            .init_container_statuses
            .iter()
            .flatten()
            .find(|container| container.name == report::CONTAINER);
        let (cpu, memory) = requests(pod);
        Self {
            name: metadata.name.clone().unwrap_or_default(),
            controller: controller(metadata),
            release: label(metadata, labels::RELEASE),
            service: label(metadata, labels::SERVICE),
            track: label(metadata, labels::TRACK),
            phase: status.phase.clone().unwrap_or_default(),
            created: metadata.creation_timestamp.as_ref().map(|time| time.0),
            started: status.start_time.as_ref().map(|time| time.0),
            unready_since: condition("Ready", "False")
                .and_then(|c| c.last_transition_time)
                .map(|time| time.0),
            unschedulable: condition("PodScheduled", "False")
                .filter(|c| c.reason.as_deref() == Some("Unschedulable"))
                .map(|c| c.message.unwrap_or_default()),
            disrupted: disruption.is_some(),
            disruption: disruption.unwrap_or_default(),
            state: container.map(state).unwrap_or_default(),
            collector: collector.map(state).unwrap_or_default(),
            restarts: container.map_or(0, |container| container.restart_count),
            cpu,
            memory,
            deleting: metadata.deletion_timestamp.is_some(),
        }
    }
}

fn state(container: &ContainerStatus) -> ContainerState {
    let Some(state) = &container.state else {
        return ContainerState::Unknown;
    };
    if let Some(ended) = &state.terminated {
        return ContainerState::Terminated {
            exit_code: ended.exit_code,
            reason: ended.reason.clone().unwrap_or_default(),
            message: ended.message.clone().unwrap_or_default(),
            started: ended.started_at.as_ref().map(|time| time.0),
            finished: ended.finished_at.as_ref().map(|time| time.0),
        };
    }
    if state.running.is_some() {
        return ContainerState::Running;
    }
    match &state.waiting {
        Some(waiting) => ContainerState::Waiting {
            reason: waiting.reason.clone().unwrap_or_default(),
            message: waiting.message.clone().unwrap_or_default(),
        },
        None => ContainerState::Unknown,
    }
}

/// What the containers ask for that run side by side: an init container that is always restarted is one of them.
fn requests(pod: &Pod) -> (f64, f64) {
    let mut cpu = 0.0;
    let mut memory = 0.0;
    let beside = |container: &&Container| container.restart_policy.as_deref() == Some("Always");
    let all = pod.spec.iter().flat_map(|spec| {
        let before = spec.init_containers.iter().flatten();
        spec.containers.iter().chain(before.filter(beside))
    });
    for container in all {
        let empty = BTreeMap::new();
        let requests = container
            .resources
            .as_ref()
            .and_then(|resources| resources.requests.as_ref())
            .unwrap_or(&empty);
        cpu += requests.get("cpu").map_or(0.0, quantity);
        memory += requests.get("memory").map_or(0.0, quantity);
    }
    (cpu, memory)
}

/// A Kubernetes quantity as a number of its base unit; 0 when it cannot be read (the API server refuses such values, so none is stored).
fn quantity(quantity: &Quantity) -> f64 {
    let text = quantity.0.as_str();
    if let Ok(plain) = text.parse() {
        return plain;
    }
    let split = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let factor = match suffix {
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024.0_f64.powi(2),
        "Gi" => 1024.0_f64.powi(3),
        "Ti" => 1024.0_f64.powi(4),
        "Pi" => 1024.0_f64.powi(5),
        "Ei" => 1024.0_f64.powi(6),
        _ => 1.0,
    };
    number.parse::<f64>().unwrap_or(0.0) * factor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_quantities_in_their_base_unit() {
        assert_eq!(quantity(&Quantity("250m".into())), 0.25);
        assert_eq!(quantity(&Quantity("2".into())), 2.0);
        assert_eq!(quantity(&Quantity("64Mi".into())), 67_108_864.0);
        assert_eq!(quantity(&Quantity("129e6".into())), 129_000_000.0);
        assert_eq!(quantity(&Quantity("1T".into())), 1e12);
        assert_eq!(quantity(&Quantity("2E".into())), 2e18);
    }

    #[test]
    fn an_eviction_is_seen_with_and_without_its_condition() {
        let evicted = serde_json::json!({ "phase": "Failed", "reason": "Evicted", "message": "Usage of EmptyDir volume exceeds the limit" });
        let target = serde_json::json!({ "conditions": [{ "type": "DisruptionTarget", "status": "True", "message": "the node is drained" }] });
        let view = |status: &serde_json::Value| {
            let pod = serde_json::json!({ "metadata": {}, "status": status });
            PodView::from(&serde_json::from_value::<Pod>(pod).unwrap())
        };
        let lost = [view(&evicted), view(&target)];
        assert!(lost.iter().all(|pod| pod.disrupted));
        assert!(lost[0].disruption.contains("EmptyDir"), "{lost:?}");
        assert_eq!(lost[1].disruption, "the node is drained");
        let failed =
            serde_json::json!({ "phase": "Failed", "reason": "Error", "message": "words" });
        assert!(!view(&failed).disrupted);
    }

    #[test]
    fn sees_what_runs_beside_a_test_and_what_it_asks_for() {
        let pod: Pod = serde_json::from_value(serde_json::json!({
            "metadata": {},
            "spec": {
                "initContainers": [
                    { "name": "report", "restartPolicy": "Always", "resources": { "requests": { "cpu": "5m", "memory": "16Mi" } } },
                    { "name": "before", "resources": { "requests": { "cpu": "1", "memory": "1Gi" } } }
                ],
                "containers": [{ "name": "main", "resources": { "requests": { "cpu": "50m", "memory": "16Mi" } } }]
            },
            "status": {
                "initContainerStatuses": [{ "name": "report", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                    "state": { "terminated": { "exitCode": 0, "message": "words" } } }],
                "containerStatuses": [{ "name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": { "running": {} } }]
            }
        }))
        .unwrap();
        let view = PodView::from(&pod);
        assert_eq!(view.state, ContainerState::Running);
        let ended = ContainerState::Terminated {
            exit_code: 0,
            reason: String::new(),
            message: "words".into(),
            started: None,
            finished: None,
        };
        assert_eq!(view.collector, ended);
        assert!((view.cpu - 0.055).abs() < 1e-9, "{}", view.cpu);
        assert_eq!(view.memory, 33_554_432.0);
    }
}
