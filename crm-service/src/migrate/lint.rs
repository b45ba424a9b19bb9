//! Reads migration files as a careful reviewer would: what breaks the release that serves, what locks a table for
//! long, what hides a drift. Compiled for tests only: a file that does not pass never gets into a build.

mod alter;
mod names;
#[cfg(test)]
mod tests;

use std::time::Duration;

use super::phase::Phase;
use super::set::{File, Set};
use super::sql::{Statement, Token};
use super::statement::{self, Cursor, contains};

/// Others queue behind a waiting change of a table, so it must not wait for longer.
const LONGEST_WAIT: Duration = Duration::from_millis(500);
/// Rows stay locked while a batch waits.
const LONGEST_BATCH_WAIT: Duration = Duration::from_secs(1);
const LONGEST_STEP: Duration = Duration::from_secs(30);

/// Something that must not be in a migration file.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub file: String,
    /// The line where the statement starts; 1 for the header.
    pub line: usize,
    /// What is wrong, and what to write instead.
    pub problem: String,
}

/// Checks every file of a set, in the order in which they would be applied.
pub fn check(set: &Set) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut earlier: Vec<&Statement> = Vec::new();
    for migration in &set.migrations {
        let files = Phase::OF_FILES
            .iter()
            .filter_map(|phase| migration.file(*phase));
        for file in files {
            findings.extend(header(file).map(|problem| finding(file, 1, problem.to_owned())));
            let new = tables_made(file);
            for statement in &file.statements {
                let context = Context {
                    file,
                    new: &new,
                    earlier: &earlier,
                };
                let problems = problems(statement, &context);
                findings.extend(problems.map(|problem| finding(file, statement.line, problem)));
                earlier.push(statement);
            }
        }
    }
    findings
}

/// What surrounds a statement.
pub struct Context<'a> {
    /// Its file.
    pub file: &'a File,
    /// Tables that this file makes: nobody reads or writes them yet.
    pub new: &'a [String],
    /// All statements that ran before it.
    pub earlier: &'a [&'a Statement],
}

impl Context<'_> {
    fn is_new(&self, table: Option<&String>) -> bool {
        table.is_some_and(|table| self.new.contains(table))
    }
}

fn finding(file: &File, line: usize, problem: String) -> Finding {
    let file = file.label();
    Finding {
        file,
        line,
        problem,
    }
}

fn tables_made(file: &File) -> Vec<String> {
    let made = file.statements.iter().filter_map(|statement| {
        let mut cursor = Cursor::new(&statement.tokens);
        cursor.eat(&["create", "table"]).then(|| cursor.name())?
    });
    made.collect()
}

fn header(file: &File) -> Option<&'static str> {
    let limits = file.header.limits;
    let step = file.header.transactional && matches!(file.phase, Phase::Expand | Phase::Contract);
    if limits.lock_timeout.is_zero() || limits.statement_timeout.is_zero() {
        Some("a timeout of 0 means none: give it a length")
    } else if step && limits.lock_timeout > LONGEST_WAIT {
        Some("lock_timeout= is above 500ms: others queue behind the wait")
    } else if file.phase == Phase::Backfill && limits.lock_timeout > LONGEST_BATCH_WAIT {
        Some("lock_timeout= is above 1s: rows stay locked while a batch waits")
    } else if step && limits.statement_timeout > LONGEST_STEP {
        Some("statement_timeout= is above 30s: move long work to a backfill or to tx=no")
    } else {
        None
    }
}

fn problems(statement: &Statement, context: &Context) -> impl Iterator<Item = String> {
    let mut found = anywhere(statement, context);
    match context.file.phase {
        Phase::Expand | Phase::Contract => found.extend(change(statement, context)),
        Phase::Backfill => found.extend(backfill(statement)),
        Phase::Verify => found.extend(assertion(statement)),
        Phase::Plan | Phase::Mask | Phase::Status => {}
    }
    found.into_iter().map(str::to_owned).chain(
        names::unqualified(statement)
            .into_iter()
            .map(|name| format!("{name} has no schema: the search path is empty")),
    )
}

const CONTROL: [&str; 16] = [
    "begin",
    "start",
    "commit",
    "end",
    "rollback",
    "abort",
    "savepoint",
    "release",
    "set",
    "reset",
    "discard",
    "lock",
    "grant",
    "revoke",
    "do",
    "copy",
];

fn anywhere(statement: &Statement, context: &Context) -> Vec<&'static str> {
    let tokens = &statement.tokens[..];
    let mut found = Vec::new();
    if CONTROL.iter().any(|word| tokens[0].is(word)) {
        found.push("transactions, settings, rights and blocks are the runner's part: write the plain change");
    }
    if stars(tokens) || names::body(statement).is_some_and(|body| stars(&body)) {
        found.push("a * breaks clients when a column is added: list the columns");
    }
    if contains(tokens, &["add", "value"]) && tokens[0].is("alter") {
        found.push("a value of an enum cannot be taken back: use text and a lookup table");
    }
    let repeatable = matches!(
        statement::concurrent(statement),
        Some(statement::Concurrent::Drop)
    );
    let guarded = contains(tokens, &["if", "not", "exists"]) || contains(tokens, &["if", "exists"]);
    if guarded && (context.file.header.transactional || !repeatable) {
        found.push("if exists and if not exists hide a drift: the ledger knows what is there");
    }
    found
}

/// A star that stands for columns; `count(*)` and a product do not.
fn stars(tokens: &[Token]) -> bool {
    tokens.windows(2).any(|pair| {
        let opens = ["select", "distinct", "all", "returning"]
            .iter()
            .any(|word| pair[0].is(word));
        pair[1].is_symbol('*') && (opens || pair[0].is_symbol('.') || pair[0].is_symbol(','))
    })
}

/// Rules for statements that change the schema while others work.
fn change(statement: &Statement, context: &Context) -> Vec<&'static str> {
    let tokens = &statement.tokens[..];
    let mut found = Vec::new();
    let locks = statement::locks(statement);
    let takes_away = statement::destructive(statement)
        && !drops_index(statement)
        && !context.is_new(locks.first().map(|lock| &lock.table));
    if takes_away && context.file.phase == Phase::Expand {
        found.push(
            "an expand only adds: the release that serves still needs it; move this to a contract",
        );
    }
    if tokens[0].is("alter") && contains(tokens, &["rename"]) {
        found.push("a rename breaks every statement that uses the name: add the new one, backfill, contract the old one");
    }
    found.extend(concurrency(statement, context));
    if statement::is_index(tokens) && !contains(tokens, &["concurrently"]) {
        let mut cursor = Cursor::new(tokens);
        cursor.seek(&["on"]);
        if !context.is_new(cursor.name().as_ref()) {
            found.push("an index on an existing table keeps writers out: concurrently, in a file with tx=no");
        }
    }
    found.extend(rows(statement, context));
    found.extend(alter::check(statement, context));
    found
}

fn drops_index(statement: &Statement) -> bool {
    matches!(
        statement::concurrent(statement),
        Some(statement::Concurrent::Drop)
    )
}

fn concurrency(statement: &Statement, context: &Context) -> Option<&'static str> {
    let concurrent = statement::concurrent(statement).is_some();
    match (concurrent, context.file.header.transactional) {
        (true, true) => {
            Some("concurrently cannot run in a transaction: a file of its own with tx=no")
        }
        (false, false) => Some(
            "tx=no is for create index concurrently and drop index concurrently if exists only",
        ),
        _ => None,
    }
}

/// Rows of an existing table are changed in batches, or not at all.
fn rows(statement: &Statement, context: &Context) -> Option<&'static str> {
    let tokens = &statement.tokens[..];
    let mut cursor = Cursor::new(tokens);
    let insert = cursor.eat(&["insert", "into"]);
    let other = cursor.eat(&["update"]) || cursor.eat(&["delete", "from"]);
    let copies = insert && contains(tokens, &["select"]);
    let touched = cursor.name();
    if copies || (other && !context.is_new(touched.as_ref())) || tokens[0].is("with") {
        return Some("rows of an existing table are changed or copied in one go: write a backfill");
    }
    None
}

fn backfill(statement: &Statement) -> Vec<&'static str> {
    let tokens = &statement.tokens[..];
    let mut found = Vec::new();
    let parameter = [Token::Symbol('$'), Token::Symbol('1')];
    if !tokens.windows(2).any(|pair| pair == parameter) {
        found.push("a backfill works on the keys of its batch: use = any ($1::uuid[]), or the type of the key");
    }
    let sets = |name: &str| {
        let mut pairs = tokens.windows(2);
        contains(tokens, &["update"])
            && pairs.any(|pair| pair[0].is(name) && pair[1].is_symbol('='))
    };
    if sets("updated_at") || sets("version") {
        found.push(
            "a backfill is no edit: leave version and updated_at alone, or every ETag goes stale",
        );
    }
    found
}

fn assertion(statement: &Statement) -> Option<&'static str> {
    let tokens = &statement.tokens[..];
    let writes = ["insert", "update", "delete"];
    let reads = tokens[0].is("select") || tokens[0].is("with");
    if !reads || writes.iter().any(|word| contains(tokens, &[word])) {
        return Some("an assertion is a select that returns the rows that break it");
    }
    statement
        .comment
        .is_none()
        .then_some("an assertion needs a comment line above it that says what must not be")
}
