//! What users of other tools have met and no story tells; `docs/pain-points.md` lists all of it.

use std::collections::BTreeSet;

use crm_operator::api::spec::{EnvSpec, StrategyType};
use crm_operator::api::status::{Stage, Token, Verdict};
use crm_operator::desired::labels;

use crate::stories::Act::{self, Annotate, Image, Reach, Strategy};
use crate::world::{World, label};
use crate::{Run, STORIES, Story, assert_served, end};

/// Does all of it, waits until all is quiet, and sees that this image serves.
fn told(name: &'static str, acts: &'static [Act], serves: &'static str) -> World {
    let story = Story {
        name,
        acts,
        serves: Some(serves),
        ..STORIES[0]
    };
    let world = Run::new(story).finish(None);
    assert_served(story, &world, "in order");
    world
}

#[test]
fn a_canary_that_was_aborted_is_tried_again() {
    let world = told(
        "a canary is aborted and tried again",
        &[
            Image("v1"),
            Strategy(StrategyType::Canary),
            Image("v1b"),
            Reach(Stage::Rollout),
            Annotate(Token::Abort, "ben: wrong day"),
            Annotate(Token::Retry, "ben: now"),
        ],
        "v1b",
    );
    let verdicts: Vec<_> = world
        .memory()
        .releases
        .iter()
        .map(|release| (release.round, release.verdict))
        .collect();
    assert_eq!(
        verdicts[..2],
        [(2, Some(Verdict::Passed)), (1, Some(Verdict::Aborted))]
    );
}

#[test]
fn the_next_image_comes_after_an_abort() {
    told(
        "the next image after an abort",
        &[
            Image("v1"),
            Image("unclear"),
            Reach(Stage::Gate),
            Annotate(Token::Abort, "ben: wrong image"),
            Image("v2"),
        ],
        "v2",
    );
}

#[test]
fn setting_the_old_image_again_clears_the_failed_one_away() {
    let world = told(
        "the old image is set again",
        &[Image("v1"), Image("unmigrated"), Image("v1")],
        "v1",
    );
    assert_eq!(end(&world)["candidate"], "None");
    let status = world.platform.status.clone().unwrap();
    let mut ready = status.conditions.iter();
    assert!(
        ready.any(|condition| condition.type_ == "Ready" && condition.status == "True"),
        "{:?}",
        status.conditions
    );
}

#[test]
fn old_releases_leave_nothing_behind() {
    let mut run = Run::installed(Story {
        acts: &[Image("v1")],
        ..STORIES[0]
    });
    for number in 0..13 {
        run.world.platform.spec.services[0].env = vec![EnvSpec {
            name: "NUMBER".into(),
            value: number.to_string(),
        }];
        run.world.new_spec();
        while !run.turn(None) {}
    }
    let world = &run.world;
    let jobs = world.jobs.values();
    let with_jobs: BTreeSet<_> = jobs
        .map(|job| label(&job.job.metadata, labels::RELEASE))
        .collect();
    assert_eq!(with_jobs.len(), 3, "{with_jobs:?}");
    let remembered = world.memory().releases.len();
    assert_eq!((remembered, world.revisions.len()), (10, 10));
    assert_eq!(end(world)["databases"], "[]");
}
