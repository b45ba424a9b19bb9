//! What a platform stands on: its secrets, its embedded database, and the recorded inputs of the candidate.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::action::{Correction, Created, Note, Object, SecretContent, SecretRecipe};
use super::correction;
use super::draft::Draft;
use crate::api::conditions;
use crate::api::status::Finding;
use crate::desired::{database as objects, labels, names, revision};
use crate::observed::content_hash;

/// Makes the embedded database; true once it answers. Its passwords come before it.
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

/// Makes the Secrets of the platform that are not there, before anything reads them; false while passwords are missing that a database has. Those are never made
/// anew: PostgreSQL would not know them.
pub(super) fn secrets(draft: &mut Draft<'_>) -> bool {
    let observed = draft.observed;
    let serves = draft.memory.stable.is_some();
    let has_database = serves || observed.database.is_some();
    // Unless a watch shows them, they count as there once a release is recorded: that comes after them.
    let has_begun = serves || !observed.releases.is_empty();
    let shown = observed.own_secrets.as_ref();
    let mut lost = Vec::new();
    for recipe in objects::secrets(draft.platform) {
        let is_there = shown.map_or(has_begun, |shown| shown.contains(&recipe.name));
        match recipe.content {
            _ if is_there => {}
            SecretContent::Identity if serves && draft.platform.paused => {}
            SecretContent::Identity => make_identity(draft, recipe, serves),
            SecretContent::Password | SecretContent::Passwords if has_database => {
                lost.push(recipe.name);
            }
            SecretContent::Password | SecretContent::Passwords => draft.create_secret(recipe),
        }
    }
    let is_known = lost.is_empty() || shown.is_none();
    if !is_known {
        let finding = lost_passwords(draft, &lost);
        draft.problem.get_or_insert(finding);
    }
    is_known
}

fn make_identity(draft: &mut Draft<'_>, recipe: SecretRecipe, serves: bool) {
    if serves {
        let (namespace, platform) = (&draft.platform.namespace, &draft.platform.name);
        let object = format!("Secret/{}", recipe.name);
        let message = format!(
            "{object} was missing and is made again, with another key; pods that run know the old one until they are started again: kubectl -n {namespace} rollout restart deployment -l {}={platform}",
            labels::PLATFORM
        );
        draft.corrections.push(Correction {
            object,
            note: Note {
                warning: true,
                reason: conditions::DRIFT_CORRECTED.to_owned(),
                message,
            },
        });
    }
    draft.create_secret(recipe);
}

/// Says which passwords are missing: a release that began without them would only wait.
fn lost_passwords(draft: &Draft<'_>, names: &[String]) -> Finding {
    let (namespace, platform) = (&draft.platform.namespace, &draft.platform.name);
    let names = names.join(" ");
    let message = format!(
        "the passwords of the embedded database are not there, or lost their labels: Secret {names}; nothing new begins, and they are not made anew, because PostgreSQL would not know them: restore them from a backup, or set others by hand as the README says (\"A lost password\"); if they are there: kubectl -n {namespace} label secret {names} {}",
        labels::own(platform)
    );
    Finding::new(conditions::SECRET_NOT_USABLE, message)
}

/// Records the inputs of a release; true once they are recorded.
pub(super) fn release(draft: &mut Draft<'_>, id: &str) -> bool {
    if draft.observed.releases.contains_key(id) {
        return true;
    }
    let Some(release) = draft.release(id) else {
        return false;
    };
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
