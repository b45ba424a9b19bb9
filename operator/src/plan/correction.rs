//! Drift of what we own: what people are told of an object that is put back.
//!
//! Nothing needs to be decided here: an object that has drifted has no content hash, so whoever keeps it finds that it is not as it should be and applies it.

use super::action::{Correction, Note, Object};
use super::draft::Draft;
use crate::api::conditions;

/// What to tell when this apply puts something back.
pub(super) fn of(draft: &Draft<'_>, object: &Object) -> Option<Correction> {
    let key = object.key();
    let message = match draft.observed.drifted.get(&key) {
        Some(by) if by.is_empty() => format!("{key} was changed by others and is put back"),
        Some(by) => format!(
            "{key} was changed by others (field manager {by} wrote to it last) and is put back"
        ),
        None if draft.keeps && is_missing(draft, object) => {
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
    }
}

/// Whether an object has drifted and is left so, because people work by hand.
pub(super) fn is_left(draft: &Draft<'_>, key: &str) -> bool {
    draft.platform.paused && draft.observed.drifted.contains_key(key)
}
