//! Whole releases without a cluster: the real plan against models of the API server, the Job and Deployment controllers and the migration runner.
//!
//! Safety is asserted after every single write: no Deployment carries an image whose gate has not passed, a migration of the live database is applied at
//! most once and never stopped, contract never takes the ground from under a pod, nothing of one release is read for another. A failing seed or crash
//! point is printed with the story so far and can be run again by its number.

#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod api_server;
mod around;
mod backups;
mod beside;
mod configuration;
mod contracts;
mod controllers;
mod denied;
mod drift;
mod fixes;
mod forgeries;
mod freezes;
mod lag;
mod leaders;
mod logs;
mod losses;
mod operator;
mod pains;
mod people;
mod stories;
mod traffic;
mod unclear;
mod world;
mod writes;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use controllers::Move;
use crm_operator::api::status::{Memory, Token};
use crm_operator::desired::names;
use operator::{Fault, Writes, reconcile};
use stories::{Act, STORIES, Story};
use world::World;

/// Most of what a plan does is to make small objects; this makes the whole simulation nearly twice as fast.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Most looks of the operator in one story; more means that it does not come to rest.
const LIMIT: u32 = 4000;

/// Small seeded generator; the order must be the same on every machine.
struct Dice {
    state: u64,
    /// In how many of six turns the operator looks: one that looks seldom finds much at once.
    eagerness: usize,
}

impl Dice {
    fn of(seed: u64) -> Self {
        let state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut dice = Self {
            state,
            eagerness: 0,
        };
        dice.eagerness = 1 + dice.roll(4);
        dice
    }

    fn looks(&mut self) -> bool {
        let eagerness = self.eagerness;
        self.roll(6) < eagerness
    }

    fn roll(&mut self, sides: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        usize::try_from(self.state % sides as u64).unwrap()
    }
}

/// Where a run of a story stands.
#[derive(Clone)]
struct Run {
    story: Story,
    world: World,
    writes: Writes,
    next_act: usize,
    since_act: u32,
}

impl Run {
    fn new(story: Story) -> Self {
        Self {
            story,
            world: World::new(story.first_image(), story.verified),
            writes: Writes::default(),
            next_act: 1,
            since_act: 0,
        }
    }

    /// One turn: the operator looks, then something happens. True when all is quiet and the story is told. Without dice the operator looks after every
    /// move, as its watches would make it.
    fn turn(&mut self, mut dice: Option<&mut Dice>) -> bool {
        let looks = dice.as_mut().is_none_or(|dice| dice.looks());
        let before = self.world.saves;
        let around: Vec<_> = self.world.around.hashes().collect();
        if let Some(dice) = dice.as_mut() {
            let mut lag = std::mem::take(&mut self.world.lag);
            lag.pass(|sides| dice.roll(sides), || self.world.present());
            self.world.lag = lag;
            // Another process takes over: what this one has found and not written is lost.
            if dice.roll(20) == 0 {
                self.world.unsaved = None;
            }
        }
        let requeue = if looks {
            reconcile(&mut self.world, &mut self.writes)
        } else {
            Some(1)
        };
        self.since_act += 1;
        let more = self.next_act < self.story.acts.len();
        if more && self.is_time() {
            self.next_act();
            return false;
        }
        let all: Vec<Move> = controllers::moves(&self.world);
        if let Some(chosen) = pick(&all, dice) {
            controllers::step(&mut self.world, &chosen);
            self.world.pass_time(1);
            operator::check(&self.world);
            self.world.assert_traffic();
            self.world.assert_apart();
        } else if self.world.lag.is_any() {
            self.world.pass_time(1);
        } else if looks
            && self.world.saves == before
            // Its watches would wake it.
            && self.world.around.hashes().eq(around)
            && requeue.is_some_and(|seconds| seconds >= 600)
            && !self.world.thaws()
        {
            if !more {
                return true;
            }
            self.next_act();
        } else {
            self.world.pass_time(requeue.unwrap_or(1).min(30));
        }
        false
    }

    /// Whether the next act does not wait until all is quiet.
    fn is_time(&self) -> bool {
        let impatient = self.story.impatience;
        impatient.is_some_and(|turns| self.since_act > turns)
            || match self.story.acts[self.next_act] {
                Act::Reach(stage) => self.world.is_in(stage),
                Act::Serving => self.world.serves(),
                Act::Comparing => self.world.is_comparing(),
                _ => false,
            }
    }

    /// A run that stands where the first image has been installed, in order; what follows may come in any order.
    fn installed(story: Story) -> Self {
        let mut run = Self::new(Story {
            acts: &story.acts[..1],
            ..story
        });
        while !run.turn(None) {}
        Self { story, ..run }
    }

    /// Does what the story says next. A cue is followed by its act at once.
    fn next_act(&mut self) {
        loop {
            let act = self.story.acts[self.next_act];
            self.world.act(act);
            self.next_act += 1;
            self.since_act = 0;
            if !act.is_cue() {
                return;
            }
        }
    }

    /// Goes on in order until all is quiet.
    fn rest(&mut self) {
        for _ in 0..LIMIT {
            if self.turn(None) {
                return;
            }
        }
        panic!("it does not come to rest:\n{}", tail(&self.world));
    }

    fn finish(mut self, mut dice: Option<Dice>) -> World {
        for _ in 0..LIMIT {
            if self.turn(dice.as_mut()) {
                return self.world.clone();
            }
        }
        panic!(
            "{} does not come to rest:\n{}",
            self.story.name,
            tail(&self.world)
        );
    }
}

fn pick(all: &[Move], dice: Option<&mut Dice>) -> Option<Move> {
    if all.is_empty() {
        return None;
    }
    let index = dice.map_or(0, |dice| dice.roll(all.len()));
    Some(all[index].clone())
}

fn tail(world: &World) -> String {
    let start = world.transcript.len().saturating_sub(60);
    let status = serde_json::to_string_pretty(&world.platform.status).unwrap_or_default();
    format!(
        "{}\n{}",
        world.transcript[start..].join("\n"),
        &status[..status.len().min(3000)]
    )
}

/// The facts that must not depend on order or crashes.
fn end(world: &World) -> BTreeMap<&'static str, String> {
    let memory = world.memory();
    let stable = memory
        .stable
        .as_ref()
        .map(|stable| stable.images[0].image.clone())
        .unwrap_or_default();
    let mut live: Vec<_> = world.deployments.keys().cloned().collect();
    live.sort();
    let schemas: Vec<_> = world
        .schemas
        .iter()
        .filter(|((database, _), _)| database == "live")
        .collect();
    BTreeMap::from([
        ("stable", stable),
        (
            "candidate",
            format!(
                "{:?}",
                memory.candidate.as_ref().map(|candidate| (
                    &candidate.release,
                    candidate.stage,
                    candidate.held.is_some()
                ))
            ),
        ),
        ("deployments", format!("{live:?}")),
        (
            "services",
            format!("{:?}", world.services.keys().collect::<Vec<_>>()),
        ),
        ("pods", world.live_sizes()),
        ("around", format!("{:?}", world.around)),
        ("secrets", format!("{:?}", world.secrets)),
        ("schemas", format!("{schemas:?}")),
        ("databases", format!("{:?}", memory.scratch)),
        ("requests", requests(&memory)),
        (
            "rejected",
            format!(
                "{:?}",
                memory
                    .rejected
                    .iter()
                    .map(|rejected| (&rejected.release, &rejected.reason))
                    .collect::<Vec<_>>()
            ),
        ),
    ])
}

/// What each request did, how often each release was tried, and what people did to it.
fn requests(memory: &Memory) -> String {
    let mut handled = memory.last_handled.clone();
    let handled = Token::ALL.map(|token| {
        let last = handled.of(token).clone();
        last.map(|last| (last.value, last.result.starts_with("nothing was done")))
    });
    let tries: Vec<_> = memory
        .releases
        .iter()
        .map(|record| {
            let by = record.interventions.iter();
            (
                &record.release,
                record.round,
                by.map(|by| by.token).collect::<Vec<_>>(),
            )
        })
        .collect();
    format!("{handled:?} {tries:?}")
}

fn assert_served(story: Story, world: &World, whence: &str) {
    world.assert_dumps(&format!("{} {whence}", story.name));
    if let Some(serves) = story.serves {
        let end = end(world);
        assert_eq!(
            end["stable"],
            format!("registry.example/crm@sha256:{serves}"),
            "{} {whence}:\n{}",
            story.name,
            tail(world)
        );
        let slot = world.memory().stable.unwrap().slot;
        let pods = ["customer", "sales"].map(|service| names::pods("acme", service, slot));
        assert_eq!(
            end["deployments"],
            format!("{pods:?}"),
            "{} {whence}:\n{}",
            story.name,
            tail(world)
        );
        assert_eq!(
            end["databases"],
            "[]",
            "{} {whence}:\n{}",
            story.name,
            tail(world)
        );
    }
}

/// What a condition of the platform says.
fn condition_message(world: &World, which: &str) -> String {
    let status = world.platform.status.clone().unwrap();
    let mut all = status.conditions.into_iter();
    all.find(|condition| condition.type_ == which)
        .unwrap()
        .message
}

#[test]
fn tells_whole_releases_as_stories() {
    for story in STORIES {
        let world = Run::new(story).finish(None);
        assert_served(story, &world, "in order");
        insta::assert_snapshot!(story.name, world.transcript.join("\n"));
    }
}

/// Stories that between them make every kind of write.
const CRASHED: [&str; 19] = [
    "keeps_the_pods_that_load_asked_for",
    "switches_as_many_pods_as_load_asked_for",
    "goes_up_in_steps_by_the_route",
    "goes_on_with_a_newer_tag",
    "changes_configuration",
    "switches_all_services_together",
    "goes_up_in_steps",
    "stops_at_a_failing_step",
    "is_aborted_in_its_migration",
    "proves_each_backup",
    "compares_on_masked_rows",
    "upgrades_with_a_migration",
    "stops_a_bad_image",
    "returns_when_verify_fails",
    "waits_for_approval",
    "retries_what_is_held",
    "goes_back_to_an_earlier_release",
    "skips_the_gate_when_a_person_says_so",
    "pauses_and_goes_on",
];

/// Whether every fault is tried at every write, and many times as many orders, also of two leaders: `cargo e2e test --all`.
fn is_whole() -> bool {
    std::env::var_os("CRM_CAMPAIGN").is_some()
}

/// Does so many pieces of work, each of them once, on as many threads as the machine has cores, until one fails.
fn share_out(pieces: usize, work: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    let take = || {
        let piece = next.fetch_add(1, Ordering::Relaxed);
        (piece < pieces).then_some(piece)
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(piece) = take() {
                    let done = catch_unwind(AssertUnwindSafe(|| work(piece)));
                    done.unwrap_or_else(|panic| {
                        next.store(pieces, Ordering::Relaxed);
                        resume_unwind(panic)
                    });
                }
            });
        }
    });
}

#[test]
fn survives_a_crash_before_and_after_every_write_and_every_lost_answer() {
    let points = AtomicU32::new(0);
    share_out(CRASHED.len(), |piece| {
        let mut stories = STORIES.into_iter();
        let story = stories.find(|story| story.name == CRASHED[piece]).unwrap();
        points.fetch_add(crash_everywhere(story), Ordering::Relaxed);
    });
    let points = points.into_inner();
    println!("{points} crash points");
    assert!(points >= 600, "only {points} crash points");
}

/// Tells a story with each fault at each of its writes; answers how many times. The first act, which is the same in all stories, is broken in one of them.
fn crash_everywhere(story: Story) -> u32 {
    let mut points = 0;
    let expected = end(&Run::new(story).finish(None));
    let mut run = match story.name {
        "upgrades_with_a_migration" => Run::new(story),
        _ => Run::installed(story),
    };
    loop {
        let start = run.clone();
        let told = run.turn(None);
        for at in start.writes.made..run.writes.made {
            let faults = [Fault::CrashBefore, Fault::CrashAfter, Fault::LostAnswer];
            for (number, fault) in faults.into_iter().enumerate() {
                // Half of the writes meet one of them, and in the whole campaign each meets all.
                if !is_whole() && !(at + number).is_multiple_of(6) {
                    continue;
                }
                let mut crashed = start.clone();
                crashed.writes.fault = Some((at, fault));
                let world = crashed.finish(None);
                points += 1;
                if story.is_exact() {
                    let told = format!("{} with {fault:?} at write {at}", story.name);
                    assert_eq!(end(&world), expected, "{told}:\n{}", tail(&world));
                }
            }
        }
        if told {
            return points;
        }
    }
}

#[test]
fn comes_to_the_same_end_in_any_order() {
    let seeds = if is_whole() { 50_000 } else { 5_000 };
    // How each story ends when it is told in order, and where its orders begin to differ; made by the first seed that asks.
    let told = STORIES.map(|_| OnceLock::new());
    share_out(seeds, |seed| {
        let index = stories::chosen(seed);
        let story = STORIES[index];
        let (expected, start) = told[index].get_or_init(|| {
            let start = match story.acts {
                [_] => Run::new(story),
                _ => Run::installed(story),
            };
            (end(&Run::new(story).finish(None)), start)
        });
        let world = start.clone().finish(Some(Dice::of(seed as u64)));
        if story.is_exact() {
            assert_eq!(
                end(&world),
                *expected,
                "{} with seed {seed}:\n{}",
                story.name,
                tail(&world)
            );
        }
    });
}
