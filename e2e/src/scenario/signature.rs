//! Signs images as `cosign sign --key` does. In: an image in a registry. Out: its signature, under the tag where cosign puts it. The key is a new one each time,
//! so that what an earlier run has signed does not count.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use p256::SecretKey;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::{EncodePublicKey, LineEnding};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::digest;
use crate::{command, paths};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Somebody with a key.
pub struct Signer(SigningKey);

impl Signer {
    /// A signer with a key of its own.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn new() -> Result<Self> {
        let mut bytes = [0; 32];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        // One in four billion is no key.
        let key = SecretKey::from_slice(&bytes).ok();
        let key = key.context("the random bytes are no key: run again")?;
        Ok(Self(SigningKey::from(key)))
    }

    /// The public key in PEM.
    pub fn public_key(&self) -> String {
        let key = self.0.verifying_key();
        key.to_public_key_pem(LineEnding::LF)
            .expect("every public key has a PEM form")
    }

    /// Signs the image that a tag stands for now. What signatures the image had are replaced.
    ///
    /// # Errors
    /// When the registry does not have it, or does not take the signature.
    pub fn sign(&self, image: &str) -> Result<()> {
        let digest = digest(image)?;
        let (repository, _) = image.rsplit_once(':').context("the image has a tag")?;
        let payload = json!({
            "critical": {
                "identity": { "docker-reference": repository },
                "image": { "docker-manifest-digest": digest },
                "type": "cosign container image signature",
            },
            "optional": null,
        })
        .to_string();
        let signature: Signature = self.0.sign(payload.as_bytes());
        let signature = STANDARD.encode(signature.to_der());
        let folder = paths::state("images").join("signature.stage");
        fs::remove_dir_all(&folder).ok();
        lay_out(&folder, payload.as_bytes(), &signature)?;
        let tag = digest.replacen(':', "-", 1);
        let mut crane = command::within(60, paths::tool("crane"));
        crane.args(["push", "--insecure"]).arg(&folder);
        command::output(crane.arg(format!("{repository}:{tag}.sig")))?;
        fs::remove_dir_all(folder)?;
        Ok(())
    }
}

/// An OCI layout whose one image is the signature.
fn lay_out(folder: &Path, payload: &[u8], signature: &str) -> Result<()> {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let blob = |media_type: &str, content: &[u8]| -> Result<Value> {
        let hash = format!("{:x}", Sha256::digest(content));
        fs::write(blobs.join(&hash), content)?;
        let (digest, size) = (format!("sha256:{hash}"), content.len());
        Ok(json!({ "mediaType": media_type, "digest": digest, "size": size }))
    };
    let mut layer = blob("application/vnd.dev.cosign.simplesigning.v1+json", payload)?;
    let root = json!({ "type": "layers", "diff_ids": [layer["digest"]] });
    let config = json!({ "architecture": "", "os": "", "config": {}, "rootfs": root }).to_string();
    let config = blob(
        "application/vnd.oci.image.config.v1+json",
        config.as_bytes(),
    )?;
    layer["annotations"] = json!({ "dev.cosignproject.cosign/signature": signature });
    let manifest =
        json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer] });
    let manifest = blob(MANIFEST, manifest.to_string().as_bytes())?;
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    fs::write(folder.join("index.json"), index.to_string())?;
    fs::write(
        folder.join("oci-layout"),
        json!({ "imageLayoutVersion": "1.0.0" }).to_string(),
    )?;
    Ok(())
}
