//! How live traffic goes over to a new release: strategy, steps of a canary, and how long what served before stays.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How live traffic goes over to a new release. The first release is always rolled out at once: there is nothing to go over from.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.type == 'Canary' ? size(self.steps) > 0 : size(self.steps) == 0").message("steps belong to type Canary, which needs at least one: {weight: 25, seconds: 60}")
)]
pub struct StrategySpec {
    /// `RollingUpdate` (when left out): pod by pod, service after service. `BlueGreen`: all services at full size beside stable, then all Services at once.
    /// `Canary`: a part of the requests first, in steps, with the tests of `when: [Verify]` against the new pods in each; then as BlueGreen.
    #[serde(default, rename = "type")]
    pub kind: StrategyType,
    /// Steps of a canary, with rising weights. After the last one all requests go over.
    #[serde(default)]
    #[schemars(length(max = 8))]
    pub steps: Vec<CanaryStep>,
    /// Seconds for which the pods of the release that served before stay after a BlueGreen or Canary release serves, so that `rollback-to` finds them
    /// running; 30 when left out. Old columns and tables are not dropped before they are gone.
    #[serde(default = "default_scale_down_delay")]
    #[schemars(range(min = 0, max = 86_400))]
    pub scale_down_delay_seconds: i32,
}

/// How live traffic goes over.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StrategyType {
    /// Pod by pod.
    #[default]
    RollingUpdate,
    /// All at once, from one full set of pods to another.
    BlueGreen,
    /// In steps.
    Canary,
}

/// A step of a canary.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CanaryStep {
    /// Percent of the requests that the new release gets. With `exposure.gateway` exactly that share of what comes by the HTTPRoute. Otherwise it is reached by
    /// the number of pods and with all pods of stable kept, so that it is never more than about half. The event `TrafficShifted` tells what came of it.
    #[schemars(range(min = 1, max = 99))]
    pub weight: i32,
    /// Seconds for which it serves this share before its tests are run; 60 when left out. A restart of one of its pods ends the release.
    #[serde(default = "default_step_seconds")]
    #[schemars(range(min = 0, max = 86_400))]
    pub seconds: i32,
}

impl Default for StrategySpec {
    fn default() -> Self {
        Self {
            kind: StrategyType::default(),
            steps: Vec::new(),
            scale_down_delay_seconds: default_scale_down_delay(),
        }
    }
}

fn default_scale_down_delay() -> i32 {
    30
}
fn default_step_seconds() -> i32 {
    60
}
