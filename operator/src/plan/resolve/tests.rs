//! What a policy does to a platform before a release. What it does to releases that were begun under another one is in `begun`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::*;
use crate::api::status::{Candidate, Memory, Stable, Stage};
use crate::api::{CrmPlatform, CrmPlatformSpec};
use crate::cost::Prices;
use crate::observed::Observed;
use crate::plan::{Plan, plan, record};
use crate::platform::release::Release;
use crate::platform::{Platform, Settings};
use crate::policy::ImagePolicy;
use crate::policy::signature::tests::Signer;

mod begun;

const TAG: &str = "registry.example/crm:1";

fn now() -> k8s_openapi::jiff::Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

fn digest(letter: &str) -> String {
    format!("registry.example/crm@sha256:{}", letter.repeat(64))
}

fn allowing(entry: &str) -> ImagePolicy {
    ImagePolicy::new(&[entry.to_owned()], false, None).unwrap()
}

fn signed_by(seed: u8) -> ImagePolicy {
    ImagePolicy::new(&[], false, Some(Signer::new(seed).keys())).unwrap()
}

fn fingerprint(seed: u8) -> String {
    let keys = Signer::new(seed).keys();
    keys.fingerprints().next().unwrap().to_owned()
}

/// A platform of one image, under a policy; `request` is an annotation.
fn platform(images: ImagePolicy, request: Option<(&str, &str)>) -> Platform {
    let spec = format!(
        "{{image: '{TAG}', services: [{{name: sales, migrate: {{args: [migrate]}}}}], database: {{embedded: {{}}}}, tests: [{{name: smoke, when: [Gate]}}]}}"
    );
    let spec: CrmPlatformSpec = serde_saphyr::from_str(&spec).unwrap();
    let mut object = CrmPlatform::new("acme", spec);
    object.metadata.namespace = Some("crm".into());
    object.metadata.uid = Some("0a1b2c3d-0000".into());
    let annotation = request.map(|(key, value)| (key.to_owned(), value.to_owned()));
    object.metadata.annotations = Some(annotation.into_iter().collect());
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

/// The release of the spec, with its image at `letter`.
fn release(letter: &str) -> Release {
    let known = ResolvedImage {
        reference: TAG.into(),
        image: digest(letter),
        signed_by: None,
    };
    let platform = platform(ImagePolicy::default(), None);
    platform.wanted(&[known]).unwrap()
}

/// What is remembered when release `a` serves, and release `b`, which the spec asks for, is in `stage`; `signers` have signed the images of both.
fn observed(stage: Option<Stage>, signers: &[String]) -> Observed {
    let (stable, candidate) = (release("a"), release("b"));
    let mut memory = Memory {
        images: vec![ResolvedImage {
            reference: TAG.into(),
            image: digest(if stage.is_some() { "b" } else { "a" }),
            signed_by: signers.first().cloned(),
        }],
        stable: Some(Stable {
            release: stable.id(),
            since: Time(now()),
            images: stable.service_images(),
            optimised: true,
            untested: false,
            slot: Default::default(),
        }),
        ..Memory::default()
    };
    record::open(&mut memory.releases, &stable.id(), 1, Time(now()));
    if let Some(stage) = stage {
        record::open(&mut memory.releases, &candidate.id(), 1, Time(now()));
        record::enter(&mut memory.releases, &candidate.id(), stage, Time(now()));
        memory.candidate = Some(Candidate {
            release: candidate.id(),
            stage,
            since: Time(now()),
            generation: 1,
            images: candidate.service_images(),
            held: None,
            returning: None,
            aborting: None,
            approved: false,
            thawed_until: None,
            ungated: false,
            code_of: None,
            rollback: None,
            shift: None,
        });
    }
    for record in &mut memory.releases {
        record.signed_by = signers.to_vec();
    }
    let recorded = [stable, candidate].map(|release| (release.id(), release));
    Observed {
        memory,
        releases: recorded.into(),
        ..Observed::default()
    }
}

fn answered(answer: Result<Resolution, Unresolved>) -> Observed {
    Observed {
        resolutions: [(TAG.to_owned(), answer)].into(),
        ..Observed::default()
    }
}

fn look(images: ImagePolicy, observed: &Observed) -> Plan {
    plan(&platform(images, None), observed, now())
}

/// Also when the registry has answered, and when it was allowed once.
#[test]
fn a_forbidden_image_makes_nothing_and_says_what_to_do() {
    let answer = answered(Ok(Resolution {
        image: digest("b"),
        signed_by: None,
    }));
    for seen in [Observed::default(), answer] {
        let planned = look(allowing("other.example"), &seen);
        assert!(planned.actions.is_empty(), "{:?}", planned.actions);
        let nothing = Memory {
            asked: planned.memory.asked.clone(),
            ..Memory::default()
        };
        assert_eq!((planned.wanted, planned.memory), (None, nothing));
        let problem = planned.problem.unwrap();
        assert_eq!(problem.reason, conditions::IMAGE_NOT_ALLOWED);
        let begin = "spec.image \"registry.example/crm:1\" is in registry.example/crm, which this operator does not allow: use an image from other.example";
        assert!(problem.message.starts_with(begin), "{}", problem.message);
    }
}

#[test]
fn an_image_without_a_digest_makes_nothing_where_one_is_asked_for() {
    let policy = ImagePolicy::new(&[], true, None).unwrap();
    let planned = look(policy, &Observed::default());
    assert!(planned.actions.is_empty() && planned.wanted.is_none());
    let problem = planned.problem.unwrap();
    assert_eq!(problem.reason, conditions::IMAGE_NOT_ALLOWED);
}

#[test]
fn an_unsigned_image_makes_nothing_and_is_asked_for_again() {
    let words = "image \"registry.example/crm:1\" has no signature".to_owned();
    let planned = look(signed_by(1), &answered(Err(Unresolved::NotSigned(words))));
    assert!(planned.actions.is_empty() && planned.memory.candidate.is_none());
    let problem = planned.problem.unwrap();
    assert_eq!(problem.reason, conditions::IMAGE_NOT_SIGNED);
    assert!(
        problem.message.starts_with("spec.image: image"),
        "{}",
        problem.message
    );
    assert!(planned.requeue.as_secs_f64() <= RESOLVE_AGAIN);
}

/// A GitOps tool gives a spec up once it is Stalled.
#[test]
fn a_signature_that_cannot_be_looked_up_is_waited_for() {
    let away = Unresolved::OutOfReach("it is down".into());
    let planned = look(signed_by(1), &answered(Err(away)));
    assert!(planned.problem.is_none() && planned.actions.is_empty());
    assert!(planned.waiting.unwrap().contains("it is down"));
}

#[test]
fn a_signed_image_begins_a_release_that_remembers_who_signed() {
    let signer = Some(fingerprint(1));
    let answer = Ok(Resolution {
        image: digest("b"),
        signed_by: signer.clone(),
    });
    let after = look(signed_by(1), &answered(answer)).memory;
    assert_eq!(after.images[0].signed_by, signer);
    assert_eq!(after.candidate.unwrap().release, release("b").id());
    assert_eq!(after.releases[0].signed_by, [fingerprint(1)]);
}

/// An answer that does not say what the policy asks for is a defect: it must not become a release.
#[test]
fn an_answer_without_the_right_signer_begins_nothing() {
    for signed in [None, Some(fingerprint(2))] {
        let answer = Ok(Resolution {
            image: digest("b"),
            signed_by: signed,
        });
        let planned = look(signed_by(1), &answered(answer));
        assert!(planned.memory.candidate.is_none() && planned.actions.is_empty());
    }
}

/// Only some of the images may have been looked up while signatures were asked for.
#[test]
fn a_release_that_began_while_no_signature_was_asked_for_counts_as_unsigned() {
    let mut seen = observed(None, &[fingerprint(1)]);
    seen.memory.images[0].image = digest("b");
    let after = look(ImagePolicy::default(), &seen).memory;
    assert_eq!(after.candidate.unwrap().release, release("b").id());
    assert!(after.releases[0].signed_by.is_empty());
}
