//! Which columns may hold personal data, what takes its place in a rehearsal, and why the others hold none. Pure lists;
//! `migrate/mask.rs` writes by them. A column that is on no list stops the mask: what nobody thought of is not shown.
//!
//! A substitute depends on the row's key or on nothing but the value's length or group, so it is the same each time. It
//! keeps its column's format, and money, dates, states and keys stay: a rehearsal is about the shape of the data.

use crate::service::Service;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Perhaps personal data. With the SQL of its substitute, in which `{column}` is the column and `this` the row. A
    /// null stays a null without asking it.
    Personal(&'static str),
    /// Never personal data, for this reason.
    Plain(&'static str),
}

/// A column as `table.column`, and what it holds.
pub type Column = (&'static str, Content);

/// Names of people, companies and deals.
pub const NAME: Content = Content::Personal("'Masked ' || substr(md5(this.id::text), 1, 12)");
/// The address of a person; the domain is reserved, so no mail is ever delivered.
pub const EMAIL: Content =
    Content::Personal("'c' || replace(this.id::text, '-', '') || '@example.invalid'");
/// No country has the code 999.
pub const PHONE: Content = Content::Personal(
    "'+999 55 ' || translate(substr(md5(this.id::text), 1, 8), 'abcdef', '012345')",
);
/// The address of a web site.
pub const WEBSITE: Content =
    Content::Personal("'https://' || substr(md5(this.id::text), 1, 12) || '.example.invalid'");
/// What people wrote, as long as it was: how much there is to move is part of what is rehearsed.
pub const PROSE: Content =
    Content::Personal("left(repeat('masked-', length({column}) / 7 + 1), length({column}))");
/// What many rows have in common, as the subject of a token: equal values stay equal. There are only a hundred groups,
/// so that nobody can tell from a substitute who it was by trying names.
pub const SHARED: Content = Content::Personal(
    "case when {column} ~ '^masked-[0-9]{2}$' then {column} \
     else 'masked-' || translate(substr(md5({column}), 1, 2), 'abcdef', '012345') end",
);
/// A key of another system, which may be a name or an address there.
pub const FOREIGN_KEY: Content = Content::Personal("'masked-' || this.id");

/// The word of a lookup table, which the migrations bring.
pub const LOOKUP: Content = Content::Plain("a word of a lookup table, which a migration brings");

/// What every record has (`resource/record.rs`), in whichever table.
const RECORD: &[Column] = &[
    ("created_by", SHARED),
    ("updated_by", SHARED),
    ("owner_id", SHARED),
    ("external_source", SHARED),
    ("external_id", FOREIGN_KEY),
];

const RUNNER: Content =
    Content::Plain("written by the migration runner or by a process, of itself");

/// The runner's own tables (`migrate/bootstrap.rs`).
const RUNNERS_TABLES: &[Column] = &[
    ("schema_migration.name", RUNNER),
    ("schema_migration.phase", RUNNER),
    ("schema_migration.checksum", RUNNER),
    ("schema_migration.app_version", RUNNER),
    ("schema_migration.state", RUNNER),
    ("backfill.name", RUNNER),
    ("backfill.cursor", Content::Plain("the key of a row")),
    ("backfill.state", RUNNER),
    ("instance.release", RUNNER),
];

/// What a column of a service's schema holds; `None` when nobody has said.
pub fn content(service: Service, table: &str, column: &str) -> Option<Content> {
    let name = format!("{table}.{column}");
    let own = [service.columns(), RUNNERS_TABLES].into_iter().flatten();
    own.filter(|(known, _)| *known == name)
        .chain(RECORD.iter().filter(|(known, _)| *known == column))
        .map(|(_, content)| *content)
        .next()
}
