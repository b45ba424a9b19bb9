//! Approvals and freeze windows meet: a person lets a release through the window that holds, never through one that nobody knew of.

use crm_operator::api::status::{Stage, Token};

use crate::operator::reconcile;
use crate::stories::Act::{Annotate, Approval, Freeze, Image, Reach};
use crate::unclear::{serving, until};
use crate::world::World;
use crate::{Run, STORIES, Story};

fn ready(run: &Run) -> (String, String) {
    let status = run.world.platform.status.as_ref().unwrap();
    let mut all = status.conditions.iter();
    let ready = all.find(|condition| condition.type_ == "Ready").unwrap();
    (ready.reason.clone(), ready.message.clone())
}

#[test]
fn an_approval_goes_through_no_window_that_opens_after_it() {
    let mut run = Run::new(Story {
        acts: &[
            Image("v1"),
            Approval,
            Image("v2"),
            Annotate(Token::Approve, "ops: looks good"),
            Reach(Stage::Migrate),
            Freeze("0 * * * *", 120),
        ],
        ..STORIES[0]
    });
    run.rest();
    let candidate = run.world.memory().candidate.unwrap();
    assert_eq!(
        candidate.stage,
        Stage::Rollout,
        "what has begun is finished"
    );
    assert_eq!(ready(&run).0, "Frozen");
    assert!(!run.world.serves());
    let again = Annotate(Token::Approve, "ops: also in the freeze");
    run.world.act(again);
    run.rest();
    assert!(run.world.serves(), "{}", crate::tail(&run.world));
}

#[test]
fn who_is_asked_for_an_approval_is_told_of_the_window_that_it_goes_through() {
    let mut run = Run::new(Story {
        acts: &[Image("v1"), Approval, Freeze("0 * * * *", 120), Image("v2")],
        ..STORIES[0]
    });
    run.rest();
    let (reason, words) = ready(&run);
    assert_eq!(reason, "WaitingForApproval");
    assert!(
        words.contains("nothing live is changed while windows follow"),
        "{words}"
    );
    run.world
        .act(Annotate(Token::Approve, "ops: the fix for today"));
    run.rest();
    assert!(run.world.serves(), "{}", crate::tail(&run.world));
}

/// What serves is still at its last stage: a newer release waits for the migration that runs, and not for the window.
#[test]
fn a_window_that_holds_back_only_the_last_stage_is_not_why_a_newer_release_waits() {
    let mut run = serving();
    run.world.set_image("v2");
    let backfill = |world: &World| {
        let mut jobs = world.jobs.values();
        let job = jobs.find(|job| job.view.name.contains("-optimise-backfill-"));
        job.cloned()
    };
    until(&mut run, |world| {
        let pod = backfill(world).and_then(|job| job.pod);
        pod.is_some_and(|pod| pod.phase == "Succeeded")
    });
    // Its pod has ended well, and its Job does not say so yet.
    let name = backfill(&run.world).unwrap().view.name;
    run.world.jobs.get_mut(&name).unwrap().view.end = None;
    run.world.act(Freeze("0 * * * *", 120));
    run.world.act(Image("bad"));
    reconcile(&mut run.world, &mut run.writes);
    assert_eq!(run.world.memory().candidate, None);
    let (reason, words) = ready(&run);
    assert_eq!(reason, "Progressing", "{words}");
    assert!(
        words.contains("a migration of the live database"),
        "{words}"
    );
}
