//! Whole releases without a cluster: the real plan against models of the API server, the Job and Deployment controllers and the migration runner.
//!
//! Safety is asserted after every single write: no Deployment carries an image whose gate has not passed, a migration of the live database is applied at
//! most once and never stopped, contract never takes the ground from under a pod, nothing of one release is read for another. A failing seed or crash
//! point is printed with the story so far and can be run again by its number.

mod controllers;
mod operator;
mod world;

use std::collections::BTreeMap;

use controllers::Move;
use operator::{Fault, Writes, reconcile};
use world::World;

/// A story: images in the order in which a user sets them, each after some moves of the cluster or when all is quiet.
#[derive(Clone, Copy, Debug)]
struct Story {
    name: &'static str,
    images: &'static [&'static str],
    /// Moves after which the next image is set; `None` waits until all is quiet.
    impatience: Option<u32>,
    /// Image that must serve in the end.
    serves: Option<&'static str>,
}

const STORIES: [Story; 10] = [
    Story {
        name: "installs",
        images: &["v1"],
        impatience: None,
        serves: Some("v1"),
    },
    Story {
        name: "upgrades_with_a_migration",
        images: &["v1", "v2"],
        impatience: None,
        serves: Some("v2"),
    },
    Story {
        name: "stops_a_bad_image",
        images: &["v1", "bad"],
        impatience: None,
        serves: Some("v1"),
    },
    Story {
        name: "holds_when_unclear",
        images: &["v1", "unclear"],
        impatience: None,
        serves: Some("v1"),
    },
    Story {
        name: "returns_when_pods_do_not_start",
        images: &["v1", "crash"],
        impatience: None,
        serves: Some("v1"),
    },
    Story {
        name: "returns_when_verify_fails",
        images: &["v1", "unverified"],
        impatience: None,
        serves: Some("v1"),
    },
    Story {
        name: "stops_when_expand_fails",
        images: &["v1", "unmigrated"],
        impatience: None,
        serves: Some("v1"),
    },
    Story {
        name: "refuses_below_the_floor",
        images: &["v1", "v2", "v1b"],
        impatience: None,
        serves: Some("v2"),
    },
    Story {
        name: "follows_an_impatient_user",
        images: &["v1", "bad", "v2", "v1b", "v2"],
        impatience: Some(9),
        serves: None,
    },
    Story {
        name: "comes_back_to_a_release",
        images: &["v1", "v1b", "v1"],
        impatience: None,
        serves: Some("v1"),
    },
];

/// Most looks of the operator in one story; more means that it does not come to rest.
const LIMIT: u32 = 4000;

/// Small seeded generator; the order must be the same on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap()
    }
}

/// Runs a story to its end. Without a seed the operator looks after every move, as its watches would make it.
fn run(story: Story, seed: Option<u64>, writes: &mut Writes) -> World {
    let mut dice = seed.map(|seed| Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1));
    let mut world = World::new(story.images[0]);
    let mut next_image = 1;
    let mut since_image = 0;
    for _ in 0..LIMIT {
        let looks = dice.as_mut().is_none_or(|dice| dice.roll(3) > 0);
        let before = world.platform.status.clone();
        let requeue = if looks {
            reconcile(&mut world, writes)
        } else {
            Some(1)
        };
        let all: Vec<Move> = controllers::moves(&world);
        since_image += 1;
        let impatient = story
            .impatience
            .is_some_and(|after| since_image > after * 3);
        if next_image < story.images.len() && impatient {
            world.set_image(story.images[next_image]);
            next_image += 1;
            since_image = 0;
            continue;
        }
        if let Some(chosen) = pick(&all, dice.as_mut()) {
            controllers::step(&mut world, &chosen);
            world.pass_time(1);
        } else if looks
            && world.platform.status == before
            && requeue.is_some_and(|seconds| seconds >= 600)
        {
            if next_image >= story.images.len() {
                return world;
            }
            world.set_image(story.images[next_image]);
            next_image += 1;
            since_image = 0;
        } else {
            world.pass_time(requeue.unwrap_or(1).min(30));
        }
        operator::check(&world);
    }
    panic!("{} does not come to rest:\n{}", story.name, tail(&world));
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
        ("secrets", format!("{:?}", world.secrets)),
        ("schemas", format!("{schemas:?}")),
        ("databases", format!("{:?}", memory.scratch)),
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

fn assert_served(story: Story, world: &World, whence: &str) {
    if let Some(serves) = story.serves {
        let end = end(world);
        assert_eq!(
            end["stable"],
            format!("registry.example/crm@sha256:{serves}"),
            "{} {whence}:\n{}",
            story.name,
            tail(world)
        );
        assert_eq!(
            end["deployments"],
            "[\"acme-customer\", \"acme-sales\"]",
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

#[test]
fn tells_whole_releases_as_stories() {
    for story in STORIES {
        let world = run(story, None, &mut Writes::default());
        assert_served(story, &world, "in order");
        insta::assert_snapshot!(story.name, world.transcript.join("\n"));
    }
}

#[test]
fn survives_a_crash_before_and_after_every_write_and_every_lost_answer() {
    let mut points = 0;
    for story in STORIES {
        let mut reference = Writes::default();
        let expected = end(&run(story, None, &mut reference));
        for at in 0..reference.made {
            for fault in [Fault::CrashBefore, Fault::CrashAfter, Fault::LostAnswer] {
                let world = run(
                    story,
                    None,
                    &mut Writes {
                        made: 0,
                        fault: Some((at, fault)),
                    },
                );
                points += 1;
                if story.impatience.is_none() {
                    assert_eq!(
                        end(&world),
                        expected,
                        "{} with {fault:?} at write {at}:\n{}",
                        story.name,
                        tail(&world)
                    );
                }
            }
        }
    }
    assert!(points >= 300, "only {points} crash points");
}

#[test]
fn comes_to_the_same_end_in_any_order() {
    let seeds: u64 = 2000;
    let expected: Vec<_> = STORIES
        .iter()
        .map(|story| end(&run(*story, None, &mut Writes::default())))
        .collect();
    let halves = [0, 1].map(|half| {
        let expected = expected.clone();
        std::thread::spawn(move || {
            for seed in (0..seeds).filter(|seed| seed % 2 == half) {
                let index = usize::try_from(seed / 2).unwrap() % STORIES.len();
                let story = STORIES[index];
                let world = run(story, Some(seed + 1), &mut Writes::default());
                if story.impatience.is_none() {
                    assert_eq!(
                        end(&world),
                        expected[index],
                        "{} with seed {seed}:\n{}",
                        story.name,
                        tail(&world)
                    );
                }
            }
        })
    });
    for half in halves {
        half.join().unwrap();
    }
}
