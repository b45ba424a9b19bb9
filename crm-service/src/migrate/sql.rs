//! Cuts the text of a SQL file into statements and tokens, as PostgreSQL would: quotes, dollar quotes and comments are
//! respected. It does not check grammar. What is linted, planned and run is the same list of statements.

use std::iter::Peekable;
use std::str::CharIndices;

/// A piece of a statement; comments and white space are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// A keyword or name without quotes, in lower case.
    Word(String),
    /// A name in double quotes, as written.
    Name(String),
    /// A string constant or a dollar-quoted body, without its quotes.
    Text(String),
    /// Any other character, digits included.
    Symbol(char),
}

impl Token {
    /// Whether this is the keyword or unquoted name `word`, given in lower case.
    pub fn is(&self, word: &str) -> bool {
        matches!(self, Token::Word(text) if text == word)
    }

    /// Whether this is the character `symbol`.
    pub fn is_symbol(&self, symbol: char) -> bool {
        matches!(self, Token::Symbol(found) if *found == symbol)
    }
}

/// One SQL statement of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The text without its semicolon and without leading comments.
    pub text: String,
    /// Its tokens.
    pub tokens: Vec<Token>,
    /// The last line comment above it, without its dashes.
    pub comment: Option<String>,
    /// The line in the file where it starts, from 1.
    pub line: usize,
}

/// A file that cannot be cut: a quote or comment that never ends.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what} is not closed")]
pub struct Unclosed {
    /// What was opened.
    pub what: &'static str,
    /// Where, from 1.
    pub line: usize,
}

/// Cuts a file into its statements, in order; empty ones are left out.
///
/// # Errors
/// A string, quoted name, dollar quote or block comment is not closed.
pub fn statements(source: &str) -> Result<Vec<Statement>, Unclosed> {
    let mut scanner = Scanner::new(source);
    let mut found = Vec::new();
    while let Some(statement) = scanner.statement()? {
        if !statement.tokens.is_empty() {
            found.push(statement);
        }
    }
    Ok(found)
}

struct Scanner<'a> {
    source: &'a str,
    rest: Peekable<CharIndices<'a>>,
    comment: Option<String>,
}

impl<'a> Scanner<'a> {
    fn new(source: &'a str) -> Self {
        Scanner {
            source,
            rest: source.char_indices().peekable(),
            comment: None,
        }
    }

    fn position(&mut self) -> usize {
        let end = self.source.len();
        self.rest.peek().map_or(end, |(position, _)| *position)
    }

    fn line_of(&self, position: usize) -> usize {
        self.source[..position].matches('\n').count() + 1
    }

    fn unclosed(&self, what: &'static str, position: usize) -> Unclosed {
        let line = self.line_of(position);
        Unclosed { what, line }
    }

    fn statement(&mut self) -> Result<Option<Statement>, Unclosed> {
        let mut tokens = Vec::new();
        let mut start = None;
        let mut comment = None;
        loop {
            let at = self.position();
            let Some(token) = self.token(tokens.last())? else {
                if at == self.source.len() {
                    break;
                }
                continue;
            };
            if token.is_symbol(';') {
                return Ok(Some(self.finish(tokens, start.unwrap_or(at), at, comment)));
            }
            if start.is_none() {
                start = Some(at);
                comment = self.comment.take();
            }
            tokens.push(token);
        }
        let end = self.source.len();
        Ok(start.map(|start| self.finish(tokens, start, end, comment)))
    }

    fn finish(
        &mut self,
        tokens: Vec<Token>,
        start: usize,
        end: usize,
        comment: Option<String>,
    ) -> Statement {
        self.comment = None;
        Statement {
            text: self.source[start..end].trim_end().to_owned(),
            tokens,
            comment,
            line: self.line_of(start),
        }
    }

    /// The next token; `None` for white space, a comment or the end.
    fn token(&mut self, previous: Option<&Token>) -> Result<Option<Token>, Unclosed> {
        let Some((at, character)) = self.rest.next() else {
            return Ok(None);
        };
        let next = self.rest.peek().map(|(_, next)| *next);
        Ok(match character {
            c if c.is_whitespace() => None,
            '-' if next == Some('-') => {
                self.line_comment();
                None
            }
            '/' if next == Some('*') => {
                self.block_comment(at)?;
                None
            }
            '\'' => {
                // E'..' is the only kind of constant in which a backslash escapes.
                let escapes = previous.is_some_and(|token| token.is("e"))
                    && self.source[..at].ends_with(['e', 'E']);
                Some(Token::Text(self.quoted('\'', escapes, at)?))
            }
            '"' => Some(Token::Name(self.quoted('"', false, at)?)),
            '$' => Some(self.dollar(at)?),
            c if c.is_alphabetic() || c == '_' => Some(Token::Word(self.word(at))),
            c => Some(Token::Symbol(c)),
        })
    }

    fn line_comment(&mut self) {
        let start = self.position() + 1;
        while self.rest.next_if(|(_, c)| *c != '\n').is_some() {}
        let end = self.position();
        let text = self.source[start..end].trim();
        // The header speaks of the file, not of the statement below it.
        if !text.starts_with("crm:") {
            self.comment = Some(text.to_owned());
        }
    }

    fn block_comment(&mut self, at: usize) -> Result<(), Unclosed> {
        let mut depth = 0;
        let mut before = '/';
        for (_, character) in self.rest.by_ref() {
            match (before, character) {
                ('/', '*') => depth += 1,
                ('*', '/') => depth -= 1,
                _ => {
                    before = character;
                    continue;
                }
            }
            if depth == 0 {
                return Ok(());
            }
            // A character that closed one mark cannot open the next.
            before = ' ';
        }
        Err(self.unclosed("a block comment", at))
    }

    fn quoted(&mut self, quote: char, escapes: bool, at: usize) -> Result<String, Unclosed> {
        let mut text = String::new();
        while let Some((_, character)) = self.rest.next() {
            if escapes && character == '\\' {
                text.extend(self.rest.next().map(|(_, c)| c));
            } else if character != quote {
                text.push(character);
            } else if self.rest.next_if(|(_, c)| *c == quote).is_some() {
                text.push(quote);
            } else {
                return Ok(text);
            }
        }
        Err(self.unclosed("a quote", at))
    }

    /// `$tag$ body $tag$`, or the plain character of a parameter such as `$1`.
    fn dollar(&mut self, at: usize) -> Result<Token, Unclosed> {
        let after = &self.source[at + 1..];
        let length = after
            .find(|c: char| !(c.is_alphanumeric() || c == '_'))
            .unwrap_or(after.len());
        let parameter = after.starts_with(|c: char| c.is_ascii_digit());
        if parameter || !after[length..].starts_with('$') {
            return Ok(Token::Symbol('$'));
        }
        let tag = &self.source[at..at + length + 2];
        let body = at + tag.len();
        let Some(end) = self.source[body..].find(tag) else {
            return Err(self.unclosed("a dollar quote", at));
        };
        let stop = body + end + tag.len();
        while self
            .rest
            .next_if(|(position, _)| *position < stop)
            .is_some()
        {}
        Ok(Token::Text(self.source[body..body + end].to_owned()))
    }

    fn word(&mut self, at: usize) -> String {
        let inside = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
        while self.rest.next_if(|(_, c)| inside(*c)).is_some() {}
        let end = self.position();
        self.source[at..end].to_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<String> {
        let found = statements(source).unwrap();
        found.into_iter().map(|statement| statement.text).collect()
    }

    #[test]
    fn cuts_at_semicolons_outside_of_quotes_and_comments() {
        let source = "select 'a;''b'; -- one; two\nselect \"x;y\" /* ; /* ; */ ; */ from t;\n;\nselect E'\\';'";
        assert_eq!(
            texts(source),
            [
                "select 'a;''b'",
                "select \"x;y\" /* ; /* ; */ ; */ from t",
                "select E'\\';'"
            ]
        );
    }

    #[test]
    fn keeps_a_function_body_in_one_statement() {
        let source = "create function f() returns int language sql as $body$ select 1; select $$;$$ $body$; select $1";
        let found = statements(source).unwrap();
        assert_eq!(found.len(), 2);
        assert!(
            found[0]
                .tokens
                .contains(&Token::Text(" select 1; select $$;$$ ".to_owned()))
        );
        assert_eq!(found[1].tokens[1], Token::Symbol('$'));
    }

    #[test]
    fn gives_each_statement_its_line_and_the_comment_above_it() {
        let found = statements("-- first\nselect 1;\n\n-- second\n  SELECT 2;\nselect 3").unwrap();
        let lines: Vec<_> = found
            .iter()
            .map(|s| (s.line, s.comment.as_deref()))
            .collect();
        assert_eq!(lines, [(2, Some("first")), (5, Some("second")), (6, None)]);
        assert!(found[1].tokens[0].is("select"));
    }

    #[test]
    fn says_where_an_open_quote_starts() {
        for (source, what) in [
            ("select 1;\nselect 'x", "a quote"),
            ("select 1;\n/* x", "a block comment"),
            ("select 1;\ndo $$ x", "a dollar quote"),
        ] {
            assert_eq!(statements(source), Err(Unclosed { what, line: 2 }));
        }
    }
}
