//! The volume of the dumps in the model, and the two Jobs that use it. What is promised of them is checked where they run.

use std::collections::BTreeMap;

use crm_operator::api::spec::{BackupSpec, RehearsalData};
use crm_operator::desired::names;

use crate::world::{Schema, World};

/// Files by id, each with the schemas of the services; and what the rehearsals did with them.
#[derive(Clone, Debug, Default)]
pub struct Volume {
    made: bool,
    pub files: BTreeMap<String, BTreeMap<String, Schema>>,
    /// Releases on whose scratch database real rows are.
    pub restored: Vec<String>,
    /// Databases and services whose rows on them are masked.
    pub masked: Vec<(String, String)>,
    /// Files cannot be restored any more.
    pub rotten: bool,
}

impl World {
    /// A user asks for backups, restored in each rehearsal.
    pub fn ask_for_backups(&mut self) {
        let database = &mut self.platform.spec.database;
        database.rehearsal.data = RehearsalData::Backup;
        let spec: BackupSpec = serde_json::from_str(r#"{"keep": 1}"#).unwrap();
        database.backup = Some(spec);
    }

    pub fn make_volume(&mut self) {
        self.volume.made = true;
    }

    /// `pg_dump` of the live database.
    pub fn dump(&mut self, id: &str, kept: &str) -> (i32, String) {
        assert!(self.volume.made, "a dump without a volume");
        let live = self
            .schemas
            .iter()
            .filter(|((database, _), _)| database == "live");
        let schemas = live
            .map(|((_, service), schema)| (service.clone(), schema.clone()))
            .collect();
        self.volume.files.insert(id.to_owned(), schemas);
        self.volume
            .files
            .retain(|file, _| file == id || kept.split(' ').any(|other| other == file));
        for record in &self.remembered().backups {
            let is_there = self.volume.files.contains_key(&record.id);
            assert!(
                is_there,
                "the status lists backup {}, which is not there",
                record.id
            );
        }
        let sum = "0".repeat(64);
        (
            0,
            format!(r#"{{"backup":{{"bytes":10,"sha256":"{sum}"}}}}"#),
        )
    }

    /// `pg_restore` into the scratch database of a release.
    pub fn restore(&mut self, id: &str, release: &str) -> (i32, String) {
        assert!(
            id.starts_with(release),
            "release {release} is rehearsed on backup {id}"
        );
        if self.volume.rotten {
            return (1, "its checksum is another".to_owned());
        }
        let files = self.volume.files[id].clone();
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

    /// Before anything of a release changes the live database, there is a dump of it.
    pub fn assert_backed_up(&self, release: &str) {
        let asked = self.platform.spec.database.backup.is_some();
        let known = self.revisions.get(release);
        let wanted = known.is_some_and(|known| known.rehearsal == RehearsalData::Backup);
        let made = self.volume.files.keys().any(|id| id.starts_with(release));
        assert!(
            !asked || !wanted || made,
            "release {release} migrates without a backup"
        );
    }
}
