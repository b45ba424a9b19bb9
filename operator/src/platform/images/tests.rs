//! Which image a reference stands for, and what a registry is asked, under each policy.

use super::*;
use crate::api::{CrmPlatform, CrmPlatformSpec};
use crate::cost::Prices;
use crate::platform::Settings;
use crate::policy::ImagePolicy;
use crate::policy::signature::tests::Signer;

const TAG: &str = "registry.example/crm:1";
const BY_DIGEST: &str = "registry.example/tests@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const RESOLVED: &str =
    "registry.example/crm@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn platform(images: ImagePolicy) -> Platform {
    let spec = format!(
        "{{image: '{TAG}', services: [{{name: sales}}, {{name: customer}}], database: {{embedded: {{}}}},
          tests: [{{name: smoke, when: [Gate], image: '{BY_DIGEST}'}}]}}"
    );
    let spec: CrmPlatformSpec = serde_saphyr::from_str(&spec).unwrap();
    let mut object = CrmPlatform::new("acme", spec);
    object.metadata.uid = Some("u1".into());
    let settings = Settings {
        postgres_image: "elsewhere.example/postgres:15".into(),
        operator_image: Some("registry.example/crm-operator:1".into()),
        images,
        prices: Prices {
            cpu_hour: 1.0,
            memory_gib_hour: 1.0,
        },
    };
    Platform::parse(&object, &settings).unwrap()
}

fn allowing(entry: &str) -> ImagePolicy {
    ImagePolicy::new(&[entry.to_owned()], false, None).unwrap()
}

fn signed_by(seed: u8) -> ImagePolicy {
    ImagePolicy::new(&[], false, Some(Signer::new(seed).keys())).unwrap()
}

fn known(reference: &str, image: &str, seed: Option<u8>) -> ResolvedImage {
    let keys = seed.map(|seed| Signer::new(seed).keys());
    ResolvedImage {
        reference: reference.into(),
        image: image.into(),
        signed_by: keys.and_then(|keys| keys.fingerprints().next().map(str::to_owned)),
    }
}

fn both(seed: Option<u8>) -> [ResolvedImage; 2] {
    [
        known(TAG, RESOLVED, seed),
        known(BY_DIGEST, BY_DIGEST, seed),
    ]
}

#[test]
fn each_image_has_the_field_that_names_it() {
    let platform = platform(ImagePolicy::default());
    let fields: Vec<_> = platform.image_fields().collect();
    let named = [
        (&TAG.to_owned(), &"spec.image".to_owned()),
        (&BY_DIGEST.to_owned(), &"spec.tests[smoke].image".to_owned()),
    ];
    assert_eq!(fields, named);
}

#[test]
fn without_a_policy_only_tags_are_asked_for_and_only_once() {
    let platform = platform(ImagePolicy::default());
    assert_eq!(platform.questions(&[]), [(TAG.into(), TAG.into())].into());
    let known = [known(TAG, RESOLVED, None)];
    assert!(platform.questions(&known).is_empty());
    assert!(platform.wanted(&known).is_some());
}

/// Of a test as of a service; and nobody is asked about it.
#[test]
fn one_forbidden_image_leaves_no_release() {
    let platform = platform(allowing("registry.example/crm"));
    assert!(platform.wanted(&both(None)).is_none());
    assert_eq!(platform.questions(&[]), [(TAG.into(), TAG.into())].into());
    assert!(
        self::platform(allowing("registry.example"))
            .wanted(&both(None))
            .is_some()
    );
}

/// What is remembered may have been written under another policy, or by somebody else.
#[test]
fn a_remembered_digest_in_a_forbidden_place_leaves_no_release() {
    let platform = platform(allowing("registry.example"));
    let elsewhere = RESOLVED.replace("registry.example", "evil.test");
    let known = [known(TAG, &elsewhere, None)];
    assert!(platform.wanted(&known).is_none());
}

#[test]
fn a_tag_that_was_resolved_before_digests_were_asked_for_leaves_no_release() {
    let policy = ImagePolicy::new(&[], true, None).unwrap();
    assert!(platform(policy).wanted(&both(None)).is_none());
}

#[test]
fn where_signatures_are_asked_for_an_image_by_digest_is_looked_up_too() {
    let platform = platform(signed_by(1));
    let all = [(TAG, TAG), (BY_DIGEST, BY_DIGEST)];
    let all: BTreeMap<_, _> = all.map(|(a, b)| (a.to_owned(), b.to_owned())).into();
    assert_eq!(platform.questions(&[]), all);
    assert!(platform.wanted(&[known(TAG, RESOLVED, Some(1))]).is_none());
    assert!(platform.wanted(&both(Some(1))).is_some());
    assert!(platform.questions(&both(Some(1))).is_empty());
}

/// An operator that begins to ask for signatures, or for those of another key.
#[test]
fn what_was_resolved_under_another_policy_keeps_its_digest_and_is_asked_for_its_signer() {
    let platform = platform(signed_by(1));
    for before in [None, Some(2)] {
        let known = both(before);
        assert!(platform.wanted(&known).is_none(), "{before:?}");
        assert_eq!(platform.questions(&known)[TAG], RESOLVED, "{before:?}");
    }
    let id = |policy, known: &[_]| self::platform(policy).wanted(known).unwrap().id();
    assert_eq!(
        id(ImagePolicy::default(), &both(None)),
        id(signed_by(1), &both(Some(1))),
        "a policy starts no release"
    );
}
