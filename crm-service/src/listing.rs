//! Lists: what may be filtered and sorted, and the SQL of it.
//!
//! A [`Listing`] is an allow-list made of constants; a [`Request`] is what a caller asked for, already checked against
//! it. SQL is put together from the constants only; every value of a caller is bound.

mod cursor;
mod request;
mod value;

use std::fmt::Write as _;

pub use request::{Condition, Request};
pub use value::{Kind, Value};

/// A field that a list may be filtered by.
#[derive(Debug)]
pub struct Filter {
    /// Name of the parameter.
    pub name: &'static str,
    /// Column or expression that an index covers; or, for a field with several values in another table, the selection of
    /// the ids of records of which one value fits, with `{}` for the comparison.
    pub column: &'static str,
    /// What its values look like.
    pub kind: Kind,
}

/// A field that a list may be sorted by. Its column is never null and has the name of the JSON field.
#[derive(Debug)]
pub struct Sort {
    /// Name of the parameter's value, of the JSON field and of the column.
    pub name: &'static str,
    /// What its values look like.
    pub kind: Kind,
}

/// What one list allows.
#[derive(Debug)]
pub struct Listing {
    /// Filters beside the common ones.
    pub filters: &'static [Filter],
    /// Sort fields beside the common ones.
    pub sorts: &'static [Sort],
}

/// Filters of every list of records.
const COMMON_FILTERS: [Filter; 5] = [
    Filter {
        name: "owner_id",
        column: "owner_id",
        kind: Kind::Text,
    },
    Filter {
        name: "external_source",
        column: "external_source",
        kind: Kind::Text,
    },
    Filter {
        name: "external_id",
        column: "external_id",
        kind: Kind::Text,
    },
    Filter {
        name: "created_at",
        column: "created_at",
        kind: Kind::Timestamp,
    },
    Filter {
        name: "updated_at",
        column: "updated_at",
        kind: Kind::Timestamp,
    },
];

/// Sort fields of every list of records; the first is the default.
const COMMON_SORTS: [Sort; 2] = [
    Sort {
        name: "created_at",
        kind: Kind::Timestamp,
    },
    Sort {
        name: "updated_at",
        kind: Kind::Timestamp,
    },
];

impl Listing {
    /// All filters, the common ones first.
    pub fn filters(&self) -> impl Iterator<Item = &'static Filter> {
        COMMON_FILTERS.iter().chain(self.filters)
    }

    /// All sort fields, the default first.
    pub fn sorts(&self) -> impl Iterator<Item = &'static Sort> {
        COMMON_SORTS.iter().chain(self.sorts)
    }

    /// One request per sort field and direction that together use every filter, for the inventory of statements.
    pub fn samples(&self) -> Vec<Request> {
        let conditions: Vec<Condition> = self.filters().flat_map(Condition::samples).collect();
        let mut requests = Vec::new();
        for sort in self.sorts() {
            for descending in [false, true] {
                let after = Some((sort.kind.sample(), uuid::Uuid::nil()));
                requests.push(Request {
                    limit: 1,
                    sort,
                    descending,
                    conditions: conditions.clone(),
                    after,
                });
            }
        }
        requests
    }
}

/// A statement and what is bound to it, in order.
pub struct Query {
    /// Text with `$1…`.
    pub sql: String,
    /// The bound values.
    pub values: Vec<Value>,
}

/// The SQL of a page: `head` ends with a `where` clause that has used the parameters in `values`.
/// Reads one row more than the page has, which tells whether there is a next one.
pub fn page(head: &str, mut values: Vec<Value>, request: &Request) -> Query {
    let mut sql = head.to_owned();
    let (compare, direction) = if request.descending {
        ("<", "desc")
    } else {
        (">", "asc")
    };
    for condition in &request.conditions {
        condition.write(&mut sql, &mut values);
    }
    let sort = request.sort.name;
    if let Some((key, id)) = &request.after {
        values.extend([key.clone(), Value::Id(*id)]);
        let id_at = values.len();
        write!(
            sql,
            " and ({sort}, id) {compare} (${}, ${id_at})",
            id_at - 1
        )
        .expect("writing to a string cannot fail");
    }
    values.push(Value::Integer(request.limit + 1));
    write!(
        sql,
        " order by {sort} {direction}, id {direction} limit ${}",
        values.len()
    )
    .expect("writing to a string cannot fail");
    Query { sql, values }
}
