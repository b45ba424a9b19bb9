//! What a caller may want, and what becomes of the addresses.

use serde_json::{Value, json};

use super::*;

fn read(body: &Value) -> (Wanted, Vec<String>) {
    let mut fields = Fields::new(body.as_object().unwrap().clone(), "");
    let wanted = Wanted::parse(&mut fields);
    let errors = fields.errors();
    let errors = errors
        .into_iter()
        .map(|error| format!("{} {}", error.pointer, error.code));
    (wanted, errors.collect())
}

fn errors(body: &Value) -> Vec<String> {
    read(body).1
}

fn email(address: &str, primary: bool) -> Email {
    Email {
        email: address.to_owned(),
        label: "home".to_owned(),
        primary,
    }
}

#[test]
fn a_list_has_at_most_one_primary_address_and_no_address_twice() {
    let [a, b, again] = ["a@example.com", "b@example.com", "A@Example.com"];
    assert_eq!(
        errors(&json!({"emails": [{"email": a, "primary": true}, {"email": b}]})),
        [""; 0]
    );
    assert_eq!(
        errors(&json!({"emails": [{"email": a}, {"email": b}]})),
        [""; 0],
        "what is left when somebody takes the primary one away"
    );
    assert_eq!(
        errors(&json!({"emails": [{"email": a, "primary": true}, {"email": b, "primary": true}]})),
        ["/emails/1/primary invalid"]
    );
    assert_eq!(
        errors(&json!({"emails": [{"email": a, "primary": true}, {"email": again}]})),
        ["/emails/1/email duplicate"]
    );
    assert_eq!(
        errors(&json!({"emails": [{"email": "nobody", "primary": "yes", "kind": "x"}, {}]})),
        [
            "/emails/0/email invalid",
            "/emails/0/primary invalid",
            "/emails/0/kind unknown-field",
            "/emails/1/email required"
        ]
    );
    let many: Vec<_> = (0..21)
        .map(|n| json!({"email": format!("{n}@example.com"), "primary": n == 0}))
        .collect();
    assert_eq!(errors(&json!({"emails": many})), ["/emails too-long"]);
    assert_eq!(errors(&json!({"emails": many[..20]})), [""; 0]);
}

#[test]
fn both_fields_must_say_the_same() {
    let emails = json!([{"email": "a@example.com", "primary": true}, {"email": "b@example.com"}]);
    assert_eq!(
        errors(&json!({"email": "a@example.com", "emails": emails})),
        [""; 0]
    );
    for email in [json!("b@example.com"), json!(null)] {
        assert_eq!(
            errors(&json!({"email": email, "emails": emails})),
            ["/email invalid"]
        );
    }
    let without = json!([{"email": "a@example.com"}]);
    assert_eq!(errors(&json!({"email": null, "emails": without})), [""; 0]);
    assert_eq!(
        errors(&json!({"email": "a@example.com", "emails": without})),
        ["/email invalid"]
    );
    assert_eq!(
        errors(&json!({"email": "a@example.com", "emails": null})),
        ["/email invalid"]
    );
}

#[test]
fn a_field_that_is_not_given_changes_nothing_and_null_takes_away() {
    assert_eq!(read(&json!({})).0, Wanted::Unchanged);
    assert_eq!(read(&json!({"email": null})).0, Wanted::Primary(None));
    assert_eq!(read(&json!({"emails": null})).0, Wanted::All(Vec::new()));
}

#[test]
fn a_caller_who_knows_one_address_leaves_the_others() {
    let stored = [email("a@example.com", true), email("b@example.com", false)];
    let after = |address: Option<&str>| {
        let wanted = Wanted::Primary(address.map(str::to_owned));
        wanted.applied_to(&stored).unwrap()
    };
    assert_eq!(after(None), [email("b@example.com", false)]);
    assert_eq!(after(Some("B@example.com")), [email("B@example.com", true)]);
    let mut new = email("c@example.com", true);
    new.label = "work".to_owned();
    assert_eq!(
        after(Some("c@example.com")),
        [email("b@example.com", false), new]
    );
    let changed_case = after(Some("A@example.com"));
    assert_eq!(
        changed_case,
        [email("b@example.com", false), email("A@example.com", true)]
    );
    let full: Vec<_> = (0..MAXIMUM)
        .map(|n| email(&format!("{n}@example.com"), false))
        .collect();
    assert!(
        Wanted::Primary(Some("c@example.com".to_owned()))
            .applied_to(&full)
            .is_err()
    );
}
