//! Storage for claims: folders under `target/e2e/volumes`, each one PersistentVolume of the class `local`. A volume whose claim is gone is emptied and offered again.

use std::fs;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::facts::NODE;
use crate::cluster::kubectl;
use crate::{command, paths, progress};

const COUNT: usize = 80;

/// Makes the volumes that are missing and recycles the released ones.
pub fn ensure() -> Result<()> {
    let kubeconfig = paths::state("kubeconfig");
    let list =
        command::output(kubectl(&kubeconfig, 30).args(["get", "persistentvolumes", "-o", "json"]))?;
    let list: Value = serde_json::from_str(&list)?;
    let existing = list["items"]
        .as_array()
        .context("the API server's list of volumes has no items")?;
    let released: Vec<_> = existing
        .iter()
        .filter(|volume| volume["status"]["phase"] == "Released")
        .filter_map(name)
        .collect();
    let missing: Vec<_> = (0..COUNT)
        .map(|number| format!("local-{number:02}"))
        .filter(|wanted| !existing.iter().filter_map(name).any(|name| name == wanted))
        .collect();
    if !released.is_empty() {
        progress::step(&format!("recycling {} volumes", released.len()), || {
            released.iter().try_for_each(|name| recycle(name))
        })?;
    }
    if !missing.is_empty() {
        progress::step(&format!("making {} volumes", missing.len()), || {
            create(&missing)
        })?;
    }
    Ok(())
}

fn name(volume: &Value) -> Option<&str> {
    volume["metadata"]["name"].as_str()
}

fn recycle(name: &str) -> Result<()> {
    let folder = paths::state("volumes").join(name);
    fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    fs::create_dir_all(&folder)?;
    let patch = json!([{"op": "remove", "path": "/spec/claimRef"}]).to_string();
    let kubeconfig = paths::state("kubeconfig");
    command::output(kubectl(&kubeconfig, 30).args([
        "patch",
        "persistentvolume",
        name,
        "--type=json",
        "-p",
        &patch,
    ]))?;
    Ok(())
}

fn create(names: &[String]) -> Result<()> {
    for name in names {
        fs::create_dir_all(paths::state("volumes").join(name))?;
    }
    let items: Vec<Value> = names.iter().map(|name| volume(name)).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    command::output_with_input(
        kubectl(&paths::state("kubeconfig"), 60).args(["create", "-f", "-"]),
        &list,
    )?;
    Ok(())
}

fn volume(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "2Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "local",
            "persistentVolumeReclaimPolicy": "Retain",
            "local": {"path": paths::state("volumes").join(name)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}
            ]}]}},
        },
    })
}
