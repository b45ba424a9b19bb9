//! Every kind of key that counts, and some that do not. What is signed here cosign 2.5.3 has signed, with a key of its own and with keys that it imported, by
//! `cosign sign --key ... --tlog-upload=false` against a registry.

use super::*;

const IMAGE: &str = "sha256:c75b45aa88ea4eefd0e503a6a8820d2565db21b2dc6e51365710de261291114e";
const PAYLOAD: &str = r#"{"critical":{"identity":{"docker-reference":"127.0.0.1:5999/crm"},"image":{"docker-manifest-digest":"sha256:c75b45aa88ea4eefd0e503a6a8820d2565db21b2dc6e51365710de261291114e"},"type":"cosign container image signature"},"optional":null}"#;

const COSIGN: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE7V+jp0op4rO52dUrOw61sMrXrByQ
H+KAZoo+9jjbQAtrB4+ovhpzNLwPI3bXARjZMxqcF1aD7OIaf224CG+Uew==
-----END PUBLIC KEY-----
";
const P384: &str = "-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEJqK8eNbXQOkZHkrquepibhQIAIl2DRhf
FMZWtIvQwft6KanAtAsaAUuDAw1CzFv4D4U2gDXk5yhG2aQSpEnyeqXV1khm6nBA
r1ULK4Ri8iYbFKHySCwdHC5Jg1E1c+v2
-----END PUBLIC KEY-----
";
const RSA: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA0I4icSLqZe4dsyw3bRKy
OJNd9PQ59mYstPfD/41RP/dhCX3Jcmh0UyGP8OS5oUnBvlJ1OzH1yDXrqn3SW1s3
VPdFrRvS4ByJk1mjkKuGRiW5qjVd4EGBYQRxXbHT8ldALv8bq6eA8ZAtZ2VFHb51
Eiv/yG5ws5ka19oJZhDH39OlQvwmrJg3I71ybUS0D77M2Yd7DwpRX2iEhkX6mUo9
iKgOiyKtNkJPhZhFnpTNg2Isp/ZoCXRsHnRk6Uyl+j0mCUROs0TmIgRx2evGR6/3
g9SMXadNLva+9+x9jIGaDl3MhP5o0AQtLVVK6P/Ln0yrc/7aNUrvKxCBIizeGO1l
vwIDAQAB
-----END PUBLIC KEY-----
";
const ED25519: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAIUib8PkKjWhYAQTgsi/LOni+u4TGKLVpEa26628aUNs=
-----END PUBLIC KEY-----
";
const RSA_OF_1024_BITS: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDKuiwd2i34W0bXTN2NxNZjImzw
gv4VgIPHRGXIA1aWU1Ks9N/MkV3sMsq2VwlXWsSwGVqmu6MU6qW5AMF1vuxEzxYb
93mca6MBzUk1WRlnTDXEsvOQ1YO/iNC19AsI1+os4apvfTNcRiDaFt+IXMEfwtSk
YIKIq3AgnTIYPPhJ7wIDAQAB
-----END PUBLIC KEY-----
";
const P521: &str = "-----BEGIN PUBLIC KEY-----
MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQBRi+9luAqCvowC9NU5IMwPEz94Tbe
v4SfzL82S4P4JTAUAEPWI49mgafiC5gZ+NrG0bc7/SjxJOiV85w4B/E12okBkmQl
aLqvSCIzs/YnwDw17xBh2BRj8hknzpHM/YAkwAprTyT2YNW/mRjXZWyDJTe5hzAi
lcMjKOgZBUwLyD4kVSQ=
-----END PUBLIC KEY-----
";

/// Key, and signature of the payload.
const SIGNED: [(&str, &str); 3] = [
    (
        COSIGN,
        "MEUCIDaKHWZvUuJXj6CHCg9e0c7bgddUk/tXYhtFW/nckx4oAiEA2Sfdbh1eOcV5tn8v4vvQC0bssaE8hmqEx145x9kQHd4=",
    ),
    (
        P384,
        "MGYCMQC2xDVvMsKYJCueDy8PcQyMWk/GSj1r16rtrXEUtcLieD1m4vBIc/cXMu98WUaFffUCMQCDDqBzKZ0SA26uS4zYGZWuIEAQhvJp9IJFfB9zj2pZDf3JsSWjJZWoBIIt+iEHhKk=",
    ),
    (
        RSA,
        "dldngOISJUULlfW+xcWz8QMmwVOfi2/UV8g7nDUcgr9cZyJxYqjBQHlKR0VgrSaH9MX0TQSd0wxOgYDWI0vObz+fOltGJ6W73emfsmGhKUlraYobS6UTllIlBA0miRDz/UbuKSSSUt42ecyKmb7qDsTLuyuEJ3k9rrcKBdPFZs0BvbbkVBmTXy3miunH9RMwAIGtOzqfS7ojw7Xw1cCpGmrrLM0ne56SpwBdZbdayaIxBMik6+XPmgQDSOiqBwDveyQ4enipSFsS4mdmvQkE+XnHiyz8H1N4QAa9LoSa91HhwMcXMD3OEEPs8goDtkIKRj+/Rvl7PjgZ0Cik8u3Npg==",
    ),
];
/// The same payload signed by openssl over SHA-384, which is the usual one of such a key; cosign took SHA-256.
const P384_OVER_SHA_384: &str = "MGQCME15DG0dBAnaQk0Jq+OsKkwqlt71AWxmvy/RHrP+AOA8FMB70X+zUXGbG7lO4weKiwIweXv1t2acKnWdAQwgTackvYBm7qp/XA8bxE7k9O+nnLYf0uU2kGwL5a/cLy35kwDb";

fn judged(key: &str, payload: &str, signature: &str) -> Result<(), Flaw> {
    let keys = SignatureKeys::parse(key.as_bytes()).unwrap();
    let claim = Claim {
        payload: payload.as_bytes(),
        payload_digest: &digest_of(payload.as_bytes()),
        signature,
    };
    keys.signer(&claim, IMAGE).map(|_| ())
}

#[test]
fn what_cosign_signs_counts_with_every_kind_of_key_and_for_nothing_else() {
    let changed = PAYLOAD.replace("crm", "crn");
    for (key, signature) in SIGNED {
        assert_eq!(judged(key, PAYLOAD, signature), Ok(()), "{key}");
        let other = judged(key, &changed, signature);
        assert_eq!(other, Err(Flaw::OtherKey), "{key}");
    }
    for ((key, _), (_, signature)) in SIGNED.iter().zip(SIGNED.iter().skip(1)) {
        let of_another = judged(key, PAYLOAD, signature);
        assert_eq!(of_another, Err(Flaw::OtherKey), "{key}");
    }
    assert_eq!(judged(P384, PAYLOAD, P384_OVER_SHA_384), Ok(()));
}

#[test]
fn a_key_that_could_never_verify_anything_is_refused_at_once() {
    let beside_its_curve = |key: &str| key.replacen("\nk2K", "\nk3K", 1);
    for (key, reason) in [
        (P521.to_owned(), "curve"),
        (ED25519.to_owned(), "Ed25519"),
        (RSA_OF_1024_BITS.to_owned(), "1024 bits"),
        (beside_its_curve(P256), "no point of its curve"),
    ] {
        let error = SignatureKeys::parse(key.as_bytes()).unwrap_err();
        assert!(
            matches!(&error, Error::Unusable { number: 1, .. })
                && error.to_string().contains(reason),
            "{error}"
        );
    }
}

/// Nothing here asks for it, but whatever else asks sigstore for a hash would end the process.
#[test]
fn sigstore_hashes_by_ring_too() {
    Signer::new(1).keys();
    let hashes = [
        sigstore_crypto::sha256(b"abc").to_hex(),
        sigstore_crypto::sha384(b"abc").to_hex(),
        sigstore_crypto::sha512(b"abc").to_hex(),
    ];
    let known = ["ba7816bf8f01cfea", "cb00753f45a35e8b", "ddaf35a193617aba"];
    for (hash, known) in hashes.iter().zip(known) {
        assert!(hash.starts_with(known), "{hash}");
    }
}
