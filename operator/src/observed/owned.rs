//! Whether an object still holds what we applied: drift.
//!
//! In: an object as the API server stores it. Out: the content hash that we wrote on it, or what became of our fields. `managedFields` lists exactly the fields
//! of our last apply that nobody has changed since; fields of others are on other lists, and are never looked at. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use kube::Resource;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{annotation, label};
use crate::desired::{canonical, hash_of, labels};

/// Maps into which others may write although we own them as empty ones. Every other map that is a leaf of a field set is one value.
const SHARED: [&str; 4] = ["emptyDir", "requests", "limits", "resources"];

/// What an object says of its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Content hash we wrote on it; empty when it does not hold any more, so that it is never that of a desired object.
    pub hash: String,
    /// How it has drifted from that.
    pub drift: Option<Box<Drift>>,
}

/// Somebody changed fields that are ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drift {
    /// The content hash it carries.
    pub claims: String,
    /// Hash of what our fields hold now.
    pub holds: String,
    /// Field manager that wrote to it last, as far as that is known.
    pub by: String,
}

/// Reads the stamp of an object.
pub fn stamp<K: Resource + Serialize>(object: &K) -> Stamp {
    let metadata = object.meta();
    let claims = annotation(metadata, labels::HASH);
    let ours = ours(metadata);
    // What is on its way out is not mended, and of what another version of the operator applied only the hash is compared.
    let comparable = claims.contains('-') || (claims.is_empty() && ours.is_some());
    if metadata.deletion_timestamp.is_some() || !comparable {
        return Stamp {
            hash: claims,
            drift: None,
        };
    }
    let holds = hash_of(&held(object, ours));
    if claims.rsplit('-').next() == Some(&holds) {
        return Stamp {
            hash: claims,
            drift: None,
        };
    }
    let by = last_writer(metadata);
    Stamp {
        hash: String::new(),
        drift: Some(Box::new(Drift { claims, holds, by })),
    }
}

/// What the object holds of our fields, in canonical form.
fn held<K: Serialize>(object: &K, ours: Option<&ManagedFieldsEntry>) -> Vec<u8> {
    let stored = serde_json::to_value(object).unwrap_or_default();
    let fields = ours.and_then(|entry| entry.fields_v1.as_ref());
    let mut fields = fields.and_then(|fields| fields.0.as_object().cloned());
    if let Some(Value::Object(spec)) = fields.as_mut().and_then(|all| all.get_mut("f:spec"))
        && canonical::has_replicas_apart(&stored)
    {
        spec.remove("f:replicas");
    }
    let own = "f:annotations";
    if let Some(Value::Object(metadata)) = fields.as_mut().and_then(|all| all.get_mut("f:metadata"))
        && let Some(Value::Object(annotations)) = metadata.get_mut(own)
    {
        annotations.remove(&format!("f:{}", labels::HASH));
        if annotations.keys().all(|key| key == ".") {
            metadata.remove(own);
        }
    }
    let mut form = Vec::new();
    project(&mut form, "", (Some(&stored), &fields.unwrap_or_default()));
    form
}

/// The entry of our own applies. The manager is one per platform.
fn ours(metadata: &ObjectMeta) -> Option<&ManagedFieldsEntry> {
    let manager = labels::field_manager(&label(metadata, labels::PLATFORM));
    let mut all = metadata.managed_fields.iter().flatten();
    all.find(|entry| {
        entry.manager.as_ref() == Some(&manager)
            && entry.operation.as_deref() == Some("Apply")
            && entry.subresource.is_none()
    })
}

/// Who wrote last beside us; a status says nothing about a spec.
fn last_writer(metadata: &ObjectMeta) -> String {
    let ours = ours(metadata);
    let all = metadata.managed_fields.iter().flatten();
    let others =
        all.filter(|entry| Some(*entry) != ours && entry.subresource.as_deref() != Some("status"));
    let last = others.max_by_key(|entry| entry.time.as_ref().map(|time| time.0));
    last.and_then(|entry| entry.manager.clone())
        .unwrap_or_default()
}

/// Writes the canonical form of the part of a value that a field set names.
fn project(form: &mut Vec<u8>, name: &str, (value, fields): (Option<&Value>, &Map<String, Value>)) {
    let children = || fields.iter().filter(|(key, _)| *key != ".");
    if children().next().is_none() {
        return match value {
            Some(Value::Object(_)) if SHARED.contains(&name) => canonical::empty(form),
            Some(value) => canonical::value(form, name, value),
            None => canonical::empty(form),
        };
    }
    let none = Map::new();
    let below = |fields| Value::as_object(fields).unwrap_or(&none);
    if children().any(|(key, _)| key.starts_with("f:")) {
        let parts = children().filter_map(|(key, fields)| {
            let key = key.strip_prefix("f:")?;
            let value = value.and_then(|value| value.get(key));
            (key != canonical::FIXED).then(|| (key, (value, below(fields))))
        });
        return canonical::fields(form, parts, |form, key, part| match part.0 {
            Some(amount) if canonical::are_quantities(name) => canonical::quantity(form, amount),
            _ => project(form, key, part),
        });
    }
    let items = value.and_then(Value::as_array);
    let parts = children().filter_map(|(key, fields)| {
        let item = items?.iter().find(|item| is_named(item, key))?;
        Some((Some(item), below(fields)))
    });
    canonical::list(form, parts, |form, part| project(form, "", part));
}

/// Whether an item of a list is the one that a key of a field set means.
fn is_named(item: &Value, key: &str) -> bool {
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    match key.split_once(':') {
        Some(("k", keys)) => read(keys).as_object().is_some_and(|keys| {
            keys.iter()
                .all(|(name, value)| item.get(name) == Some(value))
        }),
        Some(("v", value)) => *item == read(value),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
