//! What a platform stands on: its secrets, its embedded database, and the recorded inputs of the candidate.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::action::{Created, Object};
use super::correction;
use super::draft::Draft;
use crate::api::conditions;
use crate::api::status::Finding;
use crate::desired::{database as objects, names, revision};
use crate::observed::content_hash;

/// Makes the embedded database; true once it answers. Its secrets are made before the first release is recorded.
pub(super) fn database(draft: &mut Draft<'_>) -> bool {
    let platform = draft.platform;
    if platform.embedded_storage.is_none() {
        return true;
    }
    let seen = draft.observed.database.clone();
    let image = seen
        .as_ref()
        .map(|seen| seen.image.as_str())
        .filter(|image| !image.is_empty());
    let set = objects::stateful_set(platform, image);
    let config = objects::config_map(platform);
    let service = objects::service(platform);
    let name = set.metadata.name.clone().unwrap_or_default();
    draft.restores = draft.memory.stable.is_some();
    let others = &draft.observed.others;
    let stands = |kind: &str, metadata: &ObjectMeta| {
        others.get(&format!("{kind}/{name}")) == Some(&content_hash(metadata))
    };
    if !stands("ConfigMap", &config.metadata) {
        keep(draft, Object::ConfigMap(Box::new(config)));
    }
    if !stands("Service", &service.metadata) {
        keep(draft, Object::Service(Box::new(service)));
    }
    let hash = content_hash(&set.metadata);
    let answers = match seen {
        Some(seen) if seen.hash == hash => seen.complete,
        seen => {
            !keep(draft, Object::StatefulSet(Box::new(set)))
                && seen.is_some_and(|seen| seen.complete)
        }
    };
    draft.restores = false;
    answers
}

/// Writes an object of the database, unless people work on it by hand; true when it is written.
fn keep(draft: &mut Draft<'_>, object: Object) -> bool {
    let left = correction::is_left(draft, &object.key());
    if !left {
        draft.apply(object, "the embedded database is made as the spec says");
    }
    !left
}

/// Makes the secrets and then records the inputs of a release; true once they are recorded.
pub(super) fn release(draft: &mut Draft<'_>, id: &str) -> bool {
    if draft.observed.releases.contains_key(id) {
        return true;
    }
    let Some(release) = draft.release(id) else {
        return false;
    };
    for recipe in objects::secrets(draft.platform) {
        draft.create_secret(recipe);
    }
    let revision = revision::revision(draft.scope(id, &release));
    draft.create(
        Created::Revision(Box::new(revision)),
        format!("release {id} is recorded"),
    );
    draft.wait(format!("the record of release {id}"), 2.0);
    false
}

/// Says that nothing can be done for a release whose inputs are lost: a guess would roll out what nobody asked for.
pub(super) fn record_is_missing(draft: &mut Draft<'_>, id: &str) {
    let name = names::revision(&draft.platform.name, id);
    let message = format!(
        "ControllerRevision {name}, the recorded inputs of release {id}, is missing or cannot be read: nothing live is changed; restore it from a backup, or set the spec back to what that release was"
    );
    draft
        .problem
        .get_or_insert(Finding::new(conditions::RECORD_MISSING, message));
}
