//! Approvals and freeze windows meet: a person lets a release through the window that holds, never through one that nobody knew of.

use crm_operator::api::status::{Stage, Token};

use crate::stories::Act::{Annotate, Approval, Freeze, Image, Reach};
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
