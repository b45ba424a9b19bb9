//! Makes short-lived tokens, for the test suites and the load generator. The serving process never signs anything.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, HeaderValue, header};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{AUDIENCE, Verifier};

/// Why no tokens can be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No private key.
    #[error("CRM_SIGNING_KEY is not set: give the platform's Ed25519 private key (PKCS#8 PEM)")]
    Missing,
    /// The PEM is no such key.
    #[error("CRM_SIGNING_KEY is not an Ed25519 private key in PKCS#8 PEM")]
    Malformed(#[source] jsonwebtoken::errors::Error),
    /// No key set to take the key id from.
    #[error("the key id of CRM_SIGNING_KEY is unknown")]
    KeySet(#[source] super::Error),
    /// The services would refuse every token.
    #[error("CRM_JWKS has no key that belongs to CRM_SIGNING_KEY: give both of the same platform")]
    Stranger,
}

/// Signs tokens with the platform's key.
#[derive(Clone)]
pub struct Mint {
    key: EncodingKey,
    key_id: String,
}

impl Mint {
    /// Reads `CRM_SIGNING_KEY`, and `CRM_JWKS` for the id of that key.
    ///
    /// # Errors
    /// One of them is absent or unreadable, or they do not belong together.
    pub fn from_environment() -> Result<Mint, Error> {
        let pem = std::env::var("CRM_SIGNING_KEY").map_err(|_| Error::Missing)?;
        Self::new(&pem, &Verifier::from_environment().map_err(Error::KeySet)?)
    }

    /// Joins a private key with the public key set that has its public part.
    ///
    /// # Errors
    /// The key is unreadable, or the set does not have it.
    pub fn new(pem: &str, verifier: &Verifier) -> Result<Mint, Error> {
        let key = EncodingKey::from_ed_pem(pem.as_bytes()).map_err(Error::Malformed)?;
        // During a rotation the set has several keys: the right one is the one that accepts what this key signs.
        for key_id in verifier.keys.keys() {
            let mint = Mint {
                key: key.clone(),
                key_id: key_id.clone(),
            };
            if verifier
                .principal(&mint.header(&mint.token("probe", &["readonly"], None)))
                .is_ok()
            {
                return Ok(mint);
            }
        }
        Err(Error::Stranger)
    }

    /// A token of five minutes.
    pub fn token(&self, subject: &str, roles: &[&str], run: Option<Uuid>) -> String {
        let now = seconds();
        let mut claims =
            json!({"aud": AUDIENCE, "sub": subject, "roles": roles, "iat": now, "exp": now + 300});
        if let Some(run) = run {
            claims["run"] = json!(run);
        }
        self.sign(&claims)
    }

    /// A token with any claims, for tests of what must be refused.
    pub fn sign(&self, claims: &Value) -> String {
        let header = Header {
            kid: Some(self.key_id.clone()),
            ..Header::new(Algorithm::EdDSA)
        };
        encode(&header, claims, &self.key).expect("a readable Ed25519 key signs any JSON")
    }

    fn header(&self, token: &str) -> HeaderMap {
        let value =
            HeaderValue::from_str(&format!("Bearer {token}")).expect("a token is plain ASCII");
        HeaderMap::from_iter([(header::AUTHORIZATION, value)])
    }
}

/// Seconds since 1970.
pub fn seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs()
}
