//! Every kind of key that counts, and some that do not. Keys and signatures are those of openssl: `openssl dgst -sha256 -sign` (`-sha384` where it says so, and
//! `openssl pkeyutl -sign -rawin` for Ed25519) over the payload of the other tests.

use super::*;

const P384: &str = "-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEJqK8eNbXQOkZHkrquepibhQIAIl2DRhf
FMZWtIvQwft6KanAtAsaAUuDAw1CzFv4D4U2gDXk5yhG2aQSpEnyeqXV1khm6nBA
r1ULK4Ri8iYbFKHySCwdHC5Jg1E1c+v2
-----END PUBLIC KEY-----
";
const ED25519: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAIUib8PkKjWhYAQTgsi/LOni+u4TGKLVpEa26628aUNs=
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

/// Key, and signature of the payload for the image of [`DIGEST`].
const SIGNED: [(&str, &str); 4] = [
    // P-384 over SHA-384.
    (
        P384,
        "MGUCMAGqwp8h6rN60+8n3UkhwdguLTtxv7l/M2yEYhFcAVFwrNm4XZA2gCDjnT+3a7jOVAIxAJxumowAxb/U8As9zY9NbIuURy7ZyWo1KnA0xQf4rtsjaDoor098Biu4xngnzPcVXA==",
    ),
    // P-384 over SHA-256.
    (
        P384,
        "MGUCMH6N1vlN1XEkVlp2ADvOY8RIgWLuwO8tp5oqBUN4NWr4620LTFP+iyUqkt6e1O73WAIxALKiK9XjtQwj6CG0bpndSbueCvQFz4Nv9QSwMs/v7qS+Vdv/TKM20yI0H5Eu4C5wQQ==",
    ),
    // Ed25519.
    (
        ED25519,
        "0QQ22F4Hv0Va4Fi4gHGNHpz63bzIWJYIPmtHicw0zpS0h9VPYbQa+f+vg7tDHXMTTkiwFsU0s2WZlBkr/wcIBA==",
    ),
    // RSA.
    (
        RSA,
        "i4DNUNoMa9/u02zYirvZO1ZEelAq4vyY1kpNutZvuwWIYdI1uzQd6RdEVQtJINBzb1nXkQOiqrPo2VqCN/X0rneMZBw83pE1K78scsNt8WkTYaFKQWLqcPXaDVbNu+Xfr2oQc2TKEFXlH67TDyD0/QKFHk5tEftvPWJjSCfXZH8kjVWBPrZYozvOn/d9QUIH0H4yVTLcLDDoI3eASHCY060g8l4BmKEGKMe4dwRrpt7QCvKkJkAqjgK8EvfMQVXLt1ya6oY/MPx8IbqXKqUZrkxwJ92MQuPWKAEOuuI/0HljWgEHolXRpkFpFrFa+qPGy/vpL+8oeFWrNKP03huxgg==",
    ),
];

fn judged(key: &str, payload: &str, signature: &str) -> Result<(), Flaw> {
    let keys = SignatureKeys::parse(key.as_bytes()).unwrap();
    let claim = Claim {
        payload: payload.as_bytes(),
        payload_digest: &digest_of(payload.as_bytes()),
        signature,
    };
    keys.signer(&claim, DIGEST).map(|_| ())
}

#[test]
fn every_kind_of_key_counts_for_what_it_signed_and_for_nothing_else() {
    for (key, signature) in SIGNED {
        assert_eq!(judged(key, &payload(DIGEST), signature), Ok(()), "{key}");
        let other = judged(key, &payload(OTHER), signature);
        assert_eq!(other, Err(Flaw::OtherKey), "{key}");
    }
    for ((key, _), (_, signature)) in SIGNED.iter().zip(SIGNED.iter().skip(2)) {
        let of_another = judged(key, &payload(DIGEST), signature);
        assert_eq!(of_another, Err(Flaw::OtherKey), "{key}");
    }
}

#[test]
fn a_key_that_could_never_verify_anything_is_refused_at_once() {
    let beside_its_curve = |key: &str| key.replacen("\nk2K", "\nk3K", 1);
    for (key, reason) in [
        (P521.to_owned(), "curve"),
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
