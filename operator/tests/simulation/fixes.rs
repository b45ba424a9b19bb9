//! What people expect after a bad release: a fix begins at once, what is bad stays away, and what was bad long ago is forgotten.

use crm_operator::api::status::{Stage, Token, Verdict};

use crate::controllers;
use crate::operator::{check, reconcile};
use crate::stories::Act::{Annotate, Follow, Image, ImageWith, Paused, Push};
use crate::{Run, STORIES, Story, condition_message, end, tail};

/// Far below every deadline of the model: 60 s for pods, 600 s for tests.
const AT_ONCE: i64 = 20;
const DAY: i64 = 86_400;

/// A cluster in which the first of these acts has been done, and the others are to come.
fn run(acts: &'static [crate::stories::Act]) -> Run {
    Run::installed(Story { acts, ..STORIES[0] })
}

fn tries(run: &Run, image: &str) -> usize {
    let memory = run.world.memory();
    let mut revisions = run.world.revisions.iter();
    let named = revisions.find(|(_, release)| release.services[0].image.ends_with(image));
    let id = named.map(|(id, _)| id);
    let tried = memory.releases.iter();
    tried.filter(|record| Some(&record.release) == id).count()
}

/// Looks until there is nothing to do, and lets a second pass in which at most one thing happens.
fn second(run: &mut Run) {
    loop {
        let before = run.world.platform.status.clone();
        reconcile(&mut run.world, &mut run.writes);
        if run.world.platform.status == before {
            break;
        }
    }
    if let Some(next) = controllers::moves(&run.world).first() {
        controllers::step(&mut run.world, next);
        check(&run.world);
    }
    run.world.pass_time(1);
}

/// Whatever the bad release waits for just then.
#[test]
fn a_fix_does_not_wait_for_the_bad_release() {
    for (bad, stage) in [
        ("bad", Stage::Rehearse),
        ("bad", Stage::Gate),
        ("unverified", Stage::Migrate),
        ("crash", Stage::Rollout),
        ("unverified", Stage::Verify),
    ] {
        let mut run = run(&[Image("v1")]);
        run.world.set_image(bad);
        while !run.world.is_in(stage) {
            assert!(!run.turn(None), "{bad} never gets to {stage:?}");
        }
        let pushed = run.world.now;
        run.world.set_image("v2");
        let fixed = |run: &Run| {
            let candidate = run.world.memory().candidate;
            candidate.is_some_and(|candidate| candidate.images[0].image.ends_with(":v2"))
        };
        while !fixed(&run) {
            second(&mut run);
            let waited = run.world.now.duration_since(pushed).as_secs();
            let story = || tail(&run.world);
            assert!(
                waited <= AT_ONCE,
                "{waited} s after {bad} in {stage:?}:\n{}",
                story()
            );
        }
        let memory = run.world.memory();
        let mut records = memory.releases.iter();
        let verdict = records.nth(1).and_then(|record| record.verdict);
        assert_eq!(verdict, Some(Verdict::Superseded), "{bad} in {stage:?}");
        run.rest();
        assert!(
            end(&run.world)["stable"].ends_with(":v2"),
            "{}",
            tail(&run.world)
        );
    }
}

#[test]
fn a_rejection_is_forgotten_a_month_after_the_spec_left_it_and_not_before() {
    let mut run = run(&[Image("v1")]);
    run.world.set_image("bad");
    run.rest();
    run.world.pass_time(40 * DAY);
    run.rest();
    assert_eq!(tries(&run, ":bad"), 1, "the spec goes on asking for it");
    run.world.set_image("v1b");
    run.rest();
    run.world.pass_time(29 * DAY);
    run.rest();
    assert_eq!(run.world.memory().rejected.len(), 1);
    run.world.pass_time(2 * DAY);
    run.rest();
    assert!(run.world.memory().rejected.is_empty());
}

/// Not after its entry has expired, and not because it has another tag.
#[test]
fn a_rejected_tag_stays_away_as_long_as_it_is_the_newest() {
    let mut run = run(&[Image("v1")]);
    run.world.act(Follow);
    run.rest();
    run.world.act(Push("1.1.0", "bad"));
    run.rest();
    run.world.act(Push("1.2.0", "v1b"));
    run.rest();
    run.world.act(Push("1.3.0", "bad"));
    run.rest();
    for _ in 0..4 {
        run.world.pass_time(20 * DAY);
        run.rest();
    }
    let memory = run.world.memory();
    assert!(memory.rejected.is_empty(), "its entry has expired");
    assert_eq!(tries(&run, ":bad"), 1, "{}", tail(&run.world));
    assert!(end(&run.world)["stable"].ends_with(":v1b"));
}

/// A restart, a registry that is away, and tags that somebody removes.
#[test]
fn what_was_found_never_goes_back_by_itself() {
    let mut run = run(&[Image("v1")]);
    run.world.act(Follow);
    run.world.act(Push("1.1.0", "v1b"));
    run.rest();
    run.world.registry_away = true;
    run.world.tags.clear();
    run.rest();
    run.world.registry_away = false;
    run.rest();
    assert!(end(&run.world)["stable"].ends_with(":v1b"));
    assert_eq!(tries(&run, ":v1b"), 1);
    let image = run.world.memory().image_update.unwrap().image;
    assert_eq!(image, "registry.example/crm:1.1.0");
}

/// What it said of the last request.
fn answer(run: &Run, token: Token) -> String {
    let handled = run.world.memory().last_handled.of(token).clone();
    handled.unwrap().result
}

fn assert_refused(run: &Run, token: Token) {
    let words = answer(run, token);
    assert!(words.starts_with("nothing was done"), "{words}");
}

#[test]
fn a_way_back_that_cannot_be_gone_is_refused_at_once_and_not_gone_later() {
    let mut run = run(&[Image("v1")]);
    run.rest();
    run.world.act(Image("v1b"));
    run.rest();
    run.world.registry_away = true;
    run.world.act(Image("v2"));
    run.world
        .act(Annotate(Token::RollbackTo, "v1 ops: it is slow"));
    // It asks the registry again and again.
    for _ in 0..20 {
        run.turn(None);
    }
    assert_refused(&run, Token::RollbackTo);
    run.world.registry_away = false;
    run.rest();
    assert!(end(&run.world)["stable"].ends_with(":v2"));
}

/// The one who asked looks at what came of it, and at `Ready`, which alone would say that all is well.
#[test]
fn what_came_of_a_way_back_is_told_where_it_was_asked_for() {
    let mut run = run(&[Image("v1")]);
    run.rest();
    for (image, came_of_it, is_missed) in [
        ("v1b", "serves again", false),
        ("v2", "did not come to serve again: ", true),
    ] {
        run.world.act(Image(image));
        run.rest();
        let why = format!("v1 ops: {image} is slow");
        run.world.act(Annotate(Token::RollbackTo, why.leak()));
        run.rest();
        let told = answer(&run, Token::RollbackTo);
        assert!(told.contains(came_of_it), "{told}");
        let conditions = run.world.platform.status.clone().unwrap().conditions;
        let ready = &conditions[0].message;
        assert_eq!(ready.contains(came_of_it), is_missed, "{ready}");
    }
    run.world.act(Image("bad"));
    run.rest();
    let conditions = run.world.platform.status.clone().unwrap().conditions;
    let ready = &conditions[0].message;
    assert!(
        !ready.contains("did not come"),
        "another has begun: {ready}"
    );
}

#[test]
fn a_gate_is_skipped_for_what_the_spec_asked_for_and_for_nothing_later() {
    let hotfix = ImageWith("bad", Token::SkipGate, "ops: the hotfix");
    let mut run = run(&[Image("v1")]);
    run.rest();
    run.world.act(Paused(true));
    run.world.act(hotfix);
    run.rest();
    run.world.act(Image("silent"));
    run.world.act(Paused(false));
    run.rest();
    assert!(end(&run.world)["stable"].ends_with(":v1"));
    assert_refused(&run, Token::SkipGate);

    run.world.act(Paused(true));
    run.world
        .act(ImageWith("bad", Token::SkipGate, "ops: the hotfix, again"));
    run.rest();
    let told = condition_message(&run.world, "Ready");
    let waits = "crmplatform.io/skip-gate by ops waits for the release of this spec to begin";
    assert!(told.contains(waits), "{told}");
    run.world.act(Paused(false));
    run.rest();
    assert!(end(&run.world)["stable"].ends_with(":bad"));
}

#[test]
fn a_request_that_was_left_in_a_manifest_skips_no_first_gate() {
    let mut run = Run::new(Story {
        acts: &[Image("bad")],
        ..STORIES[0]
    });
    run.world
        .act(Annotate(Token::SkipGate, "ops: the hotfix of last year"));
    run.rest();
    assert_eq!(end(&run.world)["stable"], "");
    assert_refused(&run, Token::SkipGate);
}

/// As long as nobody knows what the new spec asks for, the release that it has left changes nothing live.
#[test]
fn what_the_spec_has_left_goes_no_further_while_the_registry_is_away() {
    let mut run = run(&[Image("v1")]);
    run.rest();
    run.world.act(Image("v2"));
    while !run.world.is_in(Stage::Gate) {
        assert!(!run.turn(None), "it never came to its gate");
    }
    run.world.registry_away = true;
    run.world.act(Image("v1b"));
    // It asks the registry again and again.
    for _ in 0..200 {
        run.turn(None);
    }
    let memory = run.world.memory();
    let stages = &memory.releases[0].stages;
    let migrate = stages.iter().find(|stage| stage.name == Stage::Migrate);
    assert!(migrate.unwrap().jobs.is_empty(), "{}", tail(&run.world));
    let conditions = run.world.platform.status.clone().unwrap().conditions;
    let told = conditions.iter().find(|one| one.type_ == "Reconciling");
    assert_eq!(told.unwrap().reason, "ImageNotResolved");
    run.world.registry_away = false;
    run.rest();
    assert!(end(&run.world)["stable"].ends_with(":v1b"));
    assert_eq!(
        run.world.memory().stable.unwrap().release,
        run.world.memory().releases[0].release
    );
}

/// A test of what is live is dropped as soon as its release is, not when all services are back.
#[test]
fn a_newer_spec_stops_a_test_of_what_is_live_at_once() {
    let mut run = run(&[Image("v1")]);
    run.rest();
    run.world.act(Image("v2"));
    let running = |run: &Run| {
        let mut jobs = run.world.jobs.iter();
        let job = jobs.find(|(name, job)| {
            name.contains("-verify-smoke-") && job.view.end.is_none() && job.pod.is_some()
        });
        job.map(|(name, _)| name.clone())
    };
    while running(&run).is_none() {
        assert!(!run.turn(None), "it was never verified");
    }
    let job = running(&run).unwrap();
    run.world.act(Image("v1b"));
    while run.world.jobs.contains_key(&job) {
        assert!(!run.turn(None), "the test ran on:\n{}", tail(&run.world));
    }
    let returning = run.world.memory().candidate.unwrap().returning;
    assert!(returning.is_some(), "{}", tail(&run.world));
    run.rest();
    assert!(end(&run.world)["stable"].ends_with(":v1b"));
}
