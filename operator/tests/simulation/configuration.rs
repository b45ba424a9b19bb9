//! The user's Secrets: without the right label nothing of a release is made, and a changed one starts pods again, in order and with nothing else.

use std::collections::BTreeMap;

use crm_operator::api::spec::Approval;
use crm_operator::api::status::Token;
use crm_operator::desired::labels;

use crate::stories::Act;
use crate::stories::Act::{Annotate, Image, Paused};
use crate::world::World;
use crate::{Run, STORIES, Story, tail};

/// A cluster in which v1 would serve, whose two services read one Secret each, and which has these of them.
fn begun(acts: &'static [Act], secrets: &[(&str, &str)]) -> Run {
    let mut run = Run::new(Story {
        acts,
        impatience: None,
        ..STORIES[0]
    });
    run.world.platform.spec.services[0].secrets = vec!["mail".into()];
    run.world.platform.spec.services[1].secrets = vec!["tax".into()];
    let secrets = secrets.iter();
    let secrets = secrets.map(|(name, version)| ((*name).to_owned(), (*version).to_owned()));
    run.world.users_secrets = Some(secrets.collect::<BTreeMap<_, _>>());
    run
}

fn change(world: &mut World, name: &str, version: &str) {
    let all = world.users_secrets.as_mut().unwrap();
    all.insert(name.to_owned(), version.to_owned());
}

fn stalled(world: &World) -> (String, String) {
    let status = world.platform.status.clone().unwrap_or_default();
    let mut all = status.conditions.into_iter();
    let found = all.find(|condition| condition.type_ == "Stalled");
    found.map_or_else(Default::default, |found| (found.reason, found.message))
}

fn carried(world: &World, name: &str) -> String {
    let template = world.deployments[name]
        .object
        .spec
        .template
        .metadata
        .clone();
    let annotations = template.and_then(|template| template.annotations);
    let mut annotations = annotations.unwrap_or_default();
    annotations.remove(labels::SECRETS).unwrap_or_default()
}

fn writes(world: &World) -> Vec<String> {
    let lines = world.transcript.iter();
    lines
        .filter_map(|line| line.strip_prefix("operator: "))
        .map(ToOwned::to_owned)
        .collect()
}

const BOTH: [(&str, &str); 2] = [("mail", "1"), ("tax", "1")];

#[test]
fn nothing_is_made_before_each_secret_is_labelled() {
    for (present, missing) in [
        (&BOTH[..1], "Secret tax (spec.services[sales].secrets)"),
        (
            &[],
            "Secret mail (spec.services[customer].secrets), Secret tax",
        ),
    ] {
        let mut run = begun(&[Image("v1")], present);
        run.rest();
        let (reason, message) = stalled(&run.world);
        assert_eq!(reason, "SecretNotUsable");
        assert!(message.contains(missing), "{message}");
        assert!(
            message.contains("tax crmplatform.io/usable-by=acme"),
            "{message}"
        );
        assert_eq!(writes(&run.world), [""; 0]);
        for (name, version) in BOTH {
            change(&mut run.world, name, version);
        }
        run.rest();
        assert!(run.world.serves(), "{}", tail(&run.world));
        assert_eq!(stalled(&run.world).0, "");
    }
}

#[test]
fn a_watch_that_has_shown_nothing_yet_makes_and_changes_nothing() {
    let mut run = begun(&[Image("v1")], &BOTH);
    run.world.users_secrets = None;
    for _ in 0..20 {
        run.turn(None);
    }
    assert_eq!(writes(&run.world), [""; 0]);
    assert_eq!(stalled(&run.world).0, "");
    let mut run = begun(&[Image("v1")], &BOTH);
    run.rest();
    let wrote = writes(&run.world).len();
    run.world.users_secrets = None;
    for _ in 0..20 {
        run.turn(None);
    }
    assert_eq!(writes(&run.world).len(), wrote);
}

#[test]
fn a_changed_secret_starts_pods_again_one_service_after_the_other() {
    let mut run = begun(&[Image("v1")], &BOTH);
    run.rest();
    let wrote = writes(&run.world).len();
    let release = run.world.memory().stable.unwrap().release;
    let before = ["acme-customer", "acme-sales"].map(|name| carried(&run.world, name));
    for (name, _) in BOTH {
        change(&mut run.world, name, "2");
    }
    for _ in 0..40 {
        run.turn(None);
        let stale = run.world.deployments.values().filter(|seen| seen.stale > 0);
        assert!(stale.count() <= 1, "two services at once");
    }
    run.rest();
    let after = ["acme-customer", "acme-sales"].map(|name| carried(&run.world, name));
    assert!(
        before[0] != after[0] && before[1] != after[1],
        "{before:?} {after:?}"
    );
    assert_eq!(run.world.memory().stable.unwrap().release, release);
    let because = "because a Secret that its pods read has changed";
    assert_eq!(
        writes(&run.world)[wrote..],
        ["acme-customer", "acme-sales"].map(|name| format!("applies Deployment {name}, {because}"))
    );
}

#[test]
fn a_service_that_fails_with_its_new_secret_keeps_the_others_from_theirs() {
    let mut run = begun(&[Image("v1")], &BOTH);
    run.rest();
    let before = carried(&run.world, "acme-sales");
    for (name, _) in BOTH {
        change(&mut run.world, name, "2");
    }
    run.turn(None);
    run.world
        .deployments
        .get_mut("acme-customer")
        .unwrap()
        .overdue = true;
    for _ in 0..20 {
        run.turn(None);
    }
    assert_eq!(carried(&run.world, "acme-sales"), before);
}

#[test]
fn a_secret_that_is_gone_or_not_labelled_any_more_touches_nothing_that_serves() {
    let mut run = begun(&[Image("v1")], &BOTH);
    run.rest();
    let wrote = writes(&run.world).len();
    run.world.users_secrets = Some(BTreeMap::new());
    run.rest();
    assert_eq!(writes(&run.world).len(), wrote);
    assert_eq!(stalled(&run.world).0, "SecretNotUsable");
}

#[test]
fn a_changed_secret_waits_while_people_work_by_hand() {
    let mut run = begun(&[Image("v1"), Paused(true)], &BOTH);
    run.rest();
    let wrote = writes(&run.world).len();
    change(&mut run.world, "mail", "2");
    run.rest();
    assert_eq!(writes(&run.world).len(), wrote);
    run.world.platform.spec.paused = false;
    run.world.new_spec();
    run.rest();
    assert_eq!(writes(&run.world).len(), wrote + 1);
}

/// A release that waits for approval, which the spec then leaves for one that lacks a Secret.
fn left() -> Run {
    let mut run = begun(&[Image("v1")], &BOTH);
    run.rest();
    run.world.platform.spec.release.approval = Approval::Manual;
    run.world.set_image("v1b");
    run.rest();
    run.world.platform.spec.services[1].secrets = vec!["new".into()];
    run.world.new_spec();
    run.rest();
    run
}

#[test]
fn an_approval_of_what_the_spec_has_left_never_meets_what_comes_next() {
    let mut run = left();
    let before = run.world.memory();
    assert_eq!(before.candidate, None, "the spec has left what waited");
    run.world.act(Annotate(Token::Approve, "ops: looks good"));
    run.rest();
    assert_eq!(run.world.memory().candidate, None);
    change(&mut run.world, "new", "1");
    run.rest();
    let memory = run.world.memory();
    assert_eq!(memory.stable, before.stable, "nobody approved it");
    assert!(!memory.candidate.unwrap().approved);
}

#[test]
fn what_serves_can_be_asked_for_again_without_its_secrets() {
    let mut run = left();
    let serves = run.world.memory().stable.unwrap().release;
    run.world.platform.spec.services[1].secrets = vec!["tax".into()];
    run.world.set_image("v1");
    run.world.users_secrets = Some(BTreeMap::new());
    run.rest();
    let memory = run.world.memory();
    assert!(memory.candidate.is_none(), "{}", tail(&run.world));
    assert_eq!(memory.stable.unwrap().release, serves);
}
