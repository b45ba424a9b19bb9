//! The migration files of one service as one linear history: names and texts in, numbered migrations out. A gap, a
//! stray name or an unreadable header is an error here, before any database is touched.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::header::{self, Header};
use super::phase::Phase;
use super::sql::{self, Statement};
use crate::schema::Schema;
use crate::service::Service;

/// One migration file.
#[derive(Clone, Debug)]
pub struct File {
    /// The migration's number.
    pub number: i32,
    /// The migration's name, without number and phase.
    pub name: String,
    /// The phase that runs it.
    pub phase: Phase,
    /// SHA-256 of the text, in hexadecimal.
    pub checksum: String,
    /// What the file says of itself.
    pub header: Header,
    /// Its statements, in order.
    pub statements: Vec<Statement>,
}

impl File {
    /// The file's name without `.sql`, as reports and messages show it.
    pub fn label(&self) -> String {
        format!("{:04}_{}.{}", self.number, self.name, self.phase.name())
    }
}

/// The files of one number.
#[derive(Clone, Debug)]
pub struct Migration {
    /// Its place in the history, from 1.
    pub number: i32,
    /// Its name; also the name of its backfill.
    pub name: String,
    files: BTreeMap<Phase, File>,
}

impl Migration {
    /// The file of a phase, if this migration has one.
    pub fn file(&self, phase: Phase) -> Option<&File> {
        self.files.get(&phase)
    }
}

/// All migrations of one service in one build, in order.
#[derive(Clone, Debug)]
pub struct Set {
    /// The service.
    pub service: Service,
    /// What the build relies on.
    pub app_level: i32,
    /// Numbered from 1 without a gap.
    pub migrations: Vec<Migration>,
}

/// Why a list of files is not a history.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The name does not follow the pattern.
    #[error(
        "migration file {file:?}: the name must be NNNN_name.phase.sql with phase expand, backfill, verify or contract"
    )]
    Name {
        /// The file's name.
        file: String,
    },
    /// The header or a quote in the text cannot be read.
    #[error("migration file {file:?}: {problem}")]
    Text {
        /// The file's name.
        file: String,
        /// What is wrong and what to write instead.
        problem: String,
    },
    /// Two files claim the same number.
    #[error(
        "migration number {number:04} is there twice, as {first:?} and {second:?}: renumber one of them"
    )]
    Twice {
        /// The number.
        number: i32,
        /// Its first owner.
        first: String,
        /// Its second.
        second: String,
    },
    /// A number below the newest has no expand.
    #[error(
        "migration number {number:04} has no expand file: the history of a service must not have a gap"
    )]
    Gap {
        /// The number that is missing.
        number: i32,
    },
    /// The files of a migration do not fit each other.
    #[error("migration {number:04}_{name}: {problem}")]
    Parts {
        /// The migration's number.
        number: i32,
        /// Its name.
        name: String,
        /// What is wrong and what to do.
        problem: &'static str,
    },
}

impl Set {
    /// The files that a schema embeds.
    ///
    /// # Errors
    /// As [`Set::new`].
    pub fn embedded(schema: &Schema) -> Result<Set, Invalid> {
        Set::new(
            schema.service,
            schema.app_level,
            schema.files.iter().copied(),
        )
    }

    /// Orders files, given as name and text, into a history.
    ///
    /// # Errors
    /// A name or text cannot be read, a number is missing or doubly used, or a migration lacks a part it needs.
    pub fn new<'a>(
        service: Service,
        app_level: i32,
        files: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Set, Invalid> {
        let mut migrations: BTreeMap<i32, Migration> = BTreeMap::new();
        for (name, text) in files {
            let file = read(name, text)?;
            let migration = migrations.entry(file.number).or_insert_with(|| Migration {
                number: file.number,
                name: file.name.clone(),
                files: BTreeMap::new(),
            });
            if migration.name != file.name || migration.files.contains_key(&file.phase) {
                return Err(Invalid::Twice {
                    number: file.number,
                    first: migration.name.clone(),
                    second: file.name,
                });
            }
            migration.files.insert(file.phase, file);
        }
        for (migration, number) in migrations.values().zip(1..) {
            if migration.number != number || migration.file(Phase::Expand).is_none() {
                return Err(Invalid::Gap { number });
            }
            check_parts(migration, app_level)?;
        }
        Ok(Set {
            service,
            app_level,
            migrations: migrations.into_values().collect(),
        })
    }

    /// The files of one phase, in order.
    pub fn files(&self, phase: Phase) -> impl Iterator<Item = &File> {
        self.migrations
            .iter()
            .filter_map(move |migration| migration.file(phase))
    }

    /// The number of the newest migration; 0 when there is none.
    pub fn head(&self) -> i32 {
        self.migrations.last().map_or(0, |last| last.number)
    }
}

fn check_parts(migration: &Migration, app_level: i32) -> Result<(), Invalid> {
    let wrong = |problem| Invalid::Parts {
        number: migration.number,
        name: migration.name.clone(),
        problem,
    };
    let has = |phase| migration.file(phase).is_some();
    if (has(Phase::Backfill) || has(Phase::Contract)) && !has(Phase::Verify) {
        return Err(wrong(
            "a backfill or contract needs a verify file: write the assertions that prove it complete",
        ));
    }
    if migration
        .files
        .values()
        .any(|file| file.header.app_level > app_level)
    {
        return Err(wrong(
            "app_level= is above the app level of this build: raise it in schema.rs",
        ));
    }
    let contract = migration.file(Phase::Contract);
    let conditions = contract.and_then(|file| file.header.conditions.as_ref());
    if conditions.is_some_and(|conditions| conditions.min_app_level > app_level) {
        return Err(wrong(
            "min_app_level= is above the app level of this build: no build could serve after it",
        ));
    }
    Ok(())
}

fn read(name: &str, text: &str) -> Result<File, Invalid> {
    let (number, rest, phase) = split_name(name).ok_or_else(|| Invalid::Name {
        file: name.to_owned(),
    })?;
    let invalid = |problem| Invalid::Text {
        file: name.to_owned(),
        problem,
    };
    let header = header::parse(phase, text).map_err(invalid)?;
    let statements = sql::statements(text).map_err(|error| invalid(error.to_string()))?;
    let single = !header.transactional || phase == Phase::Backfill;
    if statements.is_empty() || (single && statements.len() != 1) {
        let problem = "one statement is needed (exactly one with tx=no and in a backfill)";
        return Err(invalid(problem.to_owned()));
    }
    Ok(File {
        number,
        name: rest.to_owned(),
        phase,
        checksum: checksum(text),
        header,
        statements,
    })
}

fn split_name(name: &str) -> Option<(i32, &str, Phase)> {
    let (stem, phase) = name.strip_suffix(".sql")?.rsplit_once('.')?;
    let phase = Phase::OF_FILES
        .into_iter()
        .find(|known| known.name() == phase)?;
    let (number, rest) = stem.split_once('_')?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let valid = number.len() == 4 && !rest.is_empty() && rest.chars().all(plain);
    let number = number.parse().ok().filter(|number| valid && *number > 0)?;
    Some((number, rest, phase))
}

fn checksum(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPAND: &str = "-- crm: phase=expand tx=yes lock_timeout=300ms statement_timeout=5s app_level=1\ncreate table customer.t (id int);";

    fn set(files: &[(&str, &str)]) -> Result<Set, Invalid> {
        Set::new(Service::Customer, 1, files.iter().copied())
    }

    #[test]
    fn orders_files_into_a_history() {
        let set = set(&[("0002_b.expand.sql", EXPAND), ("0001_a.expand.sql", EXPAND)]).unwrap();
        let labels: Vec<_> = set.files(Phase::Expand).map(File::label).collect();
        assert_eq!(labels, ["0001_a.expand", "0002_b.expand"]);
        assert_eq!(set.head(), 2);
    }

    #[test]
    fn refuses_a_gap() {
        let error = set(&[("0001_a.expand.sql", EXPAND), ("0003_c.expand.sql", EXPAND)]);
        assert_eq!(error.unwrap_err(), Invalid::Gap { number: 2 });
    }

    #[test]
    fn refuses_two_names_for_one_number() {
        let error = set(&[("0001_a.expand.sql", EXPAND), ("0001_b.expand.sql", EXPAND)]);
        assert!(matches!(
            error.unwrap_err(),
            Invalid::Twice { number: 1, .. }
        ));
    }

    #[test]
    fn refuses_names_that_do_not_say_what_they_are() {
        for name in [
            "1_a.expand.sql",
            "0001_a.sql",
            "0001_a.plan.sql",
            "0000_a.expand.sql",
            "0001_.expand.sql",
            "0001_A.expand.sql",
        ] {
            let error = set(&[(name, EXPAND)]).unwrap_err();
            assert!(matches!(error, Invalid::Name { .. }), "{name}: {error}");
        }
    }

    #[test]
    fn refuses_a_file_above_the_app_level_of_the_build() {
        let text = EXPAND.replace("app_level=1", "app_level=2");
        let error = set(&[("0001_a.expand.sql", &text)]).unwrap_err();
        assert!(
            error.to_string().contains("raise it in schema.rs"),
            "{error}"
        );
    }

    #[test]
    fn refuses_a_second_statement_outside_of_a_transaction() {
        let text = EXPAND.replace("tx=yes", "tx=no") + "create table customer.u (id int);";
        let error = set(&[("0001_a.expand.sql", &text)]).unwrap_err();
        assert!(
            error.to_string().contains("exactly one with tx=no"),
            "{error}"
        );
    }
}
