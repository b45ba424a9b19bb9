//! The volume of the dumps in the model, and the two Jobs that use it. What is promised of them is checked where they run.

use std::collections::{BTreeMap, BTreeSet};

use crm_operator::api::spec::{BackupPolicy, BackupSpec, RehearsalData};
use crm_operator::api::status::{Token, Verdict};
use crm_operator::desired::names;

use crate::stories::Act::{self, Backup, Env, Image};
use crate::world::{Schema, World};
use crate::{Run, STORIES, Story, tail};

/// A dump of an earlier platform of the same name, which left its volume.
const EARLIER: &str = "99999999-rearlier000-1";

/// Files by id, the oldest first, each with the schemas of the services; and what the rehearsals did with them.
#[derive(Clone, Debug, Default)]
pub struct Volume {
    made: bool,
    files: Vec<(String, BTreeMap<String, Schema>)>,
    /// Releases of which a dump was made.
    dumped: BTreeSet<String>,
    /// Releases on whose scratch database real rows are.
    pub restored: Vec<String>,
    /// Databases and services whose rows on them are masked.
    pub masked: Vec<(String, String)>,
    /// Files cannot be restored any more.
    pub rotten: bool,
}

impl Volume {
    fn has(&self, id: &str) -> bool {
        self.files.iter().any(|(file, _)| file == id)
    }

    /// What is on it but for the dumps of others, the newest first.
    fn own(&self) -> Vec<&str> {
        let all = self.files.iter().rev().map(|(file, _)| file.as_str());
        all.filter(|file| *file != EARLIER).collect()
    }

    /// Removes what has no room beside the dump that was made.
    fn prune(&mut self, made: &Dump<'_>) {
        let begin = format!("{}-", made.own);
        let mut own = self.own();
        own.retain(|file| file.starts_with(&begin));
        let of_stable = format!("{begin}{}-", made.stable);
        let stable = own.iter().find(|file| file.starts_with(&of_stable));
        let mut listed: Vec<_> = made.kept.split(' ').collect();
        listed.extend(stable);
        listed.push(made.id);
        let is_listed = |file: &&str| listed.contains(file);
        let (stay, others): (Vec<_>, Vec<_>) = own.iter().copied().partition(is_listed);
        let room = (made.keep + 1).saturating_sub(stay.len());
        let gone: Vec<_> = others.iter().skip(room).map(ToString::to_string).collect();
        self.files.retain(|(file, _)| !gone.contains(file));
    }
}

/// What a Job that dumps is told.
pub struct Dump<'a> {
    pub id: &'a str,
    pub own: &'a str,
    pub kept: &'a str,
    pub keep: usize,
    pub stable: &'a str,
}

impl World {
    /// A user asks for backups, and what a rehearsal shows.
    pub fn ask_for_backups(&mut self, data: RehearsalData) {
        let database = &mut self.platform.spec.database;
        database.rehearsal.data = data;
        let spec: BackupSpec = serde_json::from_str(r#"{"keep": 1}"#).unwrap();
        database.backup = Some(spec);
    }

    pub fn make_volume(&mut self) {
        if !self.volume.made {
            self.volume.files.push((EARLIER.into(), BTreeMap::new()));
        }
        self.volume.made = true;
    }

    /// `pg_dump` of the live database.
    pub fn dump(&mut self, told: &Dump<'_>) -> (i32, String) {
        assert!(self.volume.made, "a dump without a volume");
        if self.volume.has(told.id) {
            return (1, "there is a dump of that name already".to_owned());
        }
        let live = self
            .schemas
            .iter()
            .filter(|((database, _), _)| database == "live");
        let schemas = live
            .map(|((_, service), schema)| (service.clone(), schema.clone()))
            .collect();
        self.volume.files.push((told.id.to_owned(), schemas));
        self.volume.prune(told);
        let release = told.id.split('-').nth(1).unwrap().to_owned();
        self.volume.dumped.insert(release);
        self.assert_listed();
        let sum = "0".repeat(64);
        (
            0,
            format!(r#"{{"backup":{{"bytes":10,"sha256":"{sum}"}}}}"#),
        )
    }

    /// `pg_restore` into the scratch database of a release.
    pub fn restore(&mut self, id: &str, release: &str) -> (i32, String) {
        assert!(
            id.contains(&format!("-{release}-")),
            "release {release} is rehearsed on backup {id}"
        );
        if self.volume.rotten {
            return (1, "its checksum is another".to_owned());
        }
        let mut files = self.volume.files.iter();
        let (_, files) = files.find(|(file, _)| file == id).unwrap().clone();
        let database = names::scratch_database("0a1b2c3d-platform", release);
        for (service, schema) in files {
            self.schemas.insert((database.clone(), service), schema);
        }
        self.volume.restored.push(release.to_owned());
        self.volume.masked.retain(|(masked, _)| *masked != database);
        (0, String::new())
    }

    /// The phase mask of a migration.
    pub fn mask(&mut self, database: &str, service: &str) {
        assert_ne!(database, "live", "the live database was masked");
        self.volume
            .masked
            .push((database.to_owned(), service.to_owned()));
    }

    /// Before candidate pods are there, the backup is restored, and no real row is to be seen.
    pub fn assert_masked(&self, release: &str, database: &str) {
        let is_masked = |service: &str| {
            self.volume
                .masked
                .contains(&(database.to_owned(), service.to_owned()))
        };
        let restored = self.volume.restored.iter().any(|of| of == release);
        let known = self.revisions.get(release);
        let wanted = known.is_some_and(|known| known.rehearsal == RehearsalData::Backup);
        assert!(
            !wanted || restored,
            "candidate {release} is tested without its backup"
        );
        assert!(
            !restored || (is_masked("customer") && is_masked("sales")),
            "candidate {release} sees real rows"
        );
    }

    /// Before anything of a release changes the live database, there is a dump of it; a way back to what has served makes none.
    pub fn assert_backed_up(&self, release: &str) {
        let backup = self.platform.spec.database.backup.as_ref();
        let asked = backup.is_some_and(|own| own.policy == BackupPolicy::BeforeMigration);
        let tried = self.found().candidate;
        let goes_back = tried.is_some_and(|tried| tried.rollback.is_some());
        let of_it = format!("-{release}-");
        let made = self.volume.own().iter().any(|id| id.contains(&of_it));
        assert!(
            !asked || made || goes_back,
            "release {release} migrates without a backup"
        );
    }

    /// What the status lists is on the volume, and so is what an earlier platform left there.
    fn assert_listed(&self) {
        let mut listed: Vec<_> = self.remembered().backups.iter().collect();
        listed.retain(|record| !self.volume.has(&record.id));
        assert!(
            listed.is_empty(),
            "the status lists what is not there: {listed:?}"
        );
        assert!(self.volume.has(EARLIER), "a dump of others is gone");
    }

    /// What stable can be brought back with is listed, and there are not more dumps than were asked for: when all is quiet.
    pub fn assert_dumps(&self, whence: &str) {
        let memory = self.remembered();
        let (Some(spec), Some(stable)) = (&self.platform.spec.database.backup, &memory.stable)
        else {
            return;
        };
        self.assert_listed();
        let mut listed = memory.backups.iter();
        let mut releases = memory.releases.iter();
        let record = releases.find(|record| record.release == stable.release);
        let code = record.and_then(|record| record.code_of.as_ref());
        let code = code.unwrap_or(&stable.release);
        assert!(
            !self.volume.dumped.contains(code) || listed.any(|record| record.release == *code),
            "{whence}: the dump of stable {code} is not listed: {:?}",
            memory.backups
        );
        let (own, keep) = (self.volume.own(), usize::try_from(spec.keep).unwrap());
        assert!(own.len() <= keep + 1, "{whence}: too many dumps: {own:?}");
        assert!(memory.backups.len() <= keep + 1, "{whence}");
    }
}

/// Goes on until all is quiet.
fn rest(run: &mut Run) {
    for _ in 0..crate::LIMIT {
        if run.turn(None) {
            return;
        }
    }
    panic!("it does not come to rest:\n{}", tail(&run.world));
}

/// Releases of the dumps that the status lists, and dumps on the volume, the newest first.
fn dumps(world: &World) -> (Vec<String>, Vec<String>) {
    let listed = world.remembered().backups.iter();
    let listed = listed.map(|record| record.release.clone()).collect();
    let own = world.volume.own().into_iter().map(str::to_owned).collect();
    (listed, own)
}

/// After a release with a dump came others that were rejected; one dump is kept.
fn rejected_twice() -> Run {
    let mut run = Run::installed(Story {
        acts: &[
            Image("v1"),
            Backup,
            Image("v2"),
            Image("bad"),
            Image("silent"),
        ],
        ..STORIES[0]
    });
    rest(&mut run);
    run
}

#[test]
fn the_dump_of_stable_stays_while_others_come_and_go() {
    let run = rejected_twice();
    run.world.assert_dumps("in order");
    let stable = run.world.memory().stable.unwrap().release;
    let (listed, own) = dumps(&run.world);
    assert_eq!((listed.len(), own.len()), (2, 2), "{listed:?} {own:?}");
    assert_eq!(listed[1], stable);
    assert_eq!(own[1], format!("0a1b2c3d-{stable}-1"));
}

#[test]
fn the_dump_of_stable_stays_after_a_change_of_its_configuration() {
    let mut run = Run::installed(Story {
        acts: &[
            Image("v1"),
            Backup,
            Image("v2"),
            Env("a"),
            Env("b"),
            Image("bad"),
            Image("silent"),
        ],
        ..STORIES[0]
    });
    rest(&mut run);
    run.world.assert_dumps("in order");
    let (listed, own) = dumps(&run.world);
    assert_eq!((listed.len(), own.len()), (2, 2), "{listed:?} {own:?}");
    assert_eq!(own[1], format!("0a1b2c3d-{}-1", listed[1]));
    let memory = run.world.memory();
    let stable = memory.stable.unwrap().release;
    assert_ne!(listed[1], stable);
}

#[test]
fn a_lost_status_costs_no_dump_that_would_have_been_kept() {
    let mut run = rejected_twice();
    let stable = run.world.memory().stable.unwrap().release;
    run.world.platform.status = None;
    run.world.forgotten = true;
    run.world.set_image("unmigrated");
    rest(&mut run);
    let (listed, own) = dumps(&run.world);
    assert_eq!((listed.len(), own.len()), (1, 2), "{listed:?} {own:?}");
    assert_eq!(own[1], format!("0a1b2c3d-{stable}-1"));
    run.world.assert_listed();
}

#[test]
fn a_dump_that_is_asked_for_while_a_release_waits_comes_before_its_migration() {
    let mut run = Run::installed(STORIES[0]);
    run.world.act(Act::Approval);
    run.world.set_image("v2");
    rest(&mut run);
    let waits = run.world.memory().candidate.unwrap();
    assert_eq!(dumps(&run.world), (Vec::new(), Vec::new()));
    run.world.act(Act::Dumps);
    rest(&mut run);
    let again = run.world.memory().candidate.unwrap();
    assert_eq!(again.release, waits.release);
    assert_eq!(dumps(&run.world).0, [again.release]);
    run.world
        .act(Act::Annotate(Token::Approve, "ops: looks good"));
    rest(&mut run);
    assert_eq!(run.world.memory().stable.unwrap().release, waits.release);
}

/// Backups were asked for when it served already: what its contract would take away nobody could bring back.
#[test]
fn a_contract_waits_for_a_release_with_a_dump() {
    let mut run = Run::installed(STORIES[0]);
    // One of another time is no help.
    run.world.act(Act::Dumps);
    run.world.set_image("v1b");
    rest(&mut run);
    assert_eq!(dumps(&run.world).0.len(), 1);
    run.world.platform.spec.database.backup = None;
    run.world.set_image("v2");
    while run.world.memory().stable.unwrap().images[0]
        .image
        .ends_with("v1b")
    {
        assert!(!run.turn(None), "v2 never served");
    }
    run.world.act(Act::Dumps);
    rest(&mut run);
    let memory = run.world.memory();
    let optimise = memory.releases[0].stages.last().unwrap();
    let message = optimise.message.clone().unwrap_or_default();
    assert!(message.contains("there is no dump of then"), "{message:?}");
    let contracted = optimise
        .jobs
        .iter()
        .any(|job| job.step.starts_with("contract"));
    assert!(!contracted, "{}", tail(&run.world));
}

/// A way back makes no dump, and those of before stand for it; where there is none at all its contract waits, too.
#[test]
fn a_contract_after_a_way_back_waits_where_there_is_no_dump() {
    let mut run = Run::installed(STORIES[0]);
    run.world.set_image("v2");
    let serves = |run: &Run, image: &str| {
        let stable = run.world.memory().stable.unwrap();
        stable.images[0].image.ends_with(image)
    };
    while !serves(&run, "v2") {
        assert!(!run.turn(None), "v2 never served");
    }
    let v2 = run.world.memory().stable.unwrap().release;
    run.world.set_image("v1b");
    while !serves(&run, "v1b") {
        assert!(!run.turn(None), "v1b never served");
    }
    run.world.act(Act::Dumps);
    run.world
        .act(Act::Annotate(Token::RollbackTo, "v2 ops: it was better"));
    rest(&mut run);
    let memory = run.world.memory();
    assert_eq!(memory.stable.unwrap().release, v2, "{}", tail(&run.world));
    let jobs = memory.releases[0]
        .stages
        .iter()
        .flat_map(|stage| &stage.jobs);
    let contracts = jobs
        .filter(|job| job.step.starts_with("contract-") && job.verdict == Some(Verdict::Passed));
    let dumped = !dumps(&run.world).0.is_empty();
    assert!(dumped || contracts.count() == 0, "{}", tail(&run.world));
}
