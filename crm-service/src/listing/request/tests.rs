//! What the query string of a list may say.

use serde_json::json;

use super::super::{Kind, page};
use super::*;

const LISTING: Listing = Listing {
    filters: &[
        Filter {
            name: "kind",
            column: "kind",
            kind: Kind::Text,
        },
        Filter {
            name: "amount",
            column: "amount",
            kind: Kind::Decimal,
        },
    ],
    sorts: &[Sort {
        name: "name",
        kind: Kind::Text,
    }],
};

fn parse(query: &[(&str, &str)]) -> Result<Request, Problem> {
    let owned: Vec<_> = query
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Request::parse(&LISTING, "things", &owned)
}

#[test]
fn values_are_bound_and_never_written_into_the_statement() {
    let hostile = "x'; drop table customer.account; --";
    let request = parse(&[
        ("kind", hostile),
        ("amount", "gte.10"),
        ("amount", "lt.20"),
        ("sort", "-name"),
        ("limit", "7"),
    ])
    .unwrap();
    let query = page(
        "select id from t where run_id = $1",
        vec![Value::Id(Uuid::nil())],
        &request,
    );
    let expected = "select id from t where run_id = $1 and amount >= $2 and amount < $3 and kind = $4 order by name desc, id desc limit $5";
    assert_eq!(query.sql, expected);
    assert_eq!(query.values[3], Value::Text(hostile.into()));
    assert_eq!(
        query.values[4],
        Value::Integer(8),
        "one row more than the page tells whether there is a next one"
    );
}

#[test]
fn every_bad_parameter_is_named() {
    let problem = parse(&[
        ("knid", "a"),
        ("limit", "201"),
        ("sort", "kind"),
        ("amount", "much"),
        ("kind", "lt.a"),
    ])
    .unwrap_err();
    let pointers: Vec<_> = problem
        .errors
        .iter()
        .map(|error| error.pointer.as_str())
        .collect();
    assert_eq!(pointers, ["knid", "limit", "sort", "amount", "kind"]);
    assert_eq!(problem.status, 400);
}

#[test]
fn a_cursor_continues_its_own_list_only() {
    let request = parse(&[("kind", "in.(a,b)"), ("sort", "-name")]).unwrap();
    let id = Uuid::from_u128(7);
    let cursor = request.cursor_after("things", &json!({"id": id, "name": "N"}));
    let next = parse(&[("kind", "in.(a,b)"), ("sort", "-name"), ("cursor", &cursor)]).unwrap();
    assert_eq!(next.after, Some((Value::Text("N".into()), id)));
    for other in [
        &[("cursor", cursor.as_str())][..],
        &[
            ("kind", "in.(a,b)"),
            ("sort", "name"),
            ("cursor", cursor.as_str()),
        ][..],
    ] {
        assert_eq!(parse(other).unwrap_err().code, "cursor-mismatch");
    }
    assert_eq!(
        parse(&[("cursor", "%%%")]).unwrap_err().code,
        "cursor-mismatch"
    );
}

#[test]
fn a_value_that_looks_like_an_operator_can_be_asked_for() {
    let request = parse(&[("kind", "eq.is.null")]).unwrap();
    assert_eq!(
        request.conditions[0].value,
        Some(Value::Text("is.null".into()))
    );
    assert_eq!(
        parse(&[("kind", "is.null")]).unwrap().conditions[0].value,
        None
    );
}
