//! What users do, as stories: images in the order in which they are set, and what people say to them.

use crm_operator::api::spec::StrategyType;
use crm_operator::api::status::{Stage, Token};

use Act::{
    Annotate, Approval, Autoscale, Backup, Comparing, Dumps, Env, Expose, Follow, Freeze, Image,
    ImageWith, Load, Paused, Push, Reach, Serving, SideBySide, Spoil, Strategy,
};
use StrategyType::{BlueGreen, Canary, RollingUpdate};

/// A story: what a user does, each after some moves of the cluster or when all is quiet.
#[derive(Clone, Copy, Debug)]
pub struct Story {
    pub name: &'static str,
    /// The first is an image.
    pub acts: &'static [Act],
    /// Turns after which the next act comes; `None` waits until all is quiet.
    pub impatience: Option<u32>,
    /// Image that must serve in the end.
    pub serves: Option<&'static str>,
    /// Whether a test runs in Verify too.
    pub verified: bool,
}

/// What a user does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Sets this image.
    Image(&'static str),
    /// Sets this image and annotates the platform, in one write.
    ImageWith(&'static str, Token, &'static str),
    /// Annotates the platform. An image at the beginning of a value stands for the release that has it.
    Annotate(Token, &'static str),
    /// Sets `spec.paused`.
    Paused(bool),
    /// Sets `approval: Manual`.
    Approval,
    /// Sets a freeze window by its schedule and minutes.
    Freeze(&'static str, i32),
    /// Asks for a backup before each migration, restored in the rehearsal.
    Backup,
    /// Asks for a backup before each migration, and for rehearsals on synthetic rows as before.
    Dumps,
    /// Asks for stable's tests on each new schema, and for a test of speed.
    SideBySide,
    /// Sets how traffic goes over; a canary in two steps.
    Strategy(StrategyType),
    /// Lets an autoscaler decide how many pods customer has, or not any more.
    Autoscale(bool),
    /// That autoscaler finds that so many pods are needed.
    Load(i32),
    /// Exposes the platform by a Gateway.
    Expose,
    /// Lets newer tags become releases by themselves; the image that is set has the tag 1.0.0.
    Follow,
    /// Somebody pushes an image under a tag.
    Push(&'static str, &'static str),
    /// Sets the environment of one service, and nothing else.
    Env(&'static str),
    /// No file on the volume of the backups can be restored any more.
    Spoil,
    /// A cue: the next act comes when the candidate is in this stage.
    Reach(Stage),
    /// A cue: the next act comes when the image of the spec serves.
    Serving,
    /// A cue: the next act comes when stable stands beside the candidate.
    Comparing,
}

impl Act {
    pub fn is_cue(self) -> bool {
        matches!(self, Reach(_) | Serving | Comparing)
    }
}

impl Story {
    pub fn first_image(self) -> &'static str {
        match self.acts[0] {
            Image(tag) => tag,
            other => panic!("a story begins with an image, not with {other:?}"),
        }
    }

    /// Whether its end is the same in any order.
    pub fn is_exact(self) -> bool {
        self.impatience.is_none() && !self.acts.iter().any(|act| act.is_cue())
    }
}

const fn story(name: &'static str, acts: &'static [Act], serves: &'static str) -> Story {
    Story {
        name,
        acts,
        impatience: None,
        serves: Some(serves),
        verified: true,
    }
}

pub const STORIES: [Story; 71] = [
    story("installs", &[Image("v1")], "v1"),
    story(
        "upgrades_with_a_migration",
        &[Image("v1"), Image("v2")],
        "v2",
    ),
    story("stops_a_bad_image", &[Image("v1"), Image("bad")], "v1"),
    story("holds_when_unclear", &[Image("v1"), Image("unclear")], "v1"),
    story(
        "returns_when_pods_do_not_start",
        &[Image("v1"), Image("crash")],
        "v1",
    ),
    story(
        "returns_when_verify_fails",
        &[Image("v1"), Image("unverified")],
        "v1",
    ),
    story(
        "stops_when_expand_fails",
        &[Image("v1"), Image("unmigrated")],
        "v1",
    ),
    story(
        "refuses_below_the_floor",
        &[Image("v1"), Image("v2"), Image("v1b")],
        "v2",
    ),
    Story {
        serves: None,
        impatience: Some(28),
        ..story(
            "follows_an_impatient_user",
            &[
                Image("v1"),
                Image("bad"),
                Image("v2"),
                Image("v1b"),
                Image("v2"),
            ],
            "",
        )
    },
    story(
        "comes_back_to_a_release",
        &[Image("v1"), Image("v1b"), Image("v1")],
        "v1",
    ),
    Story {
        verified: false,
        ..story(
            "serves_without_a_test_for_verify",
            &[Image("v1"), Image("v2")],
            "v2",
        )
    },
    story(
        "waits_for_approval",
        &[
            Image("v1"),
            Approval,
            Image("v2"),
            Annotate(Token::Approve, "ops: checked by hand"),
        ],
        "v2",
    ),
    story(
        "is_aborted_while_it_waits",
        &[
            Image("v1"),
            Approval,
            Image("v2"),
            Annotate(Token::Abort, "ben: not today"),
        ],
        "v1",
    ),
    story(
        "approves_only_what_waits",
        &[
            Image("v1"),
            Approval,
            Annotate(Token::Approve, "ops: too early"),
            Image("v2"),
        ],
        "v1",
    ),
    story(
        "waits_until_it_thaws",
        &[Image("v1"), Freeze("0 * * * *", 55), Image("v2")],
        "v2",
    ),
    story(
        "goes_through_a_freeze_when_approved",
        &[
            Image("v1"),
            Freeze("0 * * * *", 120),
            Image("v2"),
            Annotate(Token::Approve, "ops: the fix for today"),
        ],
        "v2",
    ),
    story(
        "finishes_a_roll_out_when_it_freezes",
        &[
            Image("v1"),
            Image("v1b"),
            Reach(Stage::Rollout),
            Freeze("0 * * * *", 120),
        ],
        "v1b",
    ),
    story(
        "pauses_and_goes_on",
        &[Image("v1"), Paused(true), Image("v2"), Paused(false)],
        "v2",
    ),
    story(
        "finishes_a_roll_out_when_it_pauses",
        &[
            Image("v1"),
            Image("v2"),
            Reach(Stage::Rollout),
            Paused(true),
            Paused(false),
        ],
        "v2",
    ),
    story(
        "is_aborted_in_its_gate",
        &[
            Image("v1"),
            Image("v2"),
            Reach(Stage::Gate),
            Annotate(Token::Abort, "ben: wrong image"),
        ],
        "v1",
    ),
    story(
        "is_aborted_in_its_migration",
        &[
            Image("v1"),
            Image("v2"),
            Reach(Stage::Migrate),
            Annotate(Token::Abort, "ben: wrong image"),
        ],
        "v1",
    ),
    story(
        "is_aborted_in_its_roll_out",
        &[
            Image("v1"),
            Image("v2"),
            Reach(Stage::Rollout),
            Annotate(Token::Abort, "ben: wrong image"),
        ],
        "v1",
    ),
    story(
        "retries_what_is_held",
        &[
            Image("v1"),
            Image("unclear"),
            Annotate(Token::Retry, "1"),
            Annotate(Token::Retry, "1"),
        ],
        "v1",
    ),
    story(
        "retries_what_was_rejected",
        &[
            Image("v1"),
            Image("bad"),
            Annotate(Token::Retry, "ops: flaky network"),
        ],
        "v1",
    ),
    story(
        "tries_again_what_is_asked_for_again",
        &[Image("v1"), Image("bad"), Image("v1b"), Image("bad")],
        "v1b",
    ),
    story(
        "goes_back_to_an_earlier_release",
        &[
            Image("v1"),
            Image("v1b"),
            Annotate(Token::RollbackTo, "v1 ops: slower than before"),
        ],
        "v1",
    ),
    story(
        "does_not_go_back_below_the_floor",
        &[
            Image("v1"),
            Image("v2"),
            Annotate(Token::RollbackTo, "v1 ops: slower than before"),
        ],
        "v2",
    ),
    story(
        "goes_back_from_what_is_held",
        &[
            Image("v1"),
            Image("v1b"),
            Image("unclear"),
            Annotate(Token::RollbackTo, "v1 ops: back to the first"),
        ],
        "v1",
    ),
    story(
        "keeps_the_rejection_when_the_way_back_fails",
        &[
            Image("v1"),
            Image("v2"),
            Image("bad"),
            Annotate(Token::RollbackTo, "v1 ops: slower than before"),
        ],
        "v2",
    ),
    story(
        "waits_for_approval_after_a_pause",
        &[
            Image("v1"),
            Approval,
            Image("v2"),
            Reach(Stage::Gate),
            Paused(true),
            Paused(false),
        ],
        "v1",
    ),
    story(
        "skips_the_gate_of_the_image_that_it_came_with",
        &[
            Image("v1"),
            Image("unclear"),
            ImageWith("v2", Token::SkipGate, "ops: the hotfix"),
        ],
        "v2",
    ),
    story(
        "skips_the_gate_when_a_person_says_so",
        &[
            Image("v1"),
            Image("unclear"),
            Annotate(Token::SkipGate, "ops: test database is down"),
        ],
        "unclear",
    ),
    story(
        "proves_each_backup",
        &[Image("v1"), Backup, Image("v2"), Image("bad")],
        "v2",
    ),
    story(
        "holds_when_its_backup_cannot_be_restored",
        &[Image("v1"), Backup, Spoil, Image("v2")],
        "v1",
    ),
    story(
        "keeps_old_columns_while_its_backup_is_not_proven",
        &[
            Image("v1"),
            Backup,
            Spoil,
            Image("v2"),
            Annotate(Token::SkipGate, "ops: the fix cannot wait"),
        ],
        "v2",
    ),
    story(
        "dumps_before_it_migrates",
        &[Image("v1"), Dumps, Image("v2")],
        "v2",
    ),
    story(
        "stops_a_silent_failure",
        &[Image("v1"), Image("silent")],
        "v1",
    ),
    story(
        "gates_what_comes_right_after_a_promotion",
        &[Image("v1"), Image("v2"), Serving, Image("bad")],
        "v2",
    ),
    story(
        "compares_the_candidate_with_stable",
        &[Image("v1"), SideBySide, Image("v2")],
        "v2",
    ),
    story(
        "compares_on_masked_rows",
        &[Image("v1"), Backup, SideBySide, Image("v2")],
        "v2",
    ),
    story(
        "has_nothing_to_compare_with_at_first",
        &[Image("unclear"), SideBySide, Image("v1")],
        "v1",
    ),
    story(
        "stops_what_breaks_stable",
        &[Image("v1"), SideBySide, Image("breaking")],
        "v1",
    ),
    story(
        "stops_what_is_slower",
        &[Image("v1"), SideBySide, Image("slow")],
        "v1",
    ),
    story(
        "ends_a_comparison_for_a_newer_spec",
        &[
            Image("v1"),
            SideBySide,
            Image("v2"),
            Comparing,
            Image("v1b"),
        ],
        "v1b",
    ),
    story(
        "switches_all_services_together",
        &[Image("v1"), Strategy(BlueGreen), Image("v2")],
        "v2",
    ),
    story(
        "switches_there_and_back",
        &[Image("v1"), Strategy(BlueGreen), Image("v1b"), Image("v1")],
        "v1",
    ),
    story(
        "switches_back_when_verify_fails",
        &[Image("v1"), Strategy(BlueGreen), Image("unverified")],
        "v1",
    ),
    story(
        "does_not_switch_to_pods_that_do_not_start",
        &[Image("v1"), Strategy(BlueGreen), Image("crash")],
        "v1",
    ),
    story(
        "replaces_pods_where_the_last_switch_left_them",
        &[
            Image("v1"),
            Strategy(BlueGreen),
            Image("v1b"),
            Strategy(RollingUpdate),
            Image("v2"),
        ],
        "v2",
    ),
    story(
        "goes_back_to_pods_that_still_run",
        &[
            Image("v1"),
            Strategy(BlueGreen),
            Image("v1b"),
            Serving,
            Annotate(Token::RollbackTo, "v1 ops: slower than before"),
        ],
        "v1",
    ),
    story(
        "goes_up_in_steps",
        &[Image("v1"), Strategy(Canary), Image("v2")],
        "v2",
    ),
    story(
        "stops_at_a_failing_step",
        &[Image("v1"), Strategy(Canary), Image("unverified")],
        "v1",
    ),
    story(
        "stops_a_canary_whose_pods_are_started_again",
        &[Image("v1"), Strategy(Canary), Image("restless")],
        "v1",
    ),
    story(
        "is_aborted_between_two_steps",
        &[
            Image("v1"),
            Strategy(Canary),
            Image("v1b"),
            Reach(Stage::Rollout),
            Annotate(Token::Abort, "ben: wrong image"),
        ],
        "v1",
    ),
    story(
        "keeps_the_pods_that_load_asked_for",
        &[
            Image("v1"),
            Autoscale(true),
            Image("v1b"),
            Load(5),
            Image("v2"),
        ],
        "v2",
    ),
    story(
        "switches_as_many_pods_as_load_asked_for",
        &[
            Image("v1"),
            Autoscale(true),
            Strategy(BlueGreen),
            Load(5),
            Image("v1b"),
            Load(3),
            Image("v2"),
        ],
        "v2",
    ),
    story(
        "scales_as_the_spec_says_again",
        &[Image("v1"), Autoscale(true), Load(5), Autoscale(false)],
        "v1",
    ),
    story(
        "goes_up_in_steps_by_the_route",
        &[Image("v1"), Expose, Strategy(Canary), Image("v2")],
        "v2",
    ),
    story(
        "takes_the_route_back_at_a_failing_step",
        &[Image("v1"), Expose, Strategy(Canary), Image("unverified")],
        "v1",
    ),
    story(
        "changes_configuration",
        &[Image("v1"), Env("loud"), Image("v2"), Env("quiet")],
        "v2",
    ),
    story(
        "returns_when_new_configuration_fails_verify",
        &[Image("v1"), Env("broken")],
        "v1",
    ),
    story(
        "gates_new_configuration_of_what_was_never_gated",
        &[
            Image("v1"),
            Image("unclear"),
            Annotate(Token::SkipGate, "ops: test database is down"),
            Env("loud"),
        ],
        "unclear",
    ),
    story(
        "waits_for_approval_of_configuration",
        &[
            Image("v1"),
            Approval,
            Env("loud"),
            Annotate(Token::Approve, "ops: checked by hand"),
        ],
        "v1",
    ),
    story(
        "goes_back_to_earlier_configuration",
        &[
            Image("v1"),
            Env("loud"),
            Env("quiet"),
            Annotate(Token::RollbackTo, "loud ops: it was better"),
        ],
        "v1",
    ),
    Story {
        serves: None,
        impatience: Some(23),
        ..story(
            "follows_an_impatient_user_with_a_canary",
            &[
                Image("v1"),
                Strategy(Canary),
                Image("unverified"),
                Strategy(BlueGreen),
                Image("v1b"),
                Strategy(Canary),
                Image("v2"),
            ],
            "",
        )
    },
    story(
        "releases_a_new_tag_by_itself",
        &[Image("v1"), Follow, Push("1.1.0", "v2")],
        "v2",
    ),
    story(
        "ignores_a_rejected_tag",
        &[
            Image("v1"),
            Follow,
            Push("1.1.0", "bad"),
            Push("1.1.1", "bad"),
            Push("0.9.0", "v1b"),
        ],
        "v1",
    ),
    story(
        "goes_on_with_a_newer_tag",
        &[
            Image("v1"),
            Follow,
            Push("1.1.0", "bad"),
            Push("1.2.0", "v2"),
            Push("1.2.1", "bad"),
        ],
        "v2",
    ),
    story(
        "stays_where_a_person_went_back_to",
        &[
            Image("v1"),
            Follow,
            Push("1.1.0", "v1b"),
            Annotate(Token::RollbackTo, "v1 ops: slower than before"),
            Push("1.1.1", "v1b"),
        ],
        "v1",
    ),
    story(
        "goes_on_after_a_way_back_with_a_newer_tag",
        &[
            Image("v1"),
            Follow,
            Push("1.1.0", "v1b"),
            Annotate(Token::RollbackTo, "v1 ops: slower than before"),
            Push("1.2.0", "v2"),
        ],
        "v2",
    ),
    story(
        "lets_a_new_tag_wait_for_approval",
        &[Image("v1"), Approval, Follow, Push("1.1.0", "v2")],
        "v1",
    ),
];

/// Stories of which one turn in twenty tells one: each of them takes twice as long as another.
const LONG: [&str; 9] = [
    "keeps_the_pods_that_load_asked_for",
    "switches_as_many_pods_as_load_asked_for",
    "follows_an_impatient_user_with_a_canary",
    "waits_until_it_thaws",
    "proves_each_backup",
    "goes_on_after_a_way_back_with_a_newer_tag",
    "compares_the_candidate_with_stable",
    "compares_on_masked_rows",
    "ends_a_comparison_for_a_newer_spec",
];
/// How many turns there are for one of those.
const RARELY: usize = 20;

/// Which story a turn tells.
pub fn chosen(turn: usize) -> usize {
    let is_long = |index: &usize| LONG.contains(&STORIES[*index].name);
    let (long, short): (Vec<_>, Vec<_>) = (0..STORIES.len()).partition(is_long);
    let before = turn / RARELY;
    match turn.is_multiple_of(RARELY) {
        true => long[before % long.len()],
        false => short[(turn - before - 1) % short.len()],
    }
}

#[test]
fn many_seeds_tell_each_story() {
    let is_told = |name: &&str| STORIES.iter().any(|story| story.name == *name);
    assert!(LONG.iter().all(is_told), "a long story has another name");
    let mut told = [0; STORIES.len()];
    (0..1_000).for_each(|turn| told[chosen(turn)] += 1);
    let seldom = told.iter().zip(STORIES).filter(|(times, _)| **times < 5);
    let seldom: Vec<_> = seldom.map(|(_, story)| story.name).collect();
    assert!(seldom.is_empty(), "{seldom:?}");
}
