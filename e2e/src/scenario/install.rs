//! Installs the operator by its chart. In: the cluster and its images. Out: a ready operator, or what helm said.

use std::sync::OnceLock;

use anyhow::{Context, Result};

use super::SYSTEM;
use crate::{Cluster, Images, command, paths};

/// Installs the operator by its chart, once per process.
///
/// # Errors
/// When helm fails or the operator does not get ready within two minutes.
pub fn install_operator(cluster: &Cluster, images: &Images) -> Result<()> {
    static DONE: OnceLock<Result<(), String>> = OnceLock::new();
    let result =
        DONE.get_or_init(|| helm_upgrade(cluster, images).map_err(|error| format!("{error:#}")));
    result.clone().map_err(anyhow::Error::msg)
}

fn helm_upgrade(cluster: &Cluster, images: &Images) -> Result<()> {
    let (repository, _) = images
        .operator
        .rsplit_once(':')
        .context("the operator's image has a tag")?;
    let mut helm = cluster.helm(180);
    helm.args(["upgrade", "--install", "crm-operator"])
        .arg(paths::checkout().join("charts/crm-operator"));
    helm.args([
        "--namespace",
        SYSTEM,
        "--create-namespace",
        "--wait",
        "--timeout",
        "120s",
    ]);
    // By digest: a tag that was pushed again must reach the pod too.
    helm.args([
        "--set",
        &format!(
            "image.repository={repository},image.digest={}",
            digest(&images.operator)?
        ),
    ]);
    helm.args([
        "--set",
        &format!(
            "postgresImage={},insecureRegistries={{{}}}",
            images.postgres, cluster.registry
        ),
    ]);
    command::output(&mut helm)?;
    Ok(())
}

/// The digest that the registry has for a tag.
///
/// # Errors
/// When the registry has no such image.
pub fn digest(image: &str) -> Result<String> {
    let digest = command::output(command::within(30, paths::tool("crane")).args([
        "digest",
        "--insecure",
        image,
    ]))?;
    Ok(digest.trim().to_owned())
}
