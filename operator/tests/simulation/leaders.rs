//! Two operators that both believe to lead: the Lease has failed, and safety must not rest on it.
//!
//! Each has its own view of the cluster: the platform and its status as its watch showed them last, and kinds that lag. Their single writes come in any
//! order, between each other's and those of the cluster. The status is written over the version that was looked at, or not at all.

use std::collections::VecDeque;

use crm_operator::api::{CrmPlatform, CrmPlatformStatus};
use crm_operator::plan::action::Action;
use crm_operator::platform::Platform;
use crm_operator::status::{self, Save, Unsaved};

use crate::lag::Lag;
use crate::operator::{check, describe, whole};
use crate::world::{World, settings};
use crate::{Dice, LIMIT, Run, STORIES, Story, controllers, end, is_whole, pick, tail};

/// Most turns by which the platform's watch is behind, and for which a process is held up in a look; each of about a second.
const LATE: usize = 4;

/// One operator.
#[derive(Default)]
struct Leader {
    lag: Lag,
    /// The platform and its version, as last seen.
    seen: Option<(CrmPlatform, u64)>,
    behind: usize,
    look: Option<Look>,
    /// What it has found and not written yet.
    unsaved: Option<Unsaved>,
    /// The last look had nothing to do, and wants to look again in so many seconds.
    rests: Option<i64>,
}

/// A look that has begun.
struct Look {
    version: u64,
    actions: VecDeque<Action>,
    next: CrmPlatformStatus,
    requeue: i64,
    /// What to do with it.
    save: Save,
    /// Turns for which the process may still be held up.
    patience: usize,
}

/// Both, and the cluster.
struct Pair {
    leaders: [Leader; 2],
    run: Run,
    /// Of the platform object.
    version: u64,
    conflicts: u32,
}

impl Pair {
    /// Lets the watches of one operator show what there is, sooner or later.
    fn watch(&mut self, index: usize, dice: &mut Dice) {
        let world = &self.run.world;
        let leader = &mut self.leaders[index];
        leader
            .lag
            .pass(|sides| dice.roll(sides), || world.present());
        leader.behind = leader.behind.saturating_sub(1);
        let shown = leader.seen.as_ref().map(|(_, version)| *version);
        if leader.behind == 0 && shown != Some(self.version) {
            leader.seen = Some((world.platform.clone(), self.version));
            leader.behind = dice.roll(LATE);
            leader.rests = None;
        }
    }

    /// Begins a look, or makes its next write.
    fn act(&mut self, index: usize, dice: &mut Dice) {
        let Some(mut look) = self.leaders[index].look.take() else {
            self.begin(index, dice);
            return;
        };
        if look.patience > 0 && dice.roll(3) == 0 {
            look.patience -= 1;
            self.leaders[index].look = Some(look);
            return;
        }
        if let Some(action) = look.actions.pop_front() {
            let said = format!("operator {index}: {}", describe(&action.write));
            self.run.world.say(said);
            self.leaders[index].lag.written(&action.write);
            self.run.world.write(&action.write);
            check(&self.run.world);
            self.leaders[index].look = Some(look);
            return;
        }
        self.save(index, look);
    }

    fn begin(&mut self, index: usize, dice: &mut Dice) {
        let Some((platform, version)) = self.leaders[index].seen.clone() else {
            return;
        };
        let world = &mut self.run.world;
        let truth = std::mem::replace(&mut world.platform, platform);
        let mut observed = self.leaders[index].lag.behind(world.present());
        let kept = self.leaders[index].unsaved.as_ref();
        if let Some(found) = kept.and_then(|kept| kept.after(&observed.memory)) {
            observed.memory = found.clone();
        }
        let seen = std::mem::replace(&mut world.platform, truth);
        let planned = Platform::parse(&seen, &settings())
            .map(|platform| world.decide(&platform, &mut observed));
        for keep in planned.iter().flat_map(|plan| &plan.keeps) {
            world.keep(keep);
        }
        let actions = planned.iter().flat_map(|plan| plan.actions.clone());
        let next = status::next(&seen, &observed, &planned, None, world.now);
        let hindered = planned.as_ref().is_ok_and(|plan| plan.hindered);
        let status = seen.status.as_ref();
        let save = status::save(status, kept, &next, (hindered, world.now));
        self.leaders[index].look = Some(Look {
            version,
            actions: actions.collect(),
            next,
            save,
            requeue: planned.map_or(600, |plan| i64::try_from(plan.requeue.as_secs()).unwrap()),
            patience: dice.roll(LATE),
        });
    }

    /// Writes the status over the version that was looked at.
    fn save(&mut self, index: usize, look: Look) {
        let leader = &mut self.leaders[index];
        let seen = leader.seen.as_ref().map(|(_, version)| *version);
        // Otherwise its watch has shown something since, and it looks again.
        let rests = |seconds: i64| (seen == Some(look.version)).then_some(seconds.max(1));
        match look.save {
            Save::Nothing => {
                leader.unsaved = None;
                leader.rests = rests(look.requeue);
            }
            Save::Later(unsaved, left) => {
                leader.unsaved = Some(*unsaved);
                leader.rests = rests(look.requeue.min(whole(left)));
            }
            Save::Now if look.version == self.version => {
                leader.unsaved = None;
                self.run.world.save(look.next);
                check(&self.run.world);
                self.version += 1;
                // Its own last writes it sees before it looks again.
                leader.seen = Some((self.run.world.platform.clone(), self.version));
            }
            Save::Now => self.conflicts += 1,
        }
    }

    /// One turn of everything; true when all is quiet and the story is told.
    fn turn(&mut self, dice: &mut Dice) -> bool {
        for index in [0, 1] {
            self.watch(index, dice);
        }
        for _ in 0..dice.roll(5) {
            let index = dice.roll(2);
            self.act(index, dice);
        }
        let moves = controllers::moves(&self.run.world);
        if let Some(chosen) = pick(&moves, Some(dice)) {
            if dice.roll(3) > 0 {
                controllers::step(&mut self.run.world, &chosen);
                check(&self.run.world);
                self.leaders
                    .iter_mut()
                    .for_each(|leader| leader.rests = None);
            }
            self.run.world.pass_time(1);
            return false;
        }
        let lags = |leader: &Leader| leader.lag.is_any() || leader.look.is_some();
        let rest = |leader: &Leader| leader.rests.filter(|_| !lags(leader));
        match [rest(&self.leaders[0]), rest(&self.leaders[1])] {
            [Some(a), Some(b)] if a.min(b) >= 600 => return self.go_on(),
            [Some(a), Some(b)] => self.run.world.pass_time(a.min(b).min(10)),
            _ => self.run.world.pass_time(1),
        }
        false
    }

    fn go_on(&mut self) -> bool {
        if self.run.next_act == self.run.story.acts.len() {
            return true;
        }
        self.run.next_act();
        self.version += 1;
        false
    }
}

/// Tells a story with two leaders; answers the world and how often one of them came too late with its status.
fn tell(mut run: Run, mut dice: Dice) -> (World, u32) {
    run.world.two_operators = true;
    run.world.unsaved = None;
    let mut pair = Pair {
        leaders: Default::default(),
        run,
        version: 1,
        conflicts: 0,
    };
    for _ in 0..LIMIT * 4 {
        if pair.turn(&mut dice) {
            return (pair.run.world.clone(), pair.conflicts);
        }
    }
    panic!(
        "{} does not come to rest:\n{}",
        pair.run.story.name,
        tail(&pair.run.world)
    );
}

#[test]
fn two_leaders_migrate_once_and_come_to_the_same_end() {
    let seeds: u64 = if is_whole() { 1_000 } else { 40 };
    let told = [
        "installs",
        "upgrades_with_a_migration",
        "stops_a_bad_image",
        "returns_when_verify_fails",
        "stops_when_expand_fails",
        "waits_for_approval",
        "goes_back_to_an_earlier_release",
    ];
    let stories = STORIES
        .into_iter()
        .filter(|story| told.contains(&story.name));
    let mut conflicts = 0_u64;
    for story in stories {
        let expected = end(&Run::new(story).finish(None));
        let installed = match story {
            Story { acts: [_], .. } => Run::new(story),
            _ => Run::installed(story),
        };
        for seed in 1..=seeds {
            let dice = Dice::of(seed);
            let (world, late) = tell(installed.clone(), dice);
            conflicts += u64::from(late);
            assert_eq!(
                end(&world),
                expected,
                "{} with two leaders and seed {seed}:\n{}",
                story.name,
                tail(&world)
            );
        }
    }
    assert!(
        conflicts > seeds * 5,
        "only {conflicts} writes of a status came too late"
    );
}
