//! Fetches the signatures of an image, where cosign puts them: under the tag `sha256-<digest>.sig` of the same repository.
//!
//! In: an image by digest, and the keys that count. Out: which key signed it, or why none did. Anonymous access only. Must not judge a signature itself:
//! `policy::signature` does. Reads little: whoever may push to the repository decides what is there.

use std::io::Cursor;

use oci_client::client::LayerDescriptor;
use oci_client::errors::OciDistributionError;
use oci_client::manifest::{
    IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest,
};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};

use super::trouble::Cause;
use crate::policy::signature::{Claim, Flaw, SignatureKeys};

/// Annotation of a layer with its signature.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// Most signatures of one image that are looked at.
const LOOKED_AT: usize = 16;
/// Most bytes of a payload; cosign's own has about 250.
const PAYLOAD: usize = 16 * 1024;

/// Why no key is known to have signed.
pub(super) enum NoSigner {
    /// There is nothing that counts; the words follow on the name of the image.
    Unsigned(String),
    /// The registry did not tell.
    Trouble(OciDistributionError),
}

/// The fingerprint of the key that signed the image of `digest` in the repository of `image`.
pub(super) async fn signer(
    client: &Client,
    keys: &SignatureKeys,
    (image, digest): (&Reference, &str),
) -> Result<String, NoSigner> {
    let tag = format!("{}.sig", digest.replacen(':', "-", 1));
    let (registry, repository) = (image.registry().to_owned(), image.repository().to_owned());
    let place = Reference::with_tag(registry, repository, tag.clone());
    let manifest = manifest(client, &place, &tag).await?;
    let mut flaws = Vec::new();
    for (layer, signature) in signatures(&manifest) {
        let payload = payload(client, &place, layer).await?;
        let signer = payload.and_then(|payload| {
            let claim = Claim {
                payload: &payload,
                payload_digest: &layer.digest,
                signature,
            };
            keys.signer(&claim, digest).map(str::to_owned)
        });
        match signer {
            Ok(signer) => return Ok(signer),
            Err(flaw) => flaws.push(flaw),
        }
    }
    Err(NoSigner::Unsigned(match flaws.first() {
        None => format!("has no signature (tag {tag} holds none)"),
        Some(flaw) => format!(
            "has {} under tag {tag}, and none counts; of the first: {flaw}",
            count(flaws.len())
        ),
    }))
}

/// What is under the tag of an image's signatures.
async fn manifest(
    client: &Client,
    place: &Reference,
    tag: &str,
) -> Result<OciImageManifest, NoSigner> {
    let kinds = [OCI_IMAGE_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE];
    let pulled = client.pull_manifest_raw(place, &RegistryAuth::Anonymous, &kinds);
    let (manifest, _) = pulled.await.map_err(|error| match Cause::of(&error) {
        Cause::NotFound => NoSigner::Unsigned(format!(
            "has no signature (there is no tag {tag} in its repository)"
        )),
        _ => NoSigner::Trouble(error),
    })?;
    serde_json::from_slice(&manifest)
        .map_err(|_| NoSigner::Unsigned(format!("has no signature (tag {tag} is something else)")))
}

/// The layers that say that they are signatures.
fn signatures(manifest: &OciImageManifest) -> impl Iterator<Item = (&OciDescriptor, &str)> {
    let layers = manifest.layers.iter();
    let signed = layers.filter_map(|layer| {
        let signature = layer.annotations.as_ref()?.get(SIGNATURE)?;
        Some((layer, signature.as_str()))
    });
    signed.take(LOOKED_AT)
}

/// What a signature was made over, as far as there is room for it.
async fn payload(
    client: &Client,
    place: &Reference,
    layer: &OciDescriptor,
) -> Result<Result<Vec<u8>, Flaw>, NoSigner> {
    let mut room = vec![0; PAYLOAD];
    let mut into = Cursor::new(room.as_mut_slice());
    // Without the layer's own addresses: who writes a manifest must not choose whom the operator asks.
    let layer = LayerDescriptor {
        digest: &layer.digest,
        urls: &None,
    };
    let pulled = client.pull_blob(place, &layer, &mut into).await;
    let length = usize::try_from(into.position()).unwrap_or_default();
    match pulled {
        Ok(()) => {
            room.truncate(length);
            Ok(Ok(room))
        }
        Err(OciDistributionError::DigestError(_)) => Ok(Err(Flaw::PayloadChanged)),
        Err(OciDistributionError::IoError(_)) if length == PAYLOAD => Ok(Err(Flaw::TooLarge)),
        Err(error) => Err(NoSigner::Trouble(error)),
    }
}

fn count(signatures: usize) -> String {
    match signatures {
        1 => "1 signature".to_owned(),
        more => format!("{more} signatures"),
    }
}

#[cfg(test)]
mod tests;
