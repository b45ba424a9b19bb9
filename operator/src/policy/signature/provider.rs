//! What sigstore asks of a cryptographic library, answered by ring, the one that the operator has anyway; sigstore's own would be aws-lc-rs (see `deny.toml`).
//!
//! In: a public key, a message and its signature. Out: whether the one made the other. Schemes that ring or cosign's signatures of images do not have are refused.
//! Must not read a key: sigstore does.

use ring::agreement::{self, EphemeralPrivateKey};
use ring::digest;
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

/// Whether signatures of a scheme can be checked, and whether the key of a curve is a point of it: the check of a signature would not tell the two apart.
pub(super) fn knows(scheme: SigningScheme, key: &[u8]) -> Result<()> {
    verifier(scheme)?;
    let curve = match scheme {
        SigningScheme::EcdsaP256Sha256 => &agreement::ECDH_P256,
        SigningScheme::EcdsaP384Sha384 => &agreement::ECDH_P384,
        _ => return Ok(()),
    };
    let key = agreement::UnparsedPublicKey::new(curve, key);
    // ring looks at a point only for who wants to agree with it.
    EphemeralPrivateKey::generate(curve, &SystemRandom::new())
        .and_then(|own| agreement::agree_ephemeral(own, &key, |_| ()))
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
        let algorithm = match algorithm {
            HashAlgorithm::Sha2256 => &digest::SHA256,
            HashAlgorithm::Sha2384 => &digest::SHA384,
            HashAlgorithm::Sha2512 => &digest::SHA512,
            other => return Err(Error::UnsupportedAlgorithm(other.to_string())),
        };
        Ok(Box::new(Hash(digest::Context::new(algorithm))))
    }
}

struct Hash(digest::Context);

impl HashContext for Hash {
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn finalize(self: Box<Self>) -> Vec<u8> {
        self.0.finish().as_ref().to_vec()
    }
}

/// What ring calls a scheme. Not that of Ed25519: newer versions of cosign sign a digest with such a key, which ring does not know.
fn verifier(scheme: SigningScheme) -> Result<&'static dyn VerificationAlgorithm> {
    match scheme {
        SigningScheme::EcdsaP256Sha256 => Ok(&signature::ECDSA_P256_SHA256_ASN1),
        SigningScheme::EcdsaP384Sha256 => Ok(&signature::ECDSA_P384_SHA256_ASN1),
        SigningScheme::EcdsaP384Sha384 => Ok(&signature::ECDSA_P384_SHA384_ASN1),
        SigningScheme::RsaPkcs1Sha256 => Ok(&signature::RSA_PKCS1_2048_8192_SHA256),
        other => Err(Error::UnsupportedAlgorithm(format!("{other:?}"))),
    }
}
