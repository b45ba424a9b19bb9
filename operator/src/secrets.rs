//! Generated content of Secrets: passwords, and the key pair with which a platform's tests sign tokens.
//!
//! In: a recipe of the plan. Out: a whole Secret. Its content appears in no log, no status and no error. Made here and not in the plan, because a plan
//! must give the same answer twice.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;
use kube::{Resource, ResourceExt};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::json;

use crate::api::CrmPlatform;
use crate::desired::labels;
use crate::plan::action::{SecretContent, SecretRecipe};

const PASSWORD_LENGTH: usize = 32;
const ALPHANUMERIC: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// What precedes the 32 bytes of an Ed25519 seed in PKCS#8 version 1 (RFC 8410), the form that every library reads.
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// No random content could be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system gave no random bytes.
    #[error("the system's random source failed")]
    Random,
    /// The key was refused by the library that made it.
    #[error("a fresh Ed25519 key was refused")]
    Key,
}

/// A whole Secret with fresh content.
///
/// # Errors
/// When the system's random source fails.
pub fn secret(owner: &CrmPlatform, recipe: &SecretRecipe) -> Result<Secret, Error> {
    let mut content: BTreeMap<String, String> = recipe.plain.iter().cloned().collect();
    match recipe.content {
        SecretContent::Identity => content.extend(identity()?),
        SecretContent::Password => content.extend([("password".to_owned(), password()?)]),
        SecretContent::Passwords => content.extend([
            ("password".to_owned(), password()?),
            ("superuser-password".to_owned(), password()?),
        ]),
    }
    let name = owner.name_any();
    let (owner_references, labels) = if recipe.owned {
        let owner = owner.controller_owner_ref(&());
        (owner.map(|owner| vec![owner]), labels::platform(&name))
    } else {
        (None, labels::lasting(&name))
    };
    let labels = labels
        .into_iter()
        .filter_map(|(key, value)| Some((key, value.as_str()?.to_owned())))
        .collect();
    Ok(Secret {
        metadata: ObjectMeta {
            name: Some(recipe.name.clone()),
            namespace: owner.namespace(),
            labels: Some(labels),
            owner_references,
            ..ObjectMeta::default()
        },
        string_data: Some(content),
        ..Secret::default()
    })
}

fn password() -> Result<String, Error> {
    let random = SystemRandom::new();
    let mut password = String::with_capacity(PASSWORD_LENGTH);
    let mut bytes = [0_u8; PASSWORD_LENGTH];
    while password.len() < PASSWORD_LENGTH {
        random.fill(&mut bytes).map_err(|_| Error::Random)?;
        // 248 is the largest multiple of 62 in a byte: the rest would make some letters likelier.
        let letters = bytes
            .iter()
            .filter(|byte| **byte < 248)
            .map(|byte| char::from(ALPHANUMERIC[usize::from(byte % 62)]));
        password.extend(letters.take(PASSWORD_LENGTH - password.len()));
    }
    Ok(password)
}

fn identity() -> Result<[(String, String); 2], Error> {
    let mut seed = [0_u8; 32];
    SystemRandom::new()
        .fill(&mut seed)
        .map_err(|_| Error::Random)?;
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| Error::Key)?;
    let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    // Thumbprint of RFC 7638: exactly these members, in this order.
    let thumbprint = digest(
        &SHA256,
        format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#).as_bytes(),
    );
    let kid = URL_SAFE_NO_PAD.encode(thumbprint);
    let jwks = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "alg": "EdDSA", "use": "sig" }] });
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode([&PKCS8_PREFIX[..], &seed[..]].concat())
    );
    Ok([
        ("signing-key.pem".to_owned(), pem),
        ("jwks.json".to_owned(), jwks.to_string()),
    ])
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use ring::signature::{ED25519, UnparsedPublicKey};
    use serde_json::Value;

    use super::*;

    #[test]
    fn what_the_private_key_signs_the_published_key_verifies() {
        let content: BTreeMap<String, String> = identity().unwrap().into_iter().collect();
        let pem = content["signing-key.pem"].lines().nth(1).unwrap();
        let pair =
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(&STANDARD.decode(pem).unwrap()).unwrap();
        let jwks: Value = serde_json::from_str(&content["jwks.json"]).unwrap();
        let x = URL_SAFE_NO_PAD
            .decode(jwks["keys"][0]["x"].as_str().unwrap())
            .unwrap();
        UnparsedPublicKey::new(&ED25519, x)
            .verify(b"token", pair.sign(b"token").as_ref())
            .unwrap();
        assert_eq!(jwks["keys"][0]["kid"].as_str().unwrap().len(), 43);
    }

    #[test]
    fn passwords_are_long_plain_and_never_the_same() {
        let passwords: HashSet<_> = (0..100).map(|_| password().unwrap()).collect();
        assert_eq!(passwords.len(), 100);
        assert!(passwords.iter().all(|password| password.len() == 32
            && password.bytes().all(|byte| byte.is_ascii_alphanumeric())));
        let letters: HashSet<_> = passwords
            .iter()
            .flat_map(|password| password.bytes())
            .collect();
        assert_eq!(letters.len(), 62, "every letter and digit occurs");
    }

    #[test]
    fn a_secret_that_outlives_its_platform_has_no_owner() {
        let owner: CrmPlatform = serde_json::from_value(json!({
            "apiVersion": "crmplatform.io/v1alpha1", "kind": "CrmPlatform",
            "metadata": { "name": "acme", "namespace": "crm", "uid": "u1" },
            "spec": { "services": [], "database": {} },
        }))
        .unwrap();
        let recipe = |owned| SecretRecipe {
            name: "acme-db".into(),
            content: SecretContent::Passwords,
            plain: vec![("host".into(), "acme-postgres".into())],
            owned,
        };
        let kept = secret(&owner, &recipe(false)).unwrap();
        assert_eq!(kept.metadata.owner_references, None);
        assert_eq!(kept.metadata.labels.unwrap()[labels::PLATFORM], "acme");
        let content = kept.string_data.unwrap();
        assert_eq!(content["host"], "acme-postgres");
        assert_ne!(content["password"], content["superuser-password"]);
        assert_eq!(
            secret(&owner, &recipe(true))
                .unwrap()
                .metadata
                .owner_references
                .unwrap()[0]
                .uid,
            "u1"
        );
    }
}
