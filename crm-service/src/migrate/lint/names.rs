//! Names without a schema: with an empty search path they are not found, and with another they are found in the wrong
//! place. Function bodies are read too.

use crate::migrate::sql::{self, Statement, Token};
use crate::migrate::statement::{Cursor, is_index, makes_trigger};

/// Words before `update` when it is not the verb of a statement.
const BEFORE_EVENT: [&str; 7] = ["for", "key", "do", "or", "before", "after", "of"];
/// Functions whose argument list has a `from` of its own.
const FROM_INSIDE: [&str; 4] = ["extract", "substring", "trim", "overlay"];

/// The names of a statement and of its function body that lack a schema.
pub fn unqualified(statement: &Statement) -> Vec<String> {
    let mut found = in_tokens(&statement.tokens);
    found.extend(on(statement));
    found.extend(body(statement).iter().flat_map(|body| in_tokens(body)));
    found
}

/// The tokens of a function's body, for a statement that makes a function.
pub fn body(statement: &Statement) -> Option<Vec<Token>> {
    let makes =
        statement.tokens[0].is("create") && statement.tokens.iter().any(|t| t.is("function"));
    let text = statement
        .tokens
        .iter()
        .rev()
        .find_map(|token| match token {
            Token::Text(text) if makes => Some(text),
            _ => None,
        })?;
    let statements = sql::statements(text).ok()?;
    Some(
        statements
            .into_iter()
            .flat_map(|part| part.tokens)
            .collect(),
    )
}

fn in_tokens(tokens: &[Token]) -> Vec<String> {
    let common = common_table_names(tokens);
    let mut open: Vec<bool> = Vec::new();
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        let before = at.checked_sub(1).map(|before| &tokens[before]);
        if tokens[at].is_symbol('(') {
            open.push(before.is_some_and(|before| one_of(before, &FROM_INSIDE)));
        } else if tokens[at].is_symbol(')') {
            open.pop();
        }
        let inside = open.last().copied().unwrap_or_default();
        if !inside && introduces(&tokens[at], before) {
            found.extend(name_at(&tokens[at + 1..]).filter(|name| !common.contains(name)));
        }
    }
    found
}

/// Whether the next token starts the name of an object that lives in a schema.
fn introduces(token: &Token, before: Option<&Token>) -> bool {
    let after = |words: &[&str]| before.is_some_and(|before| one_of(before, words));
    if one_of(token, &["references", "join"]) {
        true
    } else if token.is("into") {
        after(&["insert"])
    } else if token.is("from") {
        !after(&["distinct"])
    } else if token.is("update") {
        !after(&BEFORE_EVENT)
    } else if one_of(token, &["function", "procedure"]) {
        after(&["create", "replace", "drop", "execute", "alter"])
    } else {
        one_of(token, &["table", "type", "sequence", "view"])
            && after(&["create", "alter", "drop", "truncate", "replace"])
    }
}

/// The name that starts here, if it is plain and not a call, a subquery or one of PostgreSQL's own.
fn name_at(tokens: &[Token]) -> Option<String> {
    let mut cursor = Cursor::new(tokens);
    let name = cursor.name()?;
    let call = cursor
        .rest()
        .first()
        .is_some_and(|next| next.is_symbol('('));
    // A function that is made or run is named before its parenthesis too, but never without one.
    let own = name.contains('.')
        || name.starts_with("pg_")
        || ["lateral", "set", "unnest"].contains(&&*name);
    let function = call && !own && !is_known_call(&name);
    (!own && (!call || function)).then_some(name)
}

/// Set-returning functions of PostgreSQL that may stand after `from`.
fn is_known_call(name: &str) -> bool {
    [
        "unnest",
        "generate_series",
        "jsonb_array_elements",
        "jsonb_to_recordset",
        "regexp_split_to_table",
    ]
    .contains(&name)
}

/// The table of an index or trigger, and the index of a drop.
fn on(statement: &Statement) -> Option<String> {
    let tokens = &statement.tokens;
    let index = is_index(tokens);
    let trigger = makes_trigger(tokens) || Cursor::new(tokens).eat(&["drop", "trigger"]);
    let mut cursor = Cursor::new(tokens);
    let found = if index || trigger {
        cursor.seek(&["on"]).then(|| cursor.name())?
    } else if cursor.eat(&["drop", "index"]) {
        cursor.eat(&["concurrently"]);
        cursor.name()
    } else {
        None
    };
    found.filter(|name| !name.contains('.'))
}

fn common_table_names(tokens: &[Token]) -> Vec<String> {
    let named = tokens.windows(3).filter_map(|triple| {
        let [Token::Word(name), as_word, next] = triple else {
            return None;
        };
        let opens = next.is_symbol('(') || one_of(next, &["materialized", "not"]);
        (as_word.is("as") && opens).then(|| name.clone())
    });
    named.collect()
}

fn one_of(token: &Token, words: &[&str]) -> bool {
    words.iter().any(|word| token.is(word))
}
