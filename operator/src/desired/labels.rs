//! Labels and annotations of all objects. Labels of the platform object are never copied: a GitOps tool would take the children for its own.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Scope;
use crate::api::status::Slot;

/// Label: name of the platform.
pub const PLATFORM: &str = "crmplatform.io/platform";
/// Label: release id.
pub const RELEASE: &str = "crmplatform.io/release";
/// Label: name of the service.
pub const SERVICE: &str = "crmplatform.io/service";
/// Label: what the object belongs to, [`STABLE`], [`CANDIDATE`], [`BESIDE_STABLE`], [`BESIDE_CANDIDATE`] or [`LIVE_MIGRATION`].
pub const TRACK: &str = "crmplatform.io/track";
/// Label of live pods: which of two sets they belong to, see [`Slot`].
pub const SLOT: &str = "crmplatform.io/slot";
/// Label: stage of the release that made it.
pub const STAGE: &str = "crmplatform.io/stage";
/// Annotation: content hash of the object as it was applied.
pub const HASH: &str = "crmplatform.io/content-hash";
/// Label by which every watch selects.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Its value.
pub const MANAGER: &str = "crm-operator";

const INSTANCE: &str = "app.kubernetes.io/instance";

/// Label of a user's Secret: name of the platform that may use it.
pub const USABLE_BY: &str = "crmplatform.io/usable-by";
/// Annotation of live pods: what stands for the versions of the Secrets that they read.
pub const SECRETS: &str = "crmplatform.io/secrets";
/// Annotation of a live Deployment: an autoscaler of ours sets the number of its pods, or did until it was taken away.
pub const SCALED: &str = "crmplatform.io/scaled";
/// Annotation of an embedded database: its image, which stays whatever the operator's default becomes.
pub const IMAGE: &str = "crmplatform.io/image";

/// Field manager of everything that is applied for a platform. One for each: two platforms whose names make one object are told apart by the API server, which
/// refuses a second controlling owner.
pub fn field_manager(platform: &str) -> String {
    format!("{MANAGER}/{platform}")
}

/// The one that keeps a number of pods which an autoscaler has set, while [`field_manager`] lets it go.
pub fn replicas_manager(platform: &str) -> String {
    format!("{}/replicas", field_manager(platform))
}

/// Value of [`TRACK`]: live pods.
pub const STABLE: &str = "stable";
/// Value of [`TRACK`]: pods and Jobs that a newer spec may stop at any time.
pub const CANDIDATE: &str = "candidate";
/// Value of [`TRACK`]: pods of stable that serve beside the candidate's on a copy of its scratch database. The value is one that no live Service selects.
pub const BESIDE_STABLE: &str = "beside-stable";
/// Value of [`TRACK`]: pods of the candidate that serve beside stable's on that copy.
pub const BESIDE_CANDIDATE: &str = "beside-candidate";
/// Value of [`TRACK`]: Jobs that work on the live database; never stopped by a newer spec.
pub const LIVE_MIGRATION: &str = "migration";
/// Tracks of what is there for the trial of a candidate only.
pub const TRIED: [&str; 3] = [CANDIDATE, BESIDE_STABLE, BESIDE_CANDIDATE];

/// Whether a track is that of pods which are only tried: on a scratch database, outside of every live Service.
pub fn is_tried(track: &str) -> bool {
    TRIED.contains(&track)
}

/// Labels of every object of a platform.
pub fn platform(name: &str) -> Map<String, Value> {
    let labels = json!({
        MANAGED_BY: MANAGER,
        "app.kubernetes.io/name": "crm",
        INSTANCE: name,
        "app.kubernetes.io/part-of": name,
        PLATFORM: name,
    });
    into_map(labels)
}

/// Labels of what outlives its platform and so has no owner: without the one by which a GitOps tool may tell what is its own, and would prune what is not in Git.
pub fn lasting(name: &str) -> Map<String, Value> {
    let mut labels = platform(name);
    labels.remove(INSTANCE);
    labels
}

/// What tells an object of a platform from one that only has its name, as `kubectl label` takes it.
pub fn own(name: &str) -> String {
    format!("{MANAGED_BY}={MANAGER} {PLATFORM}={name}")
}

/// Whether labels are those of a platform's own object.
pub fn are_own(labels: &BTreeMap<String, String>, name: &str) -> bool {
    let is = |label: &str, value: &str| labels.get(label).is_some_and(|own| own == value);
    is(MANAGED_BY, MANAGER) && is(PLATFORM, name)
}

/// Labels of an object that stands around the live pods of a service.
pub fn around(platform_name: &str, service: &str) -> Map<String, Value> {
    let mut labels = platform(platform_name);
    labels.insert("app.kubernetes.io/component".to_owned(), json!(service));
    labels.insert(SERVICE.to_owned(), json!(service));
    labels
}

/// Labels of an object of a service, without the release: what selectors use too.
pub fn service(scope: Scope<'_>, service: &str, track: &str) -> Map<String, Value> {
    let mut labels = around(&scope.platform.name, service);
    labels.insert(TRACK.to_owned(), json!(track));
    labels
}

/// The same with the release.
pub fn with_release(mut labels: Map<String, Value>, release: &str) -> Map<String, Value> {
    labels.insert(RELEASE.to_owned(), json!(release));
    labels
}

/// The same with the slot.
pub fn with_slot(mut labels: Map<String, Value>, slot: Slot) -> Map<String, Value> {
    labels.insert(SLOT.to_owned(), json!(slot.label()));
    labels
}

/// Labels by which a Deployment or Service finds its pods, of whatever release and slot.
pub fn selector(scope: Scope<'_>, service: &str, track: &str) -> Value {
    json!({ PLATFORM: scope.platform.name, SERVICE: service, TRACK: track })
}

fn into_map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
