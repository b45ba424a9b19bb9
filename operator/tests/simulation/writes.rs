//! How often the status is written: at most five times for a gated release, and once more for each migration of the live database.

use crate::world::{Schema, World};
use crate::{Run, STORIES, Story};

use crate::stories::Act::Image;

/// Writes of a gated release without a migration: begun, rehearsed, tested, rolled out, verified.
const RELEASE: u32 = 5;

/// Jobs that migrated the live database since a line of the transcript.
fn migrations(world: &World, since: usize) -> u32 {
    let lines = world.transcript[since..].iter();
    let is_live = |line: &&String| {
        line.contains("creates Job")
            && (line.contains("-migrate-expand-") || line.contains("-optimise-"))
    };
    u32::try_from(lines.filter(is_live).count()).unwrap()
}

/// What an update costs of a platform that `edit` changes before it is installed.
fn update(image: &str, edit: impl Fn(&mut World)) -> (u32, u32) {
    let acts: &[_] = &[Image("v1")];
    let mut run = Run::new(Story { acts, ..STORIES[0] });
    edit(&mut run.world);
    while !run.turn(None) {}
    let (saves, lines) = (run.world.saves, run.world.transcript.len());
    run.world.set_image(image);
    while !run.turn(None) {}
    let world = &run.world;
    assert!(world.serves(), "{}", crate::tail(world));
    (world.saves - saves, migrations(world, lines))
}

fn one_service(world: &mut World) {
    world.platform.spec.services.truncate(1);
}

fn without_migrations(world: &mut World) {
    for service in &mut world.platform.spec.services {
        service.migrate = None;
    }
    // Somebody else brings the schema to where it has to be.
    let schema = Schema {
        level: 1,
        floor: 1,
        backfilled: 1,
    };
    for service in ["customer", "sales"] {
        let key = ("live".to_owned(), service.to_owned());
        world.schemas.insert(key, schema.clone());
    }
}

#[test]
fn a_gated_release_costs_five_writes_and_one_for_each_live_migration() {
    let plain = update("v1b", |world| {
        one_service(world);
        without_migrations(world);
    });
    assert_eq!(plain, (RELEASE, 0));
    // The last migration of a stage ends together with the stage.
    let (saves, migrations) = update("v1b", one_service);
    assert!(saves <= RELEASE + migrations && migrations == 1, "{saves}");
    let (saves, migrations) = update("v2", one_service);
    assert!(saves <= RELEASE + migrations && migrations == 3, "{saves}");
    let (saves, migrations) = update("v2", |_| {});
    assert!(saves <= RELEASE + migrations && migrations == 4, "{saves}");
    let (saves, _) = update("v1b", without_migrations);
    assert_eq!(saves, RELEASE, "of two services");
}

/// What each story costs; `cargo simulation -- writes --nocapture` prints it.
#[test]
fn no_story_costs_many_writes() {
    for story in STORIES {
        let mut run = Run::new(story);
        while !run.turn(None) {}
        let (saves, migrations) = (run.world.saves, migrations(&run.world, 0));
        let told = format!(
            "{saves:>4} writes, {migrations:>2} live migrations: {}",
            story.name
        );
        println!("{told}");
        let acts = u32::try_from(story.acts.len()).unwrap();
        assert!(saves <= (RELEASE + 1) * acts + migrations, "{told}");
    }
}
