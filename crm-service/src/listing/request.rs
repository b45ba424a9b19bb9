//! The query string of a list: text in, a checked [`Request`] or every error out. Unknown parameters are errors: an
//! ignored filter shows rows that nobody asked for.

use std::fmt::Write as _;

use serde_json::Value as Json;
use uuid::Uuid;

use super::{Filter, Listing, Sort, Value, cursor};
use crate::http::problem::{FieldError, Problem};

/// Rows of a page when the caller names no limit.
const DEFAULT_LIMIT: i64 = 50;
/// Most rows of a page.
const MAXIMUM_LIMIT: i64 = 200;
/// Most conditions of one request; every field can be bounded on both sides.
const MAXIMUM_CONDITIONS: usize = 20;

/// A list as a caller asked for it.
#[derive(Debug)]
pub struct Request {
    /// Rows of the page.
    pub limit: i64,
    /// Sort field.
    pub sort: &'static Sort,
    /// From the greatest to the least.
    pub descending: bool,
    /// All must hold.
    pub conditions: Vec<Condition>,
    /// Sort key and id of the last row of the page before.
    pub after: Option<(Value, Uuid)>,
}

/// A comparison of a field.
#[derive(Clone, Debug)]
pub struct Condition {
    filter: &'static Filter,
    operator: &'static str,
    value: Option<Value>,
    /// As the caller wrote it, for the fingerprint: the printed form of a value may change with a library.
    text: String,
}

/// Operators with their SQL; `in` and `is` are apart.
const OPERATORS: [(&str, &str); 5] = [
    ("eq", "="),
    ("lt", "<"),
    ("lte", "<="),
    ("gt", ">"),
    ("gte", ">="),
];

impl Condition {
    /// Every operator that a filter knows, with some value.
    pub fn samples(filter: &'static Filter) -> Vec<Condition> {
        let condition = |operator, value| Condition {
            filter,
            operator,
            value,
            text: String::new(),
        };
        let ranged_or_listed = match filter.kind.is_ordered() {
            true => condition(">=", Some(filter.kind.sample())),
            false => condition(
                "in",
                filter
                    .kind
                    .parse_list("00000000-0000-0000-0000-000000000000"),
            ),
        };
        vec![
            condition("=", Some(filter.kind.sample())),
            condition("is null", None),
            ranged_or_listed,
        ]
    }

    /// Appends ` and …` and the value.
    pub fn write(&self, sql: &mut String, values: &mut Vec<Value>) {
        let comparison = match (&self.value, self.operator) {
            (None, operator) => operator.to_owned(),
            (Some(value), operator) => {
                values.push(value.clone());
                let position = values.len();
                match operator {
                    "in" => format!("= any(${position})"),
                    _ => format!("{operator} ${position}"),
                }
            }
        };
        let column = self.filter.column;
        let ids = |comparison| column.replace("{}", comparison);
        let written = match (column.contains("{}"), comparison.as_str()) {
            (false, _) => write!(sql, " and {column} {comparison}"),
            // No value among several is not one value that is null.
            (true, "is null") => write!(sql, " and id not in ({})", ids("is not null")),
            (true, "is not null") => write!(sql, " and id in ({})", ids("is not null")),
            // First the few ids, then their records by the primary key: a join would be planned by a guess of how many.
            (true, _) => write!(sql, " and id = any (array({}))", ids(&comparison)),
        };
        written.expect("writing to a string cannot fail");
    }

    fn parse(filter: &'static Filter, text: &str) -> Result<Condition, String> {
        let kind = filter.kind;
        let condition = |operator, value| {
            Ok(Condition {
                filter,
                operator,
                value,
                text: text.to_owned(),
            })
        };
        match text {
            "is.null" => return condition("is null", None),
            "is.not_null" => return condition("is not null", None),
            _ => {}
        }
        if let Some(list) = text
            .strip_prefix("in.(")
            .and_then(|rest| rest.strip_suffix(')'))
        {
            let value = kind.parse_list(list);
            let value = value.ok_or_else(|| format!("in.(…) must list values, each {}; moments, days and numbers have ranges instead", kind.words()))?;
            return condition("in", Some(value));
        }
        let prefixed = OPERATORS
            .iter()
            .find_map(|(prefix, sql)| Some((*sql, text.strip_prefix(prefix)?.strip_prefix('.')?)));
        let (operator, operand) = prefixed.unwrap_or(("=", text));
        if operator != "=" && !kind.is_ordered() {
            return Err("can be compared with eq, in and is only".to_owned());
        }
        let value = kind.parse(operand).ok_or_else(|| {
            format!(
                "must be {}, alone or after eq., lt., lte., gt. or gte.",
                kind.words()
            )
        })?;
        condition(operator, Some(value))
    }
}

impl Request {
    /// Checks the parameters of a list named `list`.
    ///
    /// # Errors
    /// 400 with every parameter that is unknown or unreadable; 400 `cursor-mismatch` for a cursor of another list.
    pub fn parse(
        listing: &Listing,
        list: &str,
        parameters: &[(String, String)],
    ) -> Result<Request, Problem> {
        let default = listing
            .sorts()
            .next()
            .expect("every list has the common sort fields");
        let mut request = Request {
            limit: DEFAULT_LIMIT,
            sort: default,
            descending: false,
            conditions: Vec::new(),
            after: None,
        };
        let mut errors = Vec::new();
        let mut cursor = None;
        for (name, text) in parameters {
            let outcome = match name.as_str() {
                "cursor" => {
                    cursor = Some(text);
                    Ok(())
                }
                "limit" => request.set_limit(text),
                "sort" => request.set_sort(listing, text),
                _ => request.add_condition(listing, name, text),
            };
            if let Err((code, message)) = outcome {
                errors.push(FieldError::new(name, code, message));
            }
        }
        if request.conditions.len() > MAXIMUM_CONDITIONS {
            errors.push(FieldError::new(
                "",
                "too-long",
                format!("at most {MAXIMUM_CONDITIONS} conditions fit into one request"),
            ));
        }
        if !errors.is_empty() {
            return Err(Problem::parameters(errors));
        }
        // One order, so that the same list asked for in another order reuses its prepared statement and its cursor.
        request.conditions.sort_by(|left, right| {
            (left.filter.name, &left.text).cmp(&(right.filter.name, &right.text))
        });
        if let Some(text) = cursor {
            request.after = Some(request.position(list, text)?);
        }
        Ok(request)
    }

    /// The cursor after a row, given as its JSON.
    pub fn cursor_after(&self, list: &str, row: &Json) -> String {
        let key = row[self.sort.name]
            .as_str()
            .expect("sort fields are strings in JSON")
            .to_owned();
        let id = row["id"]
            .as_str()
            .and_then(|id| id.parse().ok())
            .expect("every record has an id");
        cursor::encode(&self.fingerprint(list), key, id)
    }

    fn position(&self, list: &str, text: &str) -> Result<(Value, Uuid), Problem> {
        let cursor = cursor::decode(&self.fingerprint(list), text);
        let position =
            cursor.and_then(|cursor| Some((self.sort.kind.parse(&cursor.key)?, cursor.id)));
        position.ok_or_else(|| {
            let detail =
                "the cursor belongs to another list, filter or sort order; start again without it";
            Problem::new(
                axum::http::StatusCode::BAD_REQUEST,
                "cursor-mismatch",
                detail,
            )
        })
    }

    fn fingerprint(&self, list: &str) -> String {
        let mut parts: Vec<String> = self
            .conditions
            .iter()
            .map(|c| format!("{}={}", c.filter.name, c.text))
            .collect();
        parts.push(format!(
            "{}{}",
            if self.descending { "-" } else { "" },
            self.sort.name
        ));
        cursor::fingerprint(std::iter::once(list).chain(parts.iter().map(String::as_str)))
    }

    fn set_limit(&mut self, text: &str) -> Result<(), (&'static str, String)> {
        let limit = text
            .parse()
            .ok()
            .filter(|limit| (1..=MAXIMUM_LIMIT).contains(limit));
        self.limit = limit.ok_or_else(|| {
            (
                "invalid",
                format!("must be a whole number from 1 to {MAXIMUM_LIMIT}"),
            )
        })?;
        Ok(())
    }

    fn set_sort(&mut self, listing: &Listing, text: &str) -> Result<(), (&'static str, String)> {
        let name = text.strip_prefix('-').unwrap_or(text);
        let sort = listing.sorts().find(|sort| sort.name == name);
        self.sort = sort.ok_or_else(|| {
            let names: Vec<_> = listing.sorts().map(|sort| sort.name).collect();
            (
                "invalid",
                format!(
                    "must be one of {}, with - before it for descending",
                    names.join(", ")
                ),
            )
        })?;
        self.descending = name != text;
        Ok(())
    }

    fn add_condition(
        &mut self,
        listing: &Listing,
        name: &str,
        text: &str,
    ) -> Result<(), (&'static str, String)> {
        let filter = listing.filters().find(|filter| filter.name == name);
        let filter = filter.ok_or_else(|| {
            let names: Vec<_> = listing.filters().map(|filter| filter.name).collect();
            (
                "unknown-parameter",
                format!("must be one of limit, cursor, sort, {}", names.join(", ")),
            )
        })?;
        self.conditions
            .push(Condition::parse(filter, text).map_err(|message| ("invalid", message))?);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
