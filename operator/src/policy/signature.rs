//! Judges one signature of an image, as cosign makes it with a key.
//!
//! In: public keys, and what a registry holds as a signature of a digest. Out: which key made it, or why it does not count. Must not trust anything of what
//! the registry says, least of all its claim which image a signature belongs to; must not ask anybody.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use sigstore_crypto::{SigningScheme, VerificationKey, validate_raw_public_key};
use sigstore_types::{DerPublicKey, SignatureBytes};

mod provider;

/// Names this kind of payload; a key may have signed other things too.
const KIND: &str = "cosign container image signature";
/// Characters of a key's hash that stand for it.
const FINGERPRINT: usize = 16;

/// A file of public keys that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is none.
    #[error(
        "holds no PUBLIC KEY in PEM: give it the cosign.pub that cosign generate-key-pair wrote"
    )]
    NoKey,
    /// There is something else in it, which would be left out.
    #[error(
        "holds a section {label}, and only PUBLIC KEY can be used: give it no other; openssl pkey -pubin -pubout makes it of other forms of a public key, cosign public-key --key prints that of a private one"
    )]
    OtherSection {
        /// What it is called.
        label: String,
    },
    /// One of them is of another kind, or damaged.
    #[error(
        "public key {number} cannot be used ({reason}): give one of ECDSA on P-256 or P-384, or of RSA with 2048 to 8192 bits; cosign generate-key-pair makes such a key"
    )]
    Unusable {
        /// Its place in the file, from 1.
        number: usize,
        /// Why.
        reason: String,
    },
}

/// Why a signature does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The payload was changed after the manifest was written.
    #[error("its payload is not the one that its manifest names")]
    PayloadChanged,
    /// It is larger than any payload of cosign.
    #[error("its payload is too large")]
    TooLarge,
    /// Not base64.
    #[error("it cannot be read")]
    Unreadable,
    /// No key that counts made it for this payload.
    #[error("it was not made with the operator's key for this payload")]
    OtherKey,
    /// The payload is not cosign's.
    #[error("its payload is not of the form that cosign writes with a key")]
    OtherForm,
    /// A good signature, of another image.
    #[error("it was made for another image")]
    OtherImage,
}

/// Public keys, any of which may have signed.
#[derive(Clone, Debug)]
pub struct SignatureKeys(Arc<[Key]>);

struct Key {
    fingerprint: String,
    /// By each scheme that a signature with it may have.
    verifiers: Vec<VerificationKey>,
}

/// A signature as a registry holds it.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// What was signed.
    pub payload: &'a [u8],
    /// The digest under which the payload was asked for.
    pub payload_digest: &'a str,
    /// The signature in base64.
    pub signature: &'a str,
}

impl SignatureKeys {
    /// Reads one key or more from PEM.
    ///
    /// # Errors
    /// When there is none, or one of them cannot be used: a key is never left out.
    pub fn parse(pem: &[u8]) -> Result<Self, Error> {
        provider::install();
        let blocks = SubjectPublicKeyInfoDer::pem_slice_iter(pem).enumerate();
        let keys = blocks.map(|(place, block)| {
            let key = block.map_err(|error| error.to_string());
            let key = key.and_then(|der| Key::read(&der).map_err(|error| error.to_string()));
            key.map_err(|reason| Error::Unusable {
                number: place + 1,
                reason,
            })
        });
        let keys: Vec<_> = keys.collect::<Result<_, _>>()?;
        match other_section(pem) {
            Some(label) => Err(Error::OtherSection { label }),
            None if keys.is_empty() => Err(Error::NoKey),
            None => Ok(Self(keys.into())),
        }
    }

    /// What stands for each key: the beginning of the SHA-256 of its DER form, in hexadecimal.
    pub fn fingerprints(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|key| key.fingerprint.as_str())
    }

    /// Whether a fingerprint is that of one of the keys.
    pub fn has(&self, fingerprint: &str) -> bool {
        self.fingerprints().any(|own| own == fingerprint)
    }

    /// The fingerprint of the key that signed exactly the image of `digest`.
    ///
    /// # Errors
    /// Why the signature does not count.
    pub fn signer(&self, claim: &Claim<'_>, digest: &str) -> Result<&str, Flaw> {
        let is = format!("sha256:{}", hex(&Sha256::digest(claim.payload)));
        if is != claim.payload_digest {
            return Err(Flaw::PayloadChanged);
        }
        let signature = SignatureBytes::from_base64(claim.signature.trim());
        let signature = signature.map_err(|_| Flaw::Unreadable)?;
        let mut keys = self.0.iter();
        let signer = keys
            .find(|key| key.has_signed(claim.payload, &signature))
            .ok_or(Flaw::OtherKey)?;
        // Read only now: until here anybody may have written it.
        let signed: Payload = serde_json::from_slice(claim.payload).map_err(|_| Flaw::OtherForm)?;
        if signed.critical.kind != KIND {
            return Err(Flaw::OtherForm);
        }
        match signed.critical.image.digest == digest {
            true => Ok(&signer.fingerprint),
            false => Err(Flaw::OtherImage),
        }
    }
}

/// The name of the first section that is no public key; the reader of PEM passes over those that it does not know.
fn other_section(pem: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(pem);
    let begins = text.lines().filter_map(|line| {
        let label = line.trim().strip_prefix("-----BEGIN ")?;
        Some(label.trim_end_matches('-'))
    });
    let mut others = begins.filter(|label| *label != "PUBLIC KEY");
    others.next().map(str::to_owned)
}

impl Key {
    fn read(der: &[u8]) -> sigstore_crypto::Result<Self> {
        let spki = DerPublicKey::from_bytes(der);
        let usual = VerificationKey::from_spki(&spki)?;
        let scheme = usual.scheme();
        validate_raw_public_key(scheme, usual.as_bytes())?;
        provider::knows(scheme, usual.as_bytes())?;
        let mut verifiers = vec![usual];
        // cosign signs over SHA-256 with this curve too.
        if scheme == SigningScheme::EcdsaP384Sha384 {
            let older = SigningScheme::EcdsaP384Sha256;
            verifiers.push(VerificationKey::from_spki_with_scheme(&spki, older)?);
        }
        let mut fingerprint = hex(&Sha256::digest(der));
        fingerprint.truncate(FINGERPRINT);
        Ok(Self {
            fingerprint,
            verifiers,
        })
    }

    fn has_signed(&self, payload: &[u8], signature: &SignatureBytes) -> bool {
        let mut all = self.verifiers.iter();
        all.any(|verifier| verifier.verify(payload, signature).is_ok())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fingerprint)
    }
}

/// The part of a simple signing payload that counts.
#[derive(Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    image: SignedImage,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct SignedImage {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
pub mod tests;
