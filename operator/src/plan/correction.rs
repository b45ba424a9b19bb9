//! Drift of what we own: what people are told of an object that is put back.
//!
//! Nothing needs to be decided here: an object that has drifted has no content hash, so whoever keeps it finds that it is not as it should be and applies it.

use super::action::{Correction, Note, Object};
use super::draft::Draft;
use crate::api::conditions;
use crate::observed::content_hash;

/// What to tell when this apply puts something back.
pub(super) fn of(draft: &Draft<'_>, object: &Object) -> Option<Correction> {
    let key = object.key();
    let message = match draft.observed.drifted.get(&key) {
        Some(by) if by.is_empty() => format!("{key} was changed by others and is put back"),
        Some(by) => format!(
            "{key} was changed by others (field manager {by} wrote to it last) and is put back"
        ),
        None if let Some(pods) = scaled(draft, object) => {
            format!("{key} was scaled to {pods} pods by others and is put back")
        }
        None if draft.restores && is_missing(draft, object) => {
            format!("{key} was missing and is made again")
        }
        None => return None,
    };
    Some(Correction {
        object: key,
        note: Note {
            warning: true,
            reason: conditions::DRIFT_CORRECTED.to_owned(),
            message,
        },
    })
}

fn is_missing(draft: &Draft<'_>, object: &Object) -> bool {
    let observed = draft.observed;
    let key = object.key();
    let name = key.split_once('/').map_or("", |(_, name)| name);
    match object {
        Object::Deployment(_) => !observed.deployments.contains_key(name),
        Object::StatefulSet(_) => observed.database.is_none(),
        Object::Service(_) | Object::ConfigMap(_) => !observed.others.contains_key(&key),
        // That one of these is missing does not say that there ever was one.
        Object::Autoscaler(_)
        | Object::Budget(_)
        | Object::Policy(_)
        | Object::Ingress(_)
        | Object::Route(_) => false,
    }
}

/// The number of pods that somebody has set in a Deployment which is otherwise as it should be.
fn scaled(draft: &Draft<'_>, object: &Object) -> Option<i32> {
    let name = object.metadata().name.as_deref().unwrap_or_default();
    let seen = draft.observed.deployments.get(name)?;
    let is_same = seen.hash == content_hash(object.metadata());
    (draft.restores && is_same).then_some(seen.replicas)
}

/// Whether an object has drifted and is left so, because people work by hand.
pub(super) fn is_left(draft: &Draft<'_>, key: &str) -> bool {
    draft.platform.paused && draft.observed.drifted.contains_key(key)
}
