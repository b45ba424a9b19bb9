//! Rules for `alter table` on a table that is in use: what rewrites or scans it under a lock.

use super::Context;
use crate::migrate::sql::{Statement, Token};
use crate::migrate::statement::{Cursor, contains};

/// Checks one statement; empty for anything but an `alter table` of an existing table.
pub fn check(statement: &Statement, context: &Context) -> Vec<&'static str> {
    let tokens = &statement.tokens[..];
    let mut cursor = Cursor::new(tokens);
    if !cursor.eat(&["alter", "table"]) {
        return Vec::new();
    }
    let Some(table) = cursor.name().filter(|table| !context.new.contains(table)) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for action in actions(cursor.rest()) {
        found.extend(column(action));
        found.extend(constraint(action));
        found.extend(not_null(action, &table, context));
    }
    found
}

/// Cuts at the commas between actions, not at those inside parentheses.
fn actions(tokens: &[Token]) -> impl Iterator<Item = &[Token]> {
    let mut depth = 0_i32;
    tokens.split(move |token| {
        if token.is_symbol('(') {
            depth += 1;
        } else if token.is_symbol(')') {
            depth -= 1;
        }
        depth == 0 && token.is_symbol(',')
    })
}

fn column(action: &[Token]) -> Vec<&'static str> {
    let mut found = Vec::new();
    let mut cursor = Cursor::new(action);
    if cursor.eat(&["alter"]) && contains(action, &["type"]) {
        found.push("a change of type rewrites the table and breaks cached plans: add a column, backfill, contract the old one");
    }
    if !adds_column(action) {
        return found;
    }
    let has = |words: &[&str]| contains(action, words);
    if has(&["stored"]) || has(&["identity"]) || serial(action) {
        found.push("a generated, identity or serial column rewrites the table: fill a plain column by trigger and backfill");
    }
    if volatile_default(action) {
        found.push("a volatile default rewrites the table: add the column without, set the default, backfill");
    }
    if has(&["not", "null"]) && !has(&["default"]) {
        found.push("a new column that must not be null fails on existing rows and in the old release: give it a default, or a check that is not valid yet");
    }
    if has(&["unique"]) || has(&["primary"]) || has(&["references"]) || has(&["check"]) {
        found.push("a constraint of a new column is built or checked under lock: add it in a step of its own, not valid");
    }
    found
}

/// `add column x`, or the short form without `column`.
fn adds_column(action: &[Token]) -> bool {
    let mut cursor = Cursor::new(action);
    let other = [
        "constraint",
        "check",
        "foreign",
        "unique",
        "primary",
        "exclude",
    ];
    cursor.eat(&["add"])
        && !cursor
            .rest()
            .first()
            .is_some_and(|next| other.iter().any(|word| next.is(word)))
}

fn serial(action: &[Token]) -> bool {
    ["serial", "bigserial", "smallserial"]
        .iter()
        .any(|word| contains(action, &[word]))
}

/// Whether the default calls a function; the time of the transaction is the one that is known to be stable.
fn volatile_default(action: &[Token]) -> bool {
    let mut cursor = Cursor::new(action);
    cursor.seek(&["default"])
        && cursor.rest().windows(2).any(|pair| {
            let call = matches!(pair[0], Token::Word(_)) && pair[1].is_symbol('(');
            call && !pair[0].is("now")
        })
}

fn constraint(action: &[Token]) -> Option<&'static str> {
    let mut cursor = Cursor::new(action);
    if !cursor.eat(&["add"]) || adds_column(action) {
        return None;
    }
    let has = |words: &[&str]| contains(action, words);
    if (has(&["foreign"]) || has(&["check"])) && !has(&["not", "valid"]) {
        return Some(
            "a constraint is checked against all rows under lock: add it not valid, validate it in a later file",
        );
    }
    let indexed = has(&["unique"]) || has(&["primary"]) || has(&["exclude"]);
    (indexed && !has(&["using", "index"]))
        .then_some("the constraint builds its index under lock: build the index concurrently, then add it using index")
}

/// `set not null` scans the table, unless a validated check says the same already.
fn not_null(action: &[Token], table: &str, context: &Context) -> Option<&'static str> {
    if !contains(action, &["set", "not", "null"]) {
        return None;
    }
    let mut cursor = Cursor::new(action);
    cursor.eat(&["alter"]);
    cursor.eat(&["column"]);
    let column = cursor.name().unwrap_or_default();
    let checks = context.earlier.iter().filter_map(|statement| {
        let mut cursor = on_table(statement, table)?;
        let is_check = contains(&statement.tokens, &[&column, "is", "not", "null"]);
        (is_check && cursor.seek(&["add", "constraint"])).then(|| cursor.name())?
    });
    let validated = |name: String| {
        context.earlier.iter().any(|statement| {
            let cursor = on_table(statement, table);
            cursor.is_some_and(|mut cursor| cursor.seek(&["validate", "constraint", &name]))
        })
    };
    let proven = checks.into_iter().any(validated);
    (!proven).then_some(
        "set not null scans the table under lock: add check (column is not null) not valid and validate it in earlier files",
    )
}

fn on_table<'a>(statement: &'a Statement, table: &str) -> Option<Cursor<'a>> {
    let mut cursor = Cursor::new(&statement.tokens);
    let ours = cursor.eat(&["alter", "table"]) && cursor.name().as_deref() == Some(table);
    ours.then_some(cursor)
}
