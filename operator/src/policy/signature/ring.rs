//! What sigstore asks of a cryptographic library, answered by ring, the one that the operator has anyway; sigstore's own would be aws-lc-rs (see `deny.toml`).
//!
//! In: a public key, a message and its signature. Out: whether the one made the other. Must not decide which keys or schemes count: sigstore does.

use ring::agreement::{self, EphemeralPrivateKey};
use ring::rand::SystemRandom;
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use sigstore_crypto::{
    CryptoProvider, Error, HashContext, Result, SigningScheme, install_default_provider,
};
use sigstore_types::HashAlgorithm;

#[derive(Debug)]
struct Ring;

/// Makes sigstore ask ring; once is enough, and more does no harm.
pub(super) fn install() {
    // Refused only when it was done before.
    install_default_provider(&Ring).ok();
}

/// Whether a key can verify anything by a scheme. A curve is asked about its point, which the check of a signature would only say of each signature.
pub(super) fn can_verify(scheme: SigningScheme, key: &[u8]) -> Result<()> {
    verifier(scheme)?;
    let curve = match scheme {
        SigningScheme::EcdsaP256Sha256 => &agreement::ECDH_P256,
        SigningScheme::EcdsaP384Sha384 => &agreement::ECDH_P384,
        SigningScheme::Ed25519 if key.len() != signature::ED25519_PUBLIC_KEY_LEN => {
            return Err(Error::InvalidKey("it has not the length of one".to_owned()));
        }
        _ => return Ok(()),
    };
    let other = agreement::UnparsedPublicKey::new(curve, key);
    EphemeralPrivateKey::generate(curve, &SystemRandom::new())
        .and_then(|own| agreement::agree_ephemeral(own, &other, |_| ()))
        .map_err(|_| Error::InvalidKey("it is no point of its curve".to_owned()))
}

impl CryptoProvider for Ring {
    fn verify_raw(
        &self,
        scheme: SigningScheme,
        key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<()> {
        let key = UnparsedPublicKey::new(verifier(scheme)?, key);
        key.verify(message, signature)
            .map_err(|_| Error::Verification("the signature is of something else".to_owned()))
    }

    // The signature of an image is over its payload, which is small, and never over a digest of it.
    fn verify_prehashed(
        &self,
        scheme: SigningScheme,
        _key: &[u8],
        _digest: &[u8],
        _signature: &[u8],
    ) -> Result<()> {
        let why = format!("{scheme:?} over a digest");
        Err(Error::UnsupportedAlgorithm(why))
    }

    fn hash(&self, algorithm: HashAlgorithm) -> Result<Box<dyn HashContext>> {
        let why = format!("{algorithm:?} by itself");
        Err(Error::UnsupportedAlgorithm(why))
    }
}

/// What ring calls a scheme.
fn verifier(scheme: SigningScheme) -> Result<&'static dyn VerificationAlgorithm> {
    match scheme {
        SigningScheme::EcdsaP256Sha256 => Ok(&signature::ECDSA_P256_SHA256_ASN1),
        SigningScheme::EcdsaP384Sha256 => Ok(&signature::ECDSA_P384_SHA256_ASN1),
        SigningScheme::EcdsaP384Sha384 => Ok(&signature::ECDSA_P384_SHA384_ASN1),
        SigningScheme::Ed25519 => Ok(&signature::ED25519),
        SigningScheme::RsaPkcs1Sha256 => Ok(&signature::RSA_PKCS1_2048_8192_SHA256),
        other => Err(Error::UnsupportedAlgorithm(format!("{other:?}"))),
    }
}
