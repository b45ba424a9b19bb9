//! A table in words, and the statements that follow from it. Columns are always listed by name: a column that a later
//! release adds must not change the result of a statement of this one.

use crate::listing::{Listing, page};

/// Columns that every record shows, in the order of [`super::Record`].
const COMMON: &str = "id, version, created_at, created_by, updated_at, updated_by, owner_id, external_source, external_id";

/// A table of records.
pub struct Table {
    /// Qualified name.
    pub name: &'static str,
    /// Own columns that callers write, each named as its JSON field.
    pub columns: &'static [&'static str],
    /// Own columns that are written when a record is made and never by a change of it.
    pub fixed: &'static [&'static str],
    /// Own columns that are only read: columns of the table, or expressions with `as name`.
    pub read_only: &'static [&'static str],
}

/// The statements of a resource.
pub struct Statements {
    /// Reads one; parameters id, run.
    pub get: String,
    /// Reads one and locks it until the transaction ends; parameters id, run.
    pub lock: String,
    /// Parameters id, actor, owner, external source, external id, run, then the own columns, the fixed ones last.
    pub insert: String,
    /// Parameters id, actor, owner, external source, external id, then the own columns.
    pub update: String,
    /// Marks one as deleted; parameters id, actor.
    pub delete: String,
    /// Start of a list; parameter run.
    pub list: String,
}

impl Statements {
    /// Puts the statements of a table together.
    pub fn new(table: &Table) -> Statements {
        let name = table.name;
        let shown = [&[COMMON], table.columns, table.fixed, table.read_only]
            .concat()
            .join(", ");
        let one = format!(
            "select {shown} from {name} where id = $1 and run_id = $2 and deleted_at is null"
        );
        let written = table.columns.iter().chain(table.fixed);
        let columns: String = written
            .clone()
            .map(|column| format!(", {column}"))
            .collect();
        let values: String = written
            .zip(7..)
            .map(|(_, position)| format!(", ${position}"))
            .collect();
        let changes: String = table
            .columns
            .iter()
            .zip(6..)
            .map(|(column, position)| format!(", {column} = ${position}"))
            .collect();
        Statements {
            lock: format!("{one} for no key update"),
            get: one,
            insert: format!(
                "insert into {name} (id, created_by, updated_by, owner_id, external_source, external_id, run_id{columns}) \
                 values ($1, $2, $2, $3, $4, $5, $6{values}) returning {shown}"
            ),
            update: format!(
                "update {name} set version = version + 1, updated_at = now(), updated_by = $2, owner_id = $3, external_source = $4, \
                 external_id = $5{changes} where id = $1 returning {shown}"
            ),
            delete: format!(
                "update {name} set version = version + 1, updated_at = now(), updated_by = $2, deleted_at = now() where id = $1"
            ),
            list: format!("select {shown} from {name} where run_id = $1 and deleted_at is null"),
        }
    }

    /// Every statement, lists with every filter and sort order included, for the check at start.
    pub fn inventory(&self, listing: &Listing) -> Vec<String> {
        let mut all = vec![
            &self.get,
            &self.lock,
            &self.insert,
            &self.update,
            &self.delete,
        ]
        .into_iter()
        .cloned()
        .collect::<Vec<_>>();
        let run = || vec![crate::listing::Value::Id(uuid::Uuid::nil())];
        all.extend(
            listing
                .samples()
                .iter()
                .map(|request| page(&self.list, run(), request).sql),
        );
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_columns_are_in_step() {
        let statements = Statements::new(&Table {
            name: "s.t",
            columns: &["a", "b"],
            fixed: &["f"],
            read_only: &["c"],
        });
        let shown = format!("{COMMON}, a, b, f, c");
        assert!(
            statements.insert.contains(
                "run_id, a, b, f) values ($1, $2, $2, $3, $4, $5, $6, $7, $8, $9) returning"
            ),
            "{}",
            statements.insert
        );
        assert!(
            statements
                .update
                .contains("external_id = $5, a = $6, b = $7 where id = $1"),
            "{}",
            statements.update
        );
        assert_eq!(
            statements.list,
            format!("select {shown} from s.t where run_id = $1 and deleted_at is null")
        );
    }
}
