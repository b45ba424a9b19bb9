//! Server-side apply as a model: objects as the API server stores them, and who owns which of their fields.
//!
//! The rules are those of structured-merge-diff for the kinds that the operator applies: which lists are merged by which keys, which maps and lists are one
//! value. Defaults are added, what is empty is left out, quantities are written in their canonical form.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

type Path = Vec<String>;
type Paths = BTreeSet<Path>;

/// Keys by which a list is merged; nothing for a list that is one value.
fn keys(list: &str, items: &[Value]) -> Option<&'static [&'static str]> {
    let in_service = items.iter().any(|item| item.get("port").is_some());
    match list {
        "containers" | "initContainers" | "env" | "volumes" => Some(&["name"]),
        "ports" if in_service => Some(&["port", "protocol"]),
        "ports" => Some(&["containerPort", "protocol"]),
        "volumeMounts" => Some(&["mountPath"]),
        "ownerReferences" => Some(&["uid"]),
        _ => None,
    }
}

/// Whether a map, or an item of a list of that name, is one value.
fn is_atomic(name: &str) -> bool {
    ["selector", "secretKeyRef", "ownerReferences"].contains(&name)
}

/// What a manager that sends this owns of it.
fn owned(config: &Value) -> Paths {
    let mut all = Paths::new();
    collect(config, "", &mut Vec::new(), &mut all);
    let nobody = |path: &Path| match path.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["f:apiVersion" | "f:kind" | "f:status", ..] => true,
        ["f:metadata", name] => ["f:name", "f:namespace", "f:managedFields"].contains(&name),
        _ => false,
    };
    all.retain(|path| !nobody(path));
    all
}

fn collect(value: &Value, name: &str, at: &mut Path, all: &mut Paths) {
    match value {
        Value::Object(map) if !map.is_empty() && !is_atomic(name) => {
            for (key, value) in map.iter().filter(|(key, _)| *key != "managedFields") {
                at.push(format!("f:{key}"));
                collect(value, key, at, all);
                at.pop();
            }
        }
        Value::Array(items) if let Some(keys) = keys(name, items) => {
            for item in items {
                let key: Map<_, _> = keys
                    .iter()
                    .map(|key| ((*key).to_owned(), item[*key].clone()))
                    .collect();
                at.push(format!("k:{}", Value::Object(key)));
                all.insert(at.clone());
                if !is_atomic(name) {
                    collect(item, "", at, all);
                }
                at.pop();
            }
        }
        _ => {
            all.insert(at.clone());
        }
    }
}

fn get<'v>(value: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter()
        .try_fold(value, |value, part| match part.split_once(':')? {
            ("f", key) => value.get(key),
            (_, key) => {
                let key: Map<String, Value> = serde_json::from_str(key).unwrap();
                let mut items = value.as_array()?.iter();
                items.find(|item| key.iter().all(|(name, value)| item[name] == *value))
            }
        })
}

/// Whether what stands at a path is the same; of what is merged only that it is there.
fn is_same(one: &Value, other: &Value, path: &Path) -> bool {
    let name = path.last().unwrap().trim_start_matches("f:").to_owned();
    let list = path.iter().rev().nth(1).map_or("", |list| &list[2..]);
    match (get(one, path), get(other, path)) {
        (Some(Value::Object(_)), Some(Value::Object(_)))
            if !is_atomic(&name) && !is_atomic(list) =>
        {
            true
        }
        (one, other) => one == other,
    }
}

/// A field set in the form of `fieldsV1`.
fn written(paths: &Paths) -> Value {
    let mut all = json!({});
    for path in paths {
        let node = path.iter().fold(&mut all, |node, part| &mut node[part]);
        if node.is_null() {
            *node = json!({});
        }
    }
    for path in paths {
        let node = path.iter().fold(&mut all, |node, part| &mut node[part]);
        if node.as_object().is_some_and(|node| !node.is_empty()) {
            node["."] = json!({});
        }
    }
    all
}

fn read(fields: &Value, at: &mut Path, all: &mut Paths) {
    let Some(map) = fields.as_object().filter(|map| !map.is_empty()) else {
        all.insert(at.clone());
        return;
    };
    for (key, fields) in map {
        if key == "." {
            all.insert(at.clone());
            continue;
        }
        at.push(key.clone());
        read(fields, at, all);
        at.pop();
    }
}

fn entries(object: &Value) -> Vec<(String, String, Paths)> {
    let entries = object["metadata"]["managedFields"].as_array();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let entries = entries.into_iter().flatten().map(|entry| {
        let mut paths = Paths::new();
        read(&entry["fieldsV1"], &mut Vec::new(), &mut paths);
        (text(&entry["manager"]), text(&entry["operation"]), paths)
    });
    entries.collect()
}

fn with_entries(mut object: Value, entries: Vec<(String, String, Paths)>) -> Value {
    let entries = entries
        .into_iter()
        .filter(|(_, _, paths)| !paths.is_empty());
    let entries = entries.map(|(manager, operation, paths)| {
        // Autoscalers act through it, and only so.
        let scales = manager == "kube-controller-manager";
        let mut entry = json!({ "manager": manager, "operation": operation, "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": written(&paths) });
        if scales {
            entry["subresource"] = json!("scale");
        }
        entry
    });
    object["metadata"]["managedFields"] = entries.collect();
    object
}

/// A forced server-side apply.
pub fn apply(live: Option<&Value>, config: &Value, manager: &str) -> Value {
    let before = live.cloned().unwrap_or_else(|| json!({}));
    let mut entries = entries(&before);
    let ours = owned(config);
    let is_ours = |name: &str, operation: &str| name == manager && operation == "Apply";
    let mut object = before.clone();
    let others: Paths = entries
        .iter()
        .filter(|(name, operation, _)| !is_ours(name, operation))
        .flat_map(|(_, _, paths)| paths.clone())
        .collect();
    for (_, _, had) in entries
        .iter()
        .filter(|(name, operation, _)| is_ours(name, operation))
    {
        for gone in had.difference(&ours).filter(|gone| !others.contains(*gone)) {
            remove(&mut object, gone);
        }
    }
    merge(&mut object, config, "");
    entries.retain(|(name, operation, _)| !is_ours(name, operation));
    for (_, _, paths) in &mut entries {
        paths.retain(|path| !ours.contains(path) || is_same(&before, config, path));
    }
    entries.push((manager.to_owned(), "Apply".to_owned(), ours));
    with_entries(stored(object), entries)
}

/// A change by another manager, as `kubectl edit` makes it.
pub fn update(live: &Value, manager: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut object = live.clone();
    change(&mut object);
    let mut entries = entries(live);
    for (_, _, paths) in &mut entries {
        // What nobody stores is neither changed nor removed.
        paths.retain(|path| is_same(live, &object, path));
    }
    let mut changed = owned(&object);
    changed.retain(|path| get(live, path) != get(&object, path) && !is_same(live, &object, path));
    entries.push((manager.to_owned(), "Update".to_owned(), changed));
    with_entries(stored(object), entries)
}

fn remove(object: &mut Value, path: &[String]) {
    let (last, parents) = path.split_last().unwrap();
    let mut node = Some(object);
    for part in parents {
        node = node.and_then(|node| match part.split_once(':').unwrap() {
            ("f", key) => node.get_mut(key),
            (_, _) => {
                let wanted = get(node, std::slice::from_ref(part)).cloned();
                let items = node.as_array_mut().unwrap();
                items
                    .iter_mut()
                    .find(|item| Some(&**item) == wanted.as_ref())
            }
        });
    }
    let Some(node) = node else { return };
    match last.split_once(':').unwrap() {
        ("f", key) => {
            node.as_object_mut().unwrap().remove(key);
        }
        _ => {
            let gone = get(node, std::slice::from_ref(last)).cloned();
            let items = node.as_array_mut().unwrap();
            items.retain(|item| Some(item) != gone.as_ref());
        }
    }
}

fn merge(object: &mut Value, config: &Value, name: &str) {
    match (object, config) {
        (Value::Object(object), Value::Object(config)) if !is_atomic(name) => {
            for (key, value) in config {
                merge(object.entry(key.clone()).or_insert(Value::Null), value, key);
            }
        }
        (Value::Array(object), Value::Array(config)) if let Some(keys) = keys(name, config) => {
            for item in config {
                let is_it = |known: &&mut Value| keys.iter().all(|key| known[*key] == item[*key]);
                match object.iter_mut().find(is_it) {
                    Some(known) if !is_atomic(name) => merge(known, item, ""),
                    Some(known) => *known = item.clone(),
                    None => object.push(item.clone()),
                }
            }
        }
        (object, config) => *object = config.clone(),
    }
}

/// What is kept of an object: nothing empty, and defaults.
fn stored(mut object: Value) -> Value {
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    // Of a custom resource all is kept as it came.
    if kind != "HTTPRoute" {
        prune(&mut object, "");
    }
    let mut set = |path: &str, value: Value| {
        let (parent, name) = path.rsplit_once('/').unwrap();
        if let Some(Value::Object(parent)) = object.pointer_mut(parent) {
            parent.entry(name.to_owned()).or_insert(value);
        }
    };
    match kind.as_str() {
        "Service" => {
            for (name, value) in [
                ("type", "ClusterIP"),
                ("sessionAffinity", "None"),
                ("clusterIP", "10.0.0.7"),
            ] {
                set(&format!("/spec/{name}"), json!(value));
            }
            set("/spec/ipFamilies", json!(["IPv4"]));
        }
        "Deployment" | "StatefulSet" => {
            set("/spec/revisionHistoryLimit", json!(10));
            for (name, value) in [
                ("dnsPolicy", "ClusterFirst"),
                ("restartPolicy", "Always"),
                ("schedulerName", "default-scheduler"),
            ] {
                set(&format!("/spec/template/spec/{name}"), json!(value));
            }
            set(
                "/spec/volumeClaimTemplates/0/kind",
                json!("PersistentVolumeClaim"),
            );
            set(
                "/spec/volumeClaimTemplates/0/status",
                json!({ "phase": "Pending" }),
            );
            set(
                "/spec/volumeClaimTemplates/0/spec/volumeMode",
                json!("Filesystem"),
            );
        }
        _ => {}
    }
    object
}

fn prune(value: &mut Value, name: &str) {
    match value {
        Value::Object(map) if name != "managedFields" => {
            map.iter_mut().for_each(|(key, value)| prune(value, key));
            let stays = [
                "emptyDir",
                "namespaceSelector",
                "podSelector",
                "resources",
                "securityContext",
                "template",
                "spec",
            ];
            map.retain(|key, value| {
                let is_empty = *value == json!("") || *value == json!([]) || *value == json!({});
                !is_empty || stays.contains(&key.as_str())
            });
            if matches!(name, "requests" | "limits") {
                let canonical = [("1000m", "1"), ("0.1", "100m"), ("1024Mi", "1Gi")];
                for (from, to) in canonical {
                    let written = map.values_mut().filter(|amount| **amount == json!(from));
                    written.for_each(|amount| *amount = json!(to));
                }
            }
            let probes = ["startupProbe", "livenessProbe", "readinessProbe"];
            if probes.contains(&name) {
                map.entry("successThreshold").or_insert(json!(1));
            }
            if name == "httpGet" {
                map.entry("scheme").or_insert(json!("HTTP"));
            }
            if map.contains_key("image") {
                map.entry("imagePullPolicy")
                    .or_insert(json!("IfNotPresent"));
            }
        }
        Value::Array(all) if name != "managedFields" => {
            all.iter_mut().for_each(|value| prune(value, ""))
        }
        _ => {}
    }
}
