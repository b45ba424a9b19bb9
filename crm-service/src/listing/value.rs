//! Values of filters and sort keys: text in, typed and bindable out.

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::{Query, QueryAs};
use uuid::Uuid;

/// What the values of a field look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A UUID.
    Id,
    /// Text, compared exactly.
    Text,
    /// Text, compared without regard to case; the column is an expression with `lower`.
    FoldedText,
    /// A moment, or a day which stands for its first moment in UTC.
    Timestamp,
    /// A decimal number.
    Decimal,
    /// A day.
    Date,
}

/// A typed value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// One id.
    Id(Uuid),
    /// Several ids.
    Ids(Vec<Uuid>),
    /// One text.
    Text(String),
    /// Several texts.
    Texts(Vec<String>),
    /// A moment.
    Timestamp(DateTime<Utc>),
    /// A decimal number.
    Decimal(Decimal),
    /// A day.
    Date(NaiveDate),
    /// A count.
    Integer(i64),
}

impl Kind {
    /// Whether `lt.` and its kin make sense.
    pub fn is_ordered(self) -> bool {
        matches!(self, Kind::Timestamp | Kind::Decimal | Kind::Date)
    }

    /// In words, for error messages and the OpenAPI document.
    pub fn words(self) -> &'static str {
        match self {
            Kind::Id => "a UUID",
            Kind::Text | Kind::FoldedText => "a text",
            Kind::Timestamp => "a moment such as 2026-01-31T12:00:00Z or a day such as 2026-01-31",
            Kind::Decimal => "a decimal number such as 1250.50",
            Kind::Date => "a day such as 2026-01-31",
        }
    }

    /// Reads one value.
    pub fn parse(self, text: &str) -> Option<Value> {
        match self {
            Kind::Id => text.parse().ok().map(Value::Id),
            Kind::Text => (!text.contains('\0')).then(|| Value::Text(text.to_owned())),
            Kind::FoldedText => (!text.contains('\0')).then(|| Value::Text(text.to_lowercase())),
            Kind::Timestamp => moment(text).map(Value::Timestamp),
            Kind::Decimal => text.parse().ok().map(Value::Decimal),
            Kind::Date => text.parse().ok().map(Value::Date),
        }
    }

    /// Reads a comma-separated list; only ids and texts can be asked for in one.
    pub fn parse_list(self, text: &str) -> Option<Value> {
        match self {
            Kind::Id => text
                .split(',')
                .map(|part| part.parse().ok())
                .collect::<Option<_>>()
                .map(Value::Ids),
            Kind::Text if !text.contains('\0') => {
                Some(Value::Texts(text.split(',').map(str::to_owned).collect()))
            }
            Kind::FoldedText if !text.contains('\0') => Some(Value::Texts(
                text.split(',').map(str::to_lowercase).collect(),
            )),
            _ => None,
        }
    }

    /// Any value of this kind.
    pub fn sample(self) -> Value {
        match self {
            Kind::Id => Value::Id(Uuid::nil()),
            Kind::Text | Kind::FoldedText => Value::Text(String::new()),
            Kind::Timestamp => Value::Timestamp(DateTime::UNIX_EPOCH),
            Kind::Decimal => Value::Decimal(Decimal::ZERO),
            Kind::Date => Value::Date(NaiveDate::default()),
        }
    }
}

fn moment(text: &str) -> Option<DateTime<Utc>> {
    let moment = DateTime::parse_from_rfc3339(text).map(|moment| moment.to_utc());
    moment.ok().or_else(|| {
        Some(
            text.parse::<NaiveDate>()
                .ok()?
                .and_hms_opt(0, 0, 0)?
                .and_utc(),
        )
    })
}

macro_rules! bind {
    ($query:ident, $value:ident) => {
        match $value {
            Value::Id(value) => $query.bind(value),
            Value::Ids(value) => $query.bind(value),
            Value::Text(value) => $query.bind(value),
            Value::Texts(value) => $query.bind(value),
            Value::Timestamp(value) => $query.bind(value),
            Value::Decimal(value) => $query.bind(value),
            Value::Date(value) => $query.bind(value),
            Value::Integer(value) => $query.bind(value),
        }
    };
}

impl Value {
    /// Binds the value as the next parameter.
    pub fn bind_as<T>(
        self,
        query: QueryAs<'_, Postgres, T, PgArguments>,
    ) -> QueryAs<'_, Postgres, T, PgArguments> {
        bind!(query, self)
    }

    /// Binds the value as the next parameter of a statement without a row type.
    pub fn bind(self, query: Query<'_, Postgres, PgArguments>) -> Query<'_, Postgres, PgArguments> {
        bind!(query, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_stands_for_its_first_moment() {
        assert_eq!(
            Kind::Timestamp.parse("2026-01-31"),
            Kind::Timestamp.parse("2026-01-31T00:00:00Z")
        );
        assert_eq!(Kind::Timestamp.parse("yesterday"), None);
    }

    #[test]
    fn microseconds_survive_the_way_through_a_cursor() {
        let text = "2026-01-31T12:00:00.123456Z";
        let Some(Value::Timestamp(moment)) = Kind::Timestamp.parse(text) else {
            panic!("must parse")
        };
        assert_eq!(serde_json::to_value(moment).unwrap(), text);
    }
}
