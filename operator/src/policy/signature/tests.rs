//! Signatures, good and bad; and a signer that other tests borrow.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use p256::SecretKey;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::{EncodePublicKey, LineEnding};

use super::*;

mod kinds;

const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const OTHER: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

const P256: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE6pPRcRdI2KjrpF1Nko8nEsZtVN7Z
k2KMtYg5wH6J8MP6jMYvENIXvBN478eCjxpUr180R6ycqmaSaabNGzp6Zw==
-----END PUBLIC KEY-----
";

/// Signs as cosign does.
pub struct Signer(SigningKey);

impl Signer {
    /// A signer whose key is made of one byte.
    pub fn new(seed: u8) -> Self {
        Self(SigningKey::from(
            SecretKey::from_slice(&[seed; 32]).unwrap(),
        ))
    }

    /// Its public key in PEM.
    pub fn public_key(&self) -> String {
        let key = self.0.verifying_key();
        key.to_public_key_pem(LineEnding::LF).unwrap()
    }

    /// The keys of an operator that trusts only this one.
    pub fn keys(&self) -> SignatureKeys {
        SignatureKeys::parse(self.public_key().as_bytes()).unwrap()
    }

    /// A signature in base64.
    pub fn sign(&self, payload: &[u8]) -> String {
        let signature: Signature = self.0.sign(payload);
        STANDARD.encode(signature.to_der())
    }
}

/// What cosign signs for the image of `digest`.
pub fn payload(digest: &str) -> String {
    payload_of(KIND, digest)
}

/// The digest of some bytes.
pub fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

fn payload_of(kind: &str, digest: &str) -> String {
    format!(
        r#"{{"critical":{{"identity":{{"docker-reference":"registry.example/crm"}},"image":{{"docker-manifest-digest":"{digest}"}},"type":"{kind}"}},"optional":null}}"#
    )
}

/// What `keys` say of a payload that `signer` signed, asked for the image of [`DIGEST`].
fn judge(keys: &SignatureKeys, signer: &Signer, payload: &str) -> Result<String, Flaw> {
    let claim = Claim {
        payload: payload.as_bytes(),
        payload_digest: &digest_of(payload.as_bytes()),
        signature: &signer.sign(payload.as_bytes()),
    };
    keys.signer(&claim, DIGEST).map(str::to_owned)
}

#[test]
fn a_signature_of_the_image_by_the_key_counts() {
    let signer = Signer::new(1);
    let keys = signer.keys();
    let fingerprint = keys.fingerprints().next().unwrap().to_owned();
    assert_eq!(judge(&keys, &signer, &payload(DIGEST)), Ok(fingerprint));
}

/// `openssl dgst -sha256 -sign` over this payload, and the fingerprint that `sha256sum` gives for the key's DER form.
#[test]
fn a_signature_that_another_program_made_counts() {
    let payload = payload(DIGEST);
    let claim = Claim {
        payload: payload.as_bytes(),
        payload_digest: "sha256:6b3a4aa6d1b2393cafa8cb1ca28acd630482a512b86d4651f95aaae0750626ce",
        signature: "MEUCIENht6RRG7hOqLV7pILJHWO0EPfymtBoF5GGBpYWul08AiEAs6yCOSnnZbZ4JbTSq1m5Gaz5z+04ynRQ7ZcnCtx2Chk=",
    };
    let keys = SignatureKeys::parse(P256.as_bytes()).unwrap();
    assert_eq!(keys.signer(&claim, DIGEST), Ok("942e0e9a5e6c8b10"));
}

#[test]
fn a_signature_of_another_image_does_not_count() {
    let signer = Signer::new(1);
    let judged = judge(&signer.keys(), &signer, &payload(OTHER));
    assert_eq!(judged, Err(Flaw::OtherImage));
}

#[test]
fn a_signature_by_another_key_does_not_count() {
    let judged = judge(&Signer::new(1).keys(), &Signer::new(2), &payload(DIGEST));
    assert_eq!(judged, Err(Flaw::OtherKey));
}

/// The digest in it is right, and so is the digest of the whole: only the signature is of something else.
#[test]
fn a_payload_that_was_exchanged_together_with_its_digest_does_not_count() {
    let signer = Signer::new(1);
    let payload = payload(DIGEST);
    let claim = Claim {
        payload: payload.as_bytes(),
        payload_digest: &digest_of(payload.as_bytes()),
        signature: &signer.sign(payload_of(KIND, OTHER).as_bytes()),
    };
    assert_eq!(signer.keys().signer(&claim, DIGEST), Err(Flaw::OtherKey));
}

#[test]
fn a_payload_that_its_manifest_does_not_name_does_not_count() {
    let signer = Signer::new(1);
    let payload = payload(DIGEST);
    let claim = Claim {
        payload: payload.as_bytes(),
        payload_digest: OTHER,
        signature: &signer.sign(payload.as_bytes()),
    };
    assert_eq!(
        signer.keys().signer(&claim, DIGEST),
        Err(Flaw::PayloadChanged)
    );
}

#[test]
fn what_cannot_be_read_does_not_count() {
    let signer = Signer::new(1);
    for signature in ["?", "A", "AAAA===="] {
        let payload = payload(DIGEST);
        let claim = Claim {
            payload: payload.as_bytes(),
            payload_digest: &digest_of(payload.as_bytes()),
            signature,
        };
        let keys = signer.keys();
        let judged = keys.signer(&claim, DIGEST);
        assert_eq!(judged, Err(Flaw::Unreadable), "{signature:?}");
    }
}

/// The same key may have signed other things that name the digest.
#[test]
fn a_signed_statement_of_another_kind_does_not_count() {
    let signer = Signer::new(1);
    for payload in [payload_of("a report about it", DIGEST), DIGEST.to_owned()] {
        let judged = judge(&signer.keys(), &signer, &payload);
        assert_eq!(judged, Err(Flaw::OtherForm), "{payload}");
    }
}

#[test]
fn any_of_several_keys_may_have_signed() {
    let (old, new) = (Signer::new(1), Signer::new(2));
    let file = format!("{}{}", old.public_key(), new.public_key());
    let keys = SignatureKeys::parse(file.as_bytes()).unwrap();
    for signer in [old, new] {
        let own = signer.keys();
        let signed_by = judge(&keys, &signer, &payload(DIGEST)).unwrap();
        assert!(own.has(&signed_by) && keys.has(&signed_by));
    }
}

#[test]
fn a_file_is_refused_whole_when_one_key_cannot_be_used() {
    let good = Signer::new(1).public_key();
    let of_p224 = "-----BEGIN PUBLIC KEY-----
ME4wEAYHKoZIzj0CAQYFK4EEACEDOgAE0No2vlOWncSnlPKsucvU5+teJfM1l0t4
SNURbNoYNZqgg7Fqyhz3XLaIOl6gSHYyTuHQjyPYWwc=
-----END PUBLIC KEY-----
";
    let damaged = good.replacen('M', "?", 1);
    let cut = good.replace("-----END PUBLIC KEY-----\n", "");
    for bad in [of_p224.to_owned(), damaged, cut] {
        let error = SignatureKeys::parse(format!("{good}{bad}").as_bytes()).unwrap_err();
        assert!(
            matches!(error, Error::Unusable { number: 2, .. }),
            "{bad}: {error}"
        );
    }
    for none in ["", "cosign.pub"] {
        let error = SignatureKeys::parse(none.as_bytes());
        assert!(matches!(error, Err(Error::NoKey)), "{none}");
    }
    for label in [
        "ENCRYPTED SIGSTORE PRIVATE KEY",
        "RSA PUBLIC KEY",
        "CERTIFICATE",
    ] {
        let other = format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
        for file in [format!("{good}{other}"), other] {
            let error = SignatureKeys::parse(file.as_bytes()).unwrap_err();
            let label = label.to_owned();
            assert_eq!(error, Error::OtherSection { label }, "{file}");
        }
    }
}
