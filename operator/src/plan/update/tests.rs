//! What a plan makes of the tags that a registry lists.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::api::status::{Memory, Rejected, ServiceImage, Stable};
use crate::api::{CrmPlatform, CrmPlatformSpec, CrmPlatformStatus};
use crate::cost::Prices;
use crate::observed::{Listing, Observed};
use crate::plan::{Plan, plan, record};
use crate::platform::release::Release;
use crate::platform::{Platform, Settings};
use crate::policy::ImagePolicy;

const INTERVAL: Duration = Duration::from_secs(300);

fn now() -> k8s_openapi::jiff::Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

fn image(tag: &str) -> String {
    format!("registry.example/crm:{tag}")
}

fn resolution(letter: &str) -> Resolution {
    Resolution {
        image: format!("registry.example/crm@sha256:{}", letter.repeat(64)),
        signed_by: None,
    }
}

/// A platform whose image is 1.0.0 and which follows `>=1.0.0 <2.0.0`, and what is known.
struct Look {
    memory: Memory,
    follows: bool,
    images: ImagePolicy,
    answer: Option<Result<Arc<Tags>, Unresolved>>,
    resolved: Vec<(String, Result<Resolution, Unresolved>)>,
    /// What stable is made of.
    recorded: Option<Release>,
}

impl Look {
    fn new(memory: Memory) -> Self {
        Self {
            memory,
            follows: true,
            images: ImagePolicy::default(),
            answer: None,
            resolved: Vec::new(),
            recorded: None,
        }
    }

    fn listed(mut self, tags: &[&str]) -> Self {
        let tags = Tags::of(tags.iter().map(ToString::to_string));
        self.answer = Some(Ok(Arc::new(tags)));
        self
    }

    fn unlisted(mut self, why: Unresolved) -> Self {
        self.answer = Some(Err(why));
        self
    }

    fn resolved(mut self, tag: &str, answer: Result<Resolution, Unresolved>) -> Self {
        self.resolved.push((image(tag), answer));
        self
    }

    fn platform(&self) -> Platform {
        let update = match self.follows {
            true => "imageUpdate: {semver: '>=1.0.0 <2.0.0'},",
            false => "",
        };
        let spec = format!(
            "{{image: '{}', {update} services: [{{name: sales}}], database: {{embedded: {{}}}}, tests: [{{name: smoke, when: [Gate]}}]}}",
            image("1.0.0")
        );
        let spec: CrmPlatformSpec = serde_saphyr::from_str(&spec).unwrap();
        let mut object = CrmPlatform::new("acme", spec);
        object.metadata.namespace = Some("crm".into());
        object.metadata.uid = Some("0a1b2c3d-0000".into());
        object.status = Some(CrmPlatformStatus {
            memory: self.memory.clone(),
            ..CrmPlatformStatus::default()
        });
        let settings = Settings {
            postgres_image: "postgres:15".into(),
            operator_image: None,
            images: self.images.clone(),
            prices: Prices {
                cpu_hour: 1.0,
                memory_gib_hour: 1.0,
            },
        };
        Platform::parse(&object, &settings).unwrap()
    }

    fn plan(self) -> Plan {
        let observed = Observed {
            memory: self.memory.clone(),
            resolutions: self.resolved.iter().cloned().collect(),
            releases: (self.recorded.iter())
                .map(|release| (release.id(), release.clone()))
                .collect(),
            tags: Some(Listing {
                answer: self.answer.clone(),
                again_in: INTERVAL,
            }),
            ..Observed::default()
        };
        plan(&self.platform(), &observed, now())
    }
}

/// The image that stands for that of the spec.
fn found(memory: &Memory) -> &str {
    let found = memory.image_update.as_ref();
    found.map_or("", |found| &found.image)
}

/// What is remembered when 1.1.0 was found and serves.
fn serving() -> Memory {
    let mut memory = Look::new(Memory::default())
        .listed(&["1.1.0"])
        .resolved("1.1.0", Ok(resolution("a")))
        .plan()
        .memory;
    memory.images = vec![ResolvedImage {
        reference: image("1.1.0"),
        image: resolution("a").image,
        signed_by: None,
    }];
    let stable = Look::new(memory.clone()).platform();
    let stable = stable.wanted(&memory.images).unwrap();
    record::open(&mut memory.releases, &stable.id(), 1, Time(now()));
    memory.stable = Some(Stable {
        release: stable.id(),
        since: Time(now()),
        images: stable.service_images(),
        optimised: true,
        untested: false,
        slot: Default::default(),
    });
    memory
}

/// The release of image `b`, which failed and which the spec has left.
fn rejected() -> Rejected {
    Rejected {
        release: "rbad".into(),
        images: vec![ServiceImage {
            service: "sales".into(),
            image: resolution("b").image,
        }],
        reason: conditions::TESTS_FAILED.into(),
        message: "a test failed".into(),
        at: Time(now()),
        left_at: Some(Time(now())),
    }
}

#[test]
fn nothing_begins_before_the_tags_are_known() {
    let planned = Look::new(Memory::default())
        .resolved("1.0.0", Ok(resolution("a")))
        .plan();
    let nothing = Memory {
        asked: planned.memory.asked.clone(),
        ..Memory::default()
    };
    assert_eq!(planned.memory, nothing);
    assert!(planned.actions.is_empty() && planned.wanted.is_none() && planned.problem.is_none());
    let waiting = planned.waiting.unwrap();
    assert!(
        waiting.contains("the tags of registry.example/crm"),
        "{waiting}"
    );
    assert!(planned.requeue.as_secs_f64() <= ANSWER_AFTER);
}

#[test]
fn the_first_release_is_that_of_the_newest_tag() {
    let tags = ["1.0.0", "1.1.0", "2.0.0"];
    let unknown = Look::new(Memory::default()).listed(&tags).plan();
    assert!(unknown.memory.image_update.is_none() && unknown.problem.is_none());
    let waiting = unknown.waiting.unwrap();
    assert!(waiting.contains("to know registry.example/crm:1.1.0"));
    let look = Look::new(Memory::default())
        .listed(&tags)
        .resolved("1.1.0", Ok(resolution("a")));
    let planned = look.plan();
    assert_eq!(found(&planned.memory), image("1.1.0"));
    assert!(planned.memory.candidate.is_none(), "it is saved first");
    let next = Look::new(planned.memory)
        .listed(&["1.1.0"])
        .resolved("1.1.0", Ok(resolution("a")))
        .plan();
    let candidate = next.memory.candidate.unwrap();
    assert_eq!(candidate.images[0].image, resolution("a").image);
    let none = Look::new(Memory::default())
        .listed(&["0.9.0", "latest"])
        .plan();
    assert_eq!(found(&none.memory), image("1.0.0"), "the one of the spec");
}

#[test]
fn tags_that_cannot_be_listed_stop_only_what_has_not_begun() {
    let refused = || Unresolved::Refused("the registry hides them".into());
    let planned = Look::new(Memory::default()).unlisted(refused()).plan();
    let problem = planned.problem.unwrap();
    assert_eq!(problem.reason, conditions::IMAGE_NOT_RESOLVED);
    for word in ["spec.imageUpdate", "registry.example/crm", "hides them"] {
        assert!(problem.message.contains(word), "{}", problem.message);
    }
    let stable = serving().stable.unwrap().release;
    let planned = Look::new(serving()).unlisted(refused()).plan();
    assert!(planned.problem.is_none());
    assert_eq!(planned.wanted, Some(stable));
    let message = planned
        .memory
        .image_update
        .clone()
        .unwrap()
        .message
        .unwrap();
    assert!(message.contains("hides them"), "{message}");
    assert_eq!(planned.notes.len(), 1);
    let again = Look::new(planned.memory.clone()).unlisted(refused()).plan();
    assert_eq!(
        (again.memory, again.notes.len()),
        (planned.memory.clone(), 0),
        "it is told once"
    );
    let well = Look::new(planned.memory).listed(&["1.1.0"]).plan();
    assert_eq!(well.memory, serving());
}

#[test]
fn a_registry_out_of_reach_changes_nothing() {
    let away = || Unresolved::OutOfReach("it is down".into());
    let planned = Look::new(serving()).unlisted(away()).plan();
    assert_eq!(planned.memory, serving());
    assert!(planned.problem.is_none());
    let waiting = planned.waiting.unwrap_or_default();
    assert!(!waiting.contains("down"), "{waiting}");
    let planned = Look::new(serving())
        .listed(&["1.2.0"])
        .resolved("1.2.0", Err(away()))
        .plan();
    assert_eq!(planned.memory, serving());
    let first = Look::new(Memory::default()).unlisted(away()).plan();
    assert!(first.problem.is_none() && first.waiting.unwrap().contains("it is down"));
}

#[test]
fn a_newer_image_takes_the_place_once_its_digest_is_known() {
    let asked = Look::new(serving()).listed(&["1.1.0", "1.2.0"]);
    let Some(Ok(tags)) = asked.answer.clone() else {
        unreachable!()
    };
    let newer = asked.platform().newer_images(&serving(), &tags);
    assert_eq!(newer, [image("1.2.0")]);
    let planned = asked.plan();
    assert_eq!(planned.memory, serving());
    assert!(planned.requeue.as_secs_f64() <= ANSWER_AFTER);
    let look = Look::new(serving())
        .listed(&["1.2.0"])
        .resolved("1.2.0", Ok(resolution("b")));
    let planned = look.plan();
    assert_eq!(found(&planned.memory), image("1.2.0"));
    assert!(planned.actions.is_empty() && planned.memory.candidate.is_none());
    assert_eq!(planned.notes.len(), 1, "it is told once");
    let next = Look::new(planned.memory).listed(&["1.2.0"]).plan();
    let candidate = next.memory.candidate.unwrap();
    assert_eq!(candidate.images[0].image, resolution("b").image);
}

#[test]
fn a_newer_image_that_may_not_be_used_leaves_what_serves_ready() {
    let unsigned = Unresolved::NotSigned("image 1.2.0 has no signature".into());
    let look = Look::new(serving())
        .listed(&["1.2.0"])
        .resolved("1.2.0", Err(unsigned));
    let planned = look.plan();
    assert!(planned.problem.is_none() && planned.memory.candidate.is_none());
    assert_eq!(found(&planned.memory), image("1.1.0"));
    let message = planned.memory.image_update.unwrap().message.unwrap();
    assert!(
        message.contains("1.2.0 was found and is not used") && message.contains("no signature"),
        "{message}"
    );
    assert!(planned.requeue.as_secs_f64() <= RESOLVE_AGAIN);
}

fn unsigned() -> Result<Resolution, Unresolved> {
    Err(Unresolved::NotSigned("it has no signature".into()))
}

fn message(memory: &Memory) -> &str {
    let found = memory.image_update.as_ref();
    let message = found.and_then(|found| found.message.as_deref());
    message.unwrap_or_default()
}

#[test]
fn the_next_lower_image_is_used_where_the_newest_one_may_not_be() {
    let look = Look::new(serving())
        .listed(&["1.2.0", "1.3.0", "1.4.0"])
        .resolved("1.4.0", unsigned())
        .resolved("1.3.0", Ok(resolution("b")));
    let planned = look.plan();
    assert_eq!(found(&planned.memory), image("1.3.0"));
    let why = message(&planned.memory);
    assert!(
        why.contains("1.4.0 was found and is not used") && why.contains("no signature"),
        "{why}"
    );
    assert_eq!(planned.notes.len(), 2, "{:?}", planned.notes);
    let again = Look::new(planned.memory.clone())
        .listed(&["1.2.0", "1.3.0", "1.4.0"])
        .resolved("1.4.0", unsigned());
    let later = again.plan().memory;
    assert_eq!(later.image_update, planned.memory.image_update);
}

/// What serves when its tags are not followed yet: 1.0.0, as the spec says.
fn serving_as_the_spec_says() -> Look {
    let mut look = Look::new(Memory::default());
    look.follows = false;
    let mut memory = Memory {
        images: vec![ResolvedImage {
            reference: image("1.0.0"),
            image: resolution("a").image,
            signed_by: None,
        }],
        ..Memory::default()
    };
    let stable = look.platform().wanted(&memory.images).unwrap();
    record::open(&mut memory.releases, &stable.id(), 1, Time(now()));
    memory.stable = Some(Stable {
        release: stable.id(),
        since: Time(now()),
        images: stable.service_images(),
        optimised: true,
        untested: false,
        slot: Default::default(),
    });
    Look {
        recorded: Some(stable),
        ..Look::new(memory)
    }
}

#[test]
fn who_begins_to_follow_tags_goes_on_serving_whatever_is_the_newest() {
    let tags = ["1.0.0", "1.5.0", "1.6.0"];
    let none = serving_as_the_spec_says()
        .listed(&tags)
        .resolved("1.6.0", unsigned())
        .resolved("1.5.0", unsigned())
        .plan();
    assert!(none.problem.is_none());
    assert_eq!(found(&none.memory), image("1.0.0"), "what serves stays");
    assert!(message(&none.memory).contains("1.6.0 was found and is not used"));
    let mut next = serving_as_the_spec_says()
        .listed(&tags)
        .resolved("1.6.0", unsigned())
        .resolved("1.5.0", unsigned());
    let stable = next.recorded.clone().map(|stable| stable.id());
    next.memory = none.memory;
    let next = next.plan();
    assert!(next.problem.is_none() && next.memory.candidate.is_none());
    assert_eq!(next.wanted, stable);
    let lower = serving_as_the_spec_says()
        .listed(&tags)
        .resolved("1.6.0", unsigned())
        .resolved("1.5.0", Ok(resolution("b")))
        .plan();
    assert!(lower.problem.is_none());
    assert_eq!(found(&lower.memory), image("1.5.0"));
}

/// Of the images before the first choice, too.
#[test]
fn who_begins_to_follow_tags_does_not_begin_with_what_was_rejected() {
    let mut memory = serving_as_the_spec_says().memory;
    memory.rejected.push(rejected());
    let look = |memory| {
        Look::new(memory)
            .listed(&["1.6.0"])
            .resolved("1.6.0", Ok(resolution("b")))
    };
    let planned = look(memory).plan();
    assert_eq!(found(&planned.memory), image("1.0.0"));
    assert!(message(&planned.memory).contains("rbad"));
    let next = look(planned.memory).plan().memory;
    assert_eq!(found(&next), image("1.0.0"));
    let passed = next.image_update.unwrap().passed_over;
    assert_eq!(passed, Some("1.6.0".into()));
}

/// An answer that points elsewhere is never used.
#[test]
fn an_answer_that_the_policy_forbids_is_not_used() {
    let elsewhere = Resolution {
        image: format!("evil.test/crm@sha256:{}", "a".repeat(64)),
        signed_by: None,
    };
    let mut look = Look::new(serving())
        .listed(&["1.2.0"])
        .resolved("1.2.0", Ok(elsewhere));
    look.images = ImagePolicy::new(&["registry.example".to_owned()], false, None).unwrap();
    assert_eq!(look.plan().memory, serving());
}

#[test]
fn a_rejected_image_under_another_tag_is_passed_over_for_good() {
    let mut memory = serving();
    memory.rejected.push(rejected());
    let mut short = memory.clone();
    let digest = resolution("b").image;
    let digest = digest.rsplit_once('@').unwrap().1;
    short.rejected[0].images = vec![ServiceImage {
        service: String::new(),
        image: digest[..23].to_owned(),
    }];
    let look = Look::new(short)
        .listed(&["1.2.0"])
        .resolved("1.2.0", Ok(resolution("b")));
    assert_eq!(
        found(&look.plan().memory),
        image("1.1.0"),
        "also where the status had no room for more"
    );
    let look = Look::new(memory)
        .listed(&["1.2.0"])
        .resolved("1.2.0", Ok(resolution("b")));
    let planned = look.plan();
    assert_eq!(found(&planned.memory), image("1.1.0"));
    let mut after = planned.memory;
    assert_eq!(
        after.image_update.clone().unwrap().passed_over,
        Some("1.2.0".into())
    );
    assert!(
        planned.notes[0].message.contains("rbad"),
        "{:?}",
        planned.notes
    );
    after.rejected.clear();
    let look = Look::new(after.clone())
        .listed(&["1.2.0"])
        .resolved("1.2.0", Ok(resolution("b")));
    assert_eq!(
        look.plan().memory,
        after,
        "also when the rejection is forgotten"
    );
}

/// It is the same release; `admit` knows whether it may be tried.
#[test]
fn another_tag_of_the_image_that_stands_there_begins_nothing() {
    let mut memory = serving();
    let same = resolution("a");
    memory.rejected.push(Rejected {
        release: "rbad".into(),
        images: vec![ServiceImage {
            service: "sales".into(),
            image: same.image.clone(),
        }],
        reason: conditions::ROLLED_BACK.into(),
        message: "ops went back".into(),
        at: Time(now()),
        left_at: None,
    });
    let look = Look::new(memory)
        .listed(&["1.2.0"])
        .resolved("1.2.0", Ok(same));
    let planned = look.plan();
    assert_eq!(found(&planned.memory), image("1.2.0"));
    let next = Look::new(planned.memory).listed(&["1.2.0"]).plan();
    assert!(next.memory.candidate.is_none());
    assert_eq!(next.wanted, serving().stable.map(|stable| stable.release));
}

#[test]
fn who_does_not_follow_any_more_gets_the_image_of_the_spec() {
    let mut look = Look::new(serving()).resolved("1.0.0", Ok(resolution("c")));
    look.follows = false;
    let planned = look.plan();
    assert!(planned.memory.image_update.is_none());
    assert_eq!(
        planned.memory.candidate.unwrap().images[0].image,
        resolution("c").image
    );
}
