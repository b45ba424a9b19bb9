//! The demonstration: a platform from nothing to a stopped bad release. What goes in is a cluster that serves; what comes out is an error when a claim did not hold.

use crate::{Cluster, Images};

/// Shows the product at work on `cluster`, whose registry has all images.
///
/// # Errors
/// When something that the demonstration claims is not so.
pub async fn run(cluster: &Cluster) -> anyhow::Result<()> {
    let images = Images::in_registry(&cluster.registry)?;
    println!("KUBECONFIG={}\n{images:#?}", cluster.kubeconfig.display());
    Ok(())
}
