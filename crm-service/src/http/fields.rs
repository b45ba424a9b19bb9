//! Reads the fields of a JSON object, one by one, and collects every error with its pointer.
//!
//! In: an object, for a change the merged one. Out: parsed values, or all errors at once. Fields nobody asked for are
//! errors: an ignored field is a lost change.

use std::collections::BTreeSet;
use std::str::FromStr;

use chrono::NaiveDate;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::problem::{FieldError, Problem};
use crate::money::{self, Money};

/// An object being read.
pub struct Fields {
    values: Map<String, Value>,
    prefix: String,
    asked: BTreeSet<&'static str>,
    errors: Vec<FieldError>,
}

impl Fields {
    /// Reads from an object of the body; `prefix` is the pointer to it (empty for the body itself).
    pub fn new(values: Map<String, Value>, prefix: impl Into<String>) -> Self {
        Fields {
            values,
            prefix: prefix.into(),
            asked: BTreeSet::new(),
            errors: Vec::new(),
        }
    }

    /// Adds an error at a field.
    pub fn refuse(&mut self, name: &str, code: &'static str, message: impl Into<String>) {
        self.errors.push(FieldError::new(
            format!("{}/{name}", self.prefix),
            code,
            message,
        ));
    }

    /// Takes over the errors of an object inside this one.
    pub fn absorb(&mut self, errors: Vec<FieldError>) {
        self.errors.extend(errors);
    }

    /// A text of at most `limit` characters; `None` when it is absent, null or blank.
    pub fn text(&mut self, name: &'static str, limit: usize) -> Option<String> {
        match self.take(name)? {
            Value::String(text) if text.contains('\0') => {
                self.refuse(name, "invalid", "must not hold the character U+0000");
                None
            }
            Value::String(text) if text.chars().count() > limit => {
                self.refuse(
                    name,
                    "too-long",
                    format!("must have at most {limit} characters"),
                );
                None
            }
            Value::String(text) if text.trim().is_empty() => None,
            Value::String(text) => Some(text),
            _ => self.mismatch(name, "must be a string"),
        }
    }

    /// A text that must be there.
    pub fn required_text(&mut self, name: &'static str, limit: usize) -> String {
        let before = self.errors.len();
        let text = self.text(name, limit);
        self.required(name, text, before).unwrap_or_default()
    }

    /// An email address: one `@`, something on both sides, no blanks.
    pub fn email(&mut self, name: &'static str) -> Option<String> {
        let text = self.text(name, 254)?;
        let well_formed = text.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty()
                && !domain.is_empty()
                && !domain.contains('@')
                && !text.contains(char::is_whitespace)
        });
        if !well_formed {
            return self.mismatch(name, "must be an address such as name@example.com");
        }
        Some(text)
    }

    /// An id.
    pub fn id(&mut self, name: &'static str) -> Option<Uuid> {
        self.parsed(name, "must be a UUID")
    }

    /// An id that must be there.
    pub fn required_id(&mut self, name: &'static str) -> Uuid {
        let before = self.errors.len();
        let id = self.id(name);
        self.required(name, id, before).unwrap_or_default()
    }

    /// A day that must be there.
    pub fn required_date(&mut self, name: &'static str) -> NaiveDate {
        let before = self.errors.len();
        let date = self.parsed(name, "must be a day such as 2026-01-31");
        self.required(name, date, before).unwrap_or_default()
    }

    /// An amount of money that must be there.
    pub fn amount(&mut self, name: &'static str) -> Money {
        let before = self.errors.len();
        let amount = self.parsed(name, money::EXPECTED);
        self.required(name, amount, before).unwrap_or_default()
    }

    /// A whole number within bounds; `None` when absent or null.
    pub fn integer(&mut self, name: &'static str, low: i32, high: i32) -> Option<i32> {
        let value = self.take(name)?;
        let number = value
            .as_i64()
            .and_then(|number| i32::try_from(number).ok())
            .filter(|number| (low..=high).contains(number));
        match number {
            Some(number) => Some(number),
            None => self.mismatch(
                name,
                &format!("must be a whole number from {low} to {high}"),
            ),
        }
    }

    /// Whether the object has a field, be it null.
    pub fn is_given(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// A yes or no; `false` when absent or null.
    pub fn flag(&mut self, name: &'static str) -> bool {
        match self.take(name) {
            None => false,
            Some(Value::Bool(flag)) => flag,
            Some(_) => self
                .mismatch(name, "must be true or false")
                .unwrap_or_default(),
        }
    }

    /// A list of objects, each with its own reader; `None` when absent or null.
    pub fn objects(&mut self, name: &'static str, limit: usize) -> Option<Vec<Fields>> {
        let Value::Array(values) = self.take(name)? else {
            return self.mismatch(name, "must be a list of objects");
        };
        if values.len() > limit {
            self.refuse(
                name,
                "too-long",
                format!("must have at most {limit} entries"),
            );
            return None;
        }
        let mut objects = Vec::with_capacity(values.len());
        for (index, value) in values.into_iter().enumerate() {
            let prefix = format!("{}/{name}/{index}", self.prefix);
            match value {
                Value::Object(map) => objects.push(Fields::new(map, prefix)),
                _ => self
                    .errors
                    .push(FieldError::new(prefix, "invalid", "must be an object")),
            }
        }
        Some(objects)
    }

    /// Demands a value, unless reading it already failed since `before` errors.
    pub fn required<T>(&mut self, name: &str, value: Option<T>, before: usize) -> Option<T> {
        if value.is_none() && self.errors.len() == before {
            self.refuse(name, "required", "must be given");
        }
        value
    }

    /// Number of errors so far.
    pub fn failures(&self) -> usize {
        self.errors.len()
    }

    /// Ends the reading: the fields that nobody asked for, and everything that was refused.
    pub fn errors(mut self) -> Vec<FieldError> {
        let unknown: Vec<String> = self
            .values
            .keys()
            .filter(|name| !self.asked.contains(name.as_str()))
            .cloned()
            .collect();
        for name in unknown {
            let escaped = name.replace('~', "~0").replace('/', "~1");
            self.refuse(
                &escaped,
                "unknown-field",
                "is not a field that can be written here",
            );
        }
        self.errors
    }

    /// Ends the reading of a body.
    ///
    /// # Errors
    /// Something was refused or unknown.
    pub fn finish(self) -> Result<(), Problem> {
        match self.errors() {
            errors if errors.is_empty() => Ok(()),
            errors => Err(Problem::validation(errors)),
        }
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.asked.insert(name);
        self.values
            .get(name)
            .filter(|value| !value.is_null())
            .cloned()
    }

    fn parsed<T: FromStr>(&mut self, name: &'static str, message: &str) -> Option<T> {
        match self.take(name)? {
            Value::String(text) => text
                .parse()
                .map_or_else(|_| self.mismatch(name, message), Some),
            _ => self.mismatch(name, message),
        }
    }

    fn mismatch<T>(&mut self, name: &str, message: &str) -> Option<T> {
        self.refuse(name, "invalid", message);
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Fields {
        Fields::new(value.as_object().unwrap().clone(), "")
    }

    #[test]
    fn every_error_is_reported_at_once_with_its_pointer() {
        let mut fields =
            fields(json!({"name": "x".repeat(11), "email": "nobody", "amount": 12.5, "nmae": 1}));
        fields.required_text("name", 10);
        fields.required_text("kind", 10);
        fields.email("email");
        fields.amount("amount");
        let found: Vec<_> = fields
            .errors()
            .into_iter()
            .map(|error| (error.pointer, error.code))
            .collect();
        let expected = [
            ("/name", "too-long"),
            ("/kind", "required"),
            ("/email", "invalid"),
            ("/amount", "invalid"),
            ("/nmae", "unknown-field"),
        ];
        assert_eq!(
            found,
            expected.map(|(pointer, code)| (pointer.to_owned(), code))
        );
    }

    #[test]
    fn blank_and_null_are_nothing_and_zero_bytes_are_refused() {
        let mut fields = fields(json!({"a": "  ", "b": null, "c": "x\u{0}y"}));
        assert_eq!(
            (
                fields.text("a", 9),
                fields.text("b", 9),
                fields.text("c", 9)
            ),
            (None, None, None)
        );
        assert_eq!(fields.errors().len(), 1);
    }
}
