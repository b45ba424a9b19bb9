//! What a statement does to tables: which it locks and how hard, and whether it takes anything away. Reads tokens
//! only; what it does not recognise gets the strongest lock.

use serde::Serialize;

use super::sql::{Statement, Token};

/// PostgreSQL's table locks, weakest first, as far as statements of migrations take them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Lock {
    /// Readers.
    AccessShare,
    /// Writers of rows.
    RowExclusive,
    /// Keeps out others of its kind and schema changes; writers go on.
    ShareUpdateExclusive,
    /// Keeps writers out.
    Share,
    /// Keeps writers and others of its kind out.
    ShareRowExclusive,
    /// Keeps everybody out, readers too.
    AccessExclusive,
}

/// A table and how a statement locks it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableLock {
    /// Name as written.
    pub table: String,
    /// The strongest lock on it.
    pub lock: Lock,
}

/// A statement that builds or drops an index without keeping writers out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Concurrent {
    /// `create index concurrently`.
    Create {
        /// The index, with the schema of its table.
        index: String,
    },
    /// `drop index concurrently if exists`, which may be repeated.
    Drop,
}

/// Walks over the tokens of a statement.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    rest: &'a [Token],
}

impl<'a> Cursor<'a> {
    /// At the first token.
    pub fn new(tokens: &'a [Token]) -> Self {
        Cursor { rest: tokens }
    }

    /// What is left.
    pub fn rest(&self) -> &'a [Token] {
        self.rest
    }

    /// Steps over all of `words` if they come next.
    pub fn eat(&mut self, words: &[&str]) -> bool {
        let found = starts(self.rest, words);
        if found {
            self.rest = &self.rest[words.len()..];
        }
        found
    }

    /// Reads a name with its dots; steps over `only`, `if exists` and `if not exists` before it.
    pub fn name(&mut self) -> Option<String> {
        while self.eat(&["only"])
            || self.eat(&["if", "exists"])
            || self.eat(&["if", "not", "exists"])
        {}
        let mut name = part(self.rest.first()?)?;
        self.rest = &self.rest[1..];
        while let [dot, next, ..] = self.rest
            && dot.is_symbol('.')
            && let Some(next) = part(next)
        {
            name = format!("{name}.{next}");
            self.rest = &self.rest[2..];
        }
        Some(name)
    }

    /// Goes to just after the next `words`, if they come at all.
    pub fn seek(&mut self, words: &[&str]) -> bool {
        let Some(at) = find(self.rest, words) else {
            return false;
        };
        self.rest = &self.rest[at + words.len()..];
        true
    }
}

fn part(token: &Token) -> Option<String> {
    match token {
        Token::Word(word) | Token::Name(word) => Some(word.clone()),
        Token::Text(_) | Token::Symbol(_) => None,
    }
}

fn starts(tokens: &[Token], words: &[&str]) -> bool {
    tokens.len() >= words.len() && tokens.iter().zip(words).all(|(token, word)| token.is(word))
}

fn find(tokens: &[Token], words: &[&str]) -> Option<usize> {
    (0..tokens.len()).find(|at| starts(&tokens[*at..], words))
}

/// Whether `words` come one after the other anywhere in the tokens.
pub fn contains(tokens: &[Token], words: &[&str]) -> bool {
    find(tokens, words).is_some()
}

/// The tables that a statement locks, in the order of the text.
pub fn locks(statement: &Statement) -> Vec<TableLock> {
    let tokens = &statement.tokens[..];
    let mut cursor = Cursor::new(tokens);
    let mut found = Vec::new();
    if starts(tokens, &["select"]) || starts(tokens, &["with"]) {
        while cursor.seek(&["from"]) || cursor.seek(&["join"]) {
            let table = cursor.name().filter(|name| name.contains('.'));
            let lock = Lock::AccessShare;
            found.extend(table.map(|table| TableLock { table, lock }));
        }
        return found;
    }
    found.extend(changed(tokens));
    if starts(tokens, &["create", "table"]) || starts(tokens, &["alter", "table"]) {
        // A foreign key puts triggers on the table that it refers to.
        while cursor.seek(&["references"]) {
            let lock = Lock::ShareRowExclusive;
            found.extend(cursor.name().map(|table| TableLock { table, lock }));
        }
    }
    found
}

/// The table that a statement is about.
fn changed(tokens: &[Token]) -> Option<TableLock> {
    let mut cursor = Cursor::new(tokens);
    let lock = if cursor.eat(&["create", "table"]) {
        Lock::AccessExclusive
    } else if cursor.eat(&["alter", "table"]) {
        alteration(tokens)
    } else if is_index(tokens) {
        cursor.seek(&["on"]);
        match contains(tokens, &["concurrently"]) {
            true => Lock::ShareUpdateExclusive,
            false => Lock::Share,
        }
    } else if makes_trigger(tokens) {
        cursor.seek(&["on"]);
        Lock::ShareRowExclusive
    } else if cursor.eat(&["drop", "trigger"]) {
        cursor.seek(&["on"]);
        Lock::AccessExclusive
    } else if cursor.eat(&["drop", "table"]) || cursor.eat(&["truncate"]) {
        cursor.eat(&["table"]);
        Lock::AccessExclusive
    } else if [&["insert", "into"][..], &["update"], &["delete", "from"]]
        .iter()
        .any(|words| cursor.eat(words))
    {
        Lock::RowExclusive
    } else {
        return None;
    };
    let table = cursor.name()?;
    Some(TableLock { table, lock })
}

/// The lock of an `alter table`, by its gentlest known forms.
fn alteration(tokens: &[Token]) -> Lock {
    if contains(tokens, &["validate", "constraint"]) {
        Lock::ShareUpdateExclusive
    } else if contains(tokens, &["foreign", "key"]) && !contains(tokens, &["add", "column"]) {
        Lock::ShareRowExclusive
    } else {
        Lock::AccessExclusive
    }
}

/// Whether rows, columns or objects are gone afterwards.
pub fn destructive(statement: &Statement) -> bool {
    let tokens = &statement.tokens[..];
    let first = |word| starts(tokens, &[word]);
    let column = first("alter")
        && (contains(tokens, &["drop", "column"]) || contains(tokens, &["drop", "constraint"]));
    first("drop") || first("truncate") || first("delete") || column
}

/// Whether a statement makes an index.
pub fn is_index(tokens: &[Token]) -> bool {
    starts(tokens, &["create", "index"]) || starts(tokens, &["create", "unique", "index"])
}

/// Whether a statement makes a trigger; a function that returns one does not.
pub fn makes_trigger(tokens: &[Token]) -> bool {
    let forms: [&[&str]; 3] = [
        &["create", "trigger"],
        &["create", "constraint", "trigger"],
        &["create", "or", "replace", "trigger"],
    ];
    forms.iter().any(|form| starts(tokens, form))
}

/// What a statement outside of a transaction does, if it can be repeated.
pub fn concurrent(statement: &Statement) -> Option<Concurrent> {
    let tokens = &statement.tokens[..];
    let mut cursor = Cursor::new(tokens);
    if cursor.eat(&["drop", "index", "concurrently", "if", "exists"]) {
        return Some(Concurrent::Drop);
    }
    if !is_index(tokens) || !cursor.seek(&["index", "concurrently"]) {
        return None;
    }
    let index = cursor.name()?;
    cursor.seek(&["on"]);
    let table = cursor.name()?;
    let (schema, _) = table.split_once('.')?;
    Some(Concurrent::Create {
        index: format!("{schema}.{index}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::sql;

    fn one(text: &str) -> Statement {
        sql::statements(text).unwrap().remove(0)
    }

    #[test]
    fn names_the_lock_of_each_table() {
        use Lock::*;
        for (text, expected) in [
            (
                "create table a.t (id int references a.u(id))",
                vec![("a.t", AccessExclusive), ("a.u", ShareRowExclusive)],
            ),
            (
                "alter table only a.t add column x int",
                vec![("a.t", AccessExclusive)],
            ),
            (
                "alter table a.t validate constraint c",
                vec![("a.t", ShareUpdateExclusive)],
            ),
            (
                "alter table a.t add constraint c foreign key (x) references a.u(id) not valid",
                vec![("a.t", ShareRowExclusive), ("a.u", ShareRowExclusive)],
            ),
            ("create index i on a.t (x)", vec![("a.t", Share)]),
            (
                "create unique index concurrently i on a.t (x)",
                vec![("a.t", ShareUpdateExclusive)],
            ),
            (
                "create trigger g after insert on a.t for each row execute function a.f()",
                vec![("a.t", ShareRowExclusive)],
            ),
            ("drop trigger g on a.t", vec![("a.t", AccessExclusive)]),
            ("insert into a.t values (1)", vec![("a.t", RowExclusive)]),
            (
                "select count(1) from a.t join a.u on true",
                vec![("a.t", AccessShare), ("a.u", AccessShare)],
            ),
            (
                "create function a.f() returns trigger language plpgsql as $$ begin end $$",
                vec![],
            ),
        ] {
            let found = locks(&one(text));
            let found: Vec<_> = found.iter().map(|l| (l.table.as_str(), l.lock)).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn tells_what_takes_something_away() {
        for text in [
            "drop table a.t",
            "alter table a.t drop column x",
            "delete from a.t",
            "truncate a.t",
        ] {
            assert!(destructive(&one(text)), "{text}");
        }
        for text in [
            "create table a.t (id int)",
            "alter table a.t alter column x drop not null",
        ] {
            assert!(!destructive(&one(text)), "{text}");
        }
    }

    #[test]
    fn finds_the_index_that_a_build_makes() {
        let index = "a.i".to_owned();
        let found = concurrent(&one(
            "create unique index concurrently i on a.t (lower(x)) where x is not null",
        ));
        assert_eq!(found, Some(Concurrent::Create { index }));
        assert_eq!(concurrent(&one("vacuum a.t")), None);
        assert_eq!(concurrent(&one("create index i on a.t (x)")), None);
    }
}
