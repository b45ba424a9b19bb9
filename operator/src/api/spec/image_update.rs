//! Which newer tags of `spec.image` become releases by themselves.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// How the tags of `spec.image` are followed. The newest one in `semver` takes the place of the tag that `spec.image` has, as if somebody had written it there:
/// it is tested, may need an approval and waits for freeze windows like any other release. `spec.image` itself is never changed; images that services and
/// tests name themselves are not followed.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ImageUpdateSpec {
    /// The versions that may come, for example `>=1.4.0 <2.0.0`, `~1.4` or `1.x`; alternatives are set apart by `||`. Tags that are not three numbers, with or
    /// without a `v` before them, are left out, and so are those below the tag of `spec.image`. A pre-release counts only when the range names one of the same version, as
    /// `>=2.0.0-rc.1` does.
    #[schemars(length(min = 1, max = 200))]
    pub semver: String,
    /// Seconds from one look at the registry to the next; 300 when left out.
    #[serde(default = "default_interval")]
    #[schemars(range(min = 10, max = 86_400))]
    pub interval_seconds: i32,
}

fn default_interval() -> i32 {
    300
}
