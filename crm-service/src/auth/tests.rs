//! Which tokens are let in.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::mint::{Mint, seconds};
use super::*;

/// A private key and its public part, as the operator makes them; only for these tests.
fn pair(key_id: &str) -> (String, Value) {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use ring::signature::KeyPair as _;
    let document =
        ring::signature::Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap();
    let key = ring::signature::Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(document.as_ref())
    );
    let public = URL_SAFE_NO_PAD.encode(key.public_key().as_ref());
    (
        pem,
        json!({"kty": "OKP", "crv": "Ed25519", "kid": key_id, "alg": "EdDSA", "use": "sig", "x": public}),
    )
}

fn platform() -> (Verifier, Mint) {
    let (pem, jwk) = pair("one");
    let (_, other) = pair("two");
    let verifier = Verifier::from_json(&json!({"keys": [other, jwk]}).to_string()).unwrap();
    let mint = Mint::new(&pem, &verifier).unwrap();
    (verifier, mint)
}

fn ask(verifier: &Verifier, token: &str) -> Result<Principal, Problem> {
    let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    verifier.principal(&HeaderMap::from_iter([(header::AUTHORIZATION, value)]))
}

#[test]
fn a_token_of_the_platform_is_let_in_with_its_greatest_role() {
    let (verifier, mint) = platform();
    let principal = ask(
        &verifier,
        &mint.token("ada", &["readonly", "manager"], None),
    )
    .unwrap();
    assert_eq!(
        (principal.subject.as_str(), principal.right, principal.run),
        ("ada", Right::Configure, Uuid::nil())
    );
}

#[test]
fn a_test_token_stays_in_its_run_even_with_other_roles() {
    let (verifier, mint) = platform();
    let run = Uuid::now_v7();
    assert_eq!(
        ask(&verifier, &mint.token("t", &["admin", "test"], Some(run)))
            .unwrap()
            .run,
        run
    );
    assert_eq!(
        ask(&verifier, &mint.token("t", &["test"], None))
            .unwrap_err()
            .status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        ask(&verifier, &mint.token("t", &["test"], Some(Uuid::nil())))
            .unwrap_err()
            .status,
        StatusCode::FORBIDDEN
    );
    // A run in another role's token means nothing: real callers see real rows.
    assert_eq!(
        ask(&verifier, &mint.token("t", &["rep"], Some(run)))
            .unwrap()
            .run,
        Uuid::nil()
    );
}

#[test]
fn what_is_not_a_valid_token_is_unauthorized() {
    let (verifier, mint) = platform();
    let now = seconds();
    let (foreign, jwk) = pair("one");
    let foreign = Mint::new(
        &foreign,
        &Verifier::from_json(&json!({"keys": [jwk]}).to_string()).unwrap(),
    )
    .unwrap();
    let good = json!({"aud": "crm", "sub": "ada", "roles": ["rep"], "exp": now + 60});
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        mint.sign(&claims)
    };
    let without = |name: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(name);
        mint.sign(&claims)
    };
    assert!(ask(&verifier, &mint.sign(&good)).is_ok());
    let unsigned = format!(
        "{}.{}.",
        "eyJhbGciOiJub25lIiwia2lkIjoib25lIn0", "eyJzdWIiOiJhIn0"
    );
    let cases = [
        ("expired", with("exp", json!(now - 60))),
        ("wrong audience", with("aud", json!("other"))),
        ("not yet valid", with("nbf", json!(now + 600))),
        ("without expiry", without("exp")),
        ("without audience", without("aud")),
        ("without subject", without("sub")),
        ("empty subject", with("sub", json!(" "))),
        ("signed by a stranger with our key id", foreign.sign(&good)),
        ("unsigned", unsigned),
        ("nonsense", "nonsense".to_owned()),
    ];
    for (case, token) in cases {
        assert_eq!(
            ask(&verifier, &token).unwrap_err().status,
            StatusCode::UNAUTHORIZED,
            "{case}"
        );
    }
    assert_eq!(
        verifier.principal(&HeaderMap::new()).unwrap_err().status,
        StatusCode::UNAUTHORIZED
    );
}

#[test]
fn a_token_without_a_role_of_ours_is_forbidden() {
    let (verifier, mint) = platform();
    for roles in [&[][..], &["superuser"][..]] {
        assert_eq!(
            ask(&verifier, &mint.token("ada", roles, None))
                .unwrap_err()
                .status,
            StatusCode::FORBIDDEN
        );
    }
}

#[test]
fn a_shared_secret_can_not_stand_in_for_a_public_key() {
    let symmetric = json!({"keys": [{"kty": "oct", "kid": "one", "k": "c2VjcmV0"}]});
    assert!(matches!(
        Verifier::from_json(&symmetric.to_string()),
        Err(Error::Empty)
    ));
}

#[test]
fn a_private_key_of_another_platform_is_refused_at_once() {
    let (verifier, _) = platform();
    let (pem, _) = pair("one");
    assert!(matches!(
        Mint::new(&pem, &verifier),
        Err(mint::Error::Stranger)
    ));
}
