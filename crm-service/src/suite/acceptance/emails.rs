//! Contacts with several email addresses.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::suite::case::{Case, Outcome, ensure};
use crate::suite::session::{Expect as _, Session, path_of};

/// The cases.
pub fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "keeps several addresses of a contact, one of them primary",
            several,
        ),
        Case::new(
            "makes another address of a contact the primary one",
            switched,
        ),
        Case::new("finds a contact by its second address in any case", found),
        Case::new(
            "leaves the other addresses to a caller who knows one",
            single,
        ),
        Case::new("refuses addresses that contradict each other", refused),
    ]
}

fn email(address: &str, label: &str, primary: bool) -> Value {
    json!({"email": address, "label": label, "primary": primary})
}

/// Somebody with two addresses; the primary one was given last.
async fn two(session: &Session) -> Outcome<Value> {
    let emails = [
        json!({"email": "Home@Example.com", "label": "home"}),
        json!({"email": "office@example.com", "primary": true}),
    ];
    let body = json!({"last_name": "Lovelace", "emails": emails});
    session.create("contacts", &body).await
}

async fn change(session: &Session, contact: &Value, body: &Value) -> Outcome<Value> {
    let version = contact["version"].as_i64().unwrap_or_default();
    let answer = session
        .patch(&path_of("contacts", contact), version, body)
        .await?;
    Ok(answer.expect(StatusCode::OK)?.json())
}

fn has(contact: &Value, expected: &[Value]) -> Outcome {
    let primary = expected
        .first()
        .filter(|email| email["primary"] == true)
        .map_or(Value::Null, |email| email["email"].clone());
    ensure!(
        contact["emails"] == json!(expected),
        "the addresses are {} instead of {}",
        contact["emails"],
        json!(expected)
    );
    ensure!(
        contact["email"] == primary,
        "the primary address is {} instead of {primary}",
        contact["email"]
    );
    Ok(())
}

async fn several(session: Session) -> Outcome {
    let contact = two(&session).await?;
    let home = email("Home@Example.com", "home", false);
    let office = email("office@example.com", "work", true);
    has(&contact, &[office.clone(), home.clone()])?;
    let path = path_of("contacts", &contact);
    let stored = session.get(&path).await?.expect(StatusCode::OK)?.json();
    ensure!(stored == contact, "{contact} is stored as {stored}");
    let changed = change(&session, &contact, &json!({"phone": "1"})).await?;
    has(&changed, &[office, home])?;
    let emptied = change(&session, &changed, &json!({"emails": []})).await?;
    has(&emptied, &[])
}

async fn switched(session: Session) -> Outcome {
    let contact = two(&session).await?;
    let office = email("office@example.com", "work", false);
    let home = email("home@example.com", "home", true);
    let body = json!({"email": "home@example.com", "emails": [office, home]});
    let changed = change(&session, &contact, &body).await?;
    has(&changed, &[home, office])?;
    ensure!(
        changed["version"] == 2,
        "one change made version {}",
        changed["version"]
    );
    let late = session
        .patch(&path_of("contacts", &contact), 1, &json!({"emails": []}))
        .await?;
    late.expect_problem(412, "stale-version")?;
    Ok(())
}

async fn found(session: Session) -> Outcome {
    let session = session.apart();
    let contact = two(&session).await?;
    let other = json!({"last_name": "Byron", "email": "byron@example.com"});
    let other = session.create("contacts", &other).await?;
    let none = session
        .create("contacts", &json!({"last_name": "Nobody"}))
        .await?;
    for (filter, expected) in [
        ("hOME@example.COM", vec![&contact]),
        ("OFFICE@example.com", vec![&contact]),
        (
            "in.(home@example.com,Byron@example.com)",
            vec![&contact, &other],
        ),
        ("is.not_null", vec![&contact, &other]),
        ("is.null", vec![&none]),
        ("gone@example.com", vec![]),
    ] {
        let page = session.get(&format!("/contacts?email={filter}")).await?;
        let page = page.expect(StatusCode::OK)?.json();
        ensure!(page["items"] == json!(expected), "{filter} finds {page}");
    }
    Ok(())
}

async fn single(session: Session) -> Outcome {
    let contact = two(&session).await?;
    let home = email("Home@Example.com", "home", false);
    let new = json!({"email": "new@example.com"});
    let changed = change(&session, &contact, &new).await?;
    has(
        &changed,
        &[email("new@example.com", "work", true), home.clone()],
    )?;
    let changed = change(&session, &changed, &json!({"email": null})).await?;
    has(&changed, std::slice::from_ref(&home))?;
    // Whoever may read a list may write it back.
    let same = json!({"emails": changed["emails"]});
    let changed = change(&session, &changed, &same).await?;
    has(&changed, &[home])?;
    let again = json!({"email": "home@example.com"});
    let changed = change(&session, &changed, &again).await?;
    has(&changed, &[email("home@example.com", "home", true)])
}

async fn refused(session: Session) -> Outcome {
    let (a, b) = (
        email("a@example.com", "work", true),
        email("b@example.com", "work", false),
    );
    let cases = [
        (
            json!({"emails": [a, email("A@Example.com", "home", false)]}),
            "/emails/1/email",
        ),
        (
            json!({"emails": [a, email("b@example.com", "home", true)]}),
            "/emails/1/primary",
        ),
        (
            json!({"emails": [a, email("nobody", "home", false)]}),
            "/emails/1/email",
        ),
        (
            json!({"emails": [a, b], "email": "b@example.com"}),
            "/email",
        ),
    ];
    for (mut body, pointer) in cases {
        body["last_name"] = json!("X");
        let problem = session
            .post("/contacts", &body)
            .await?
            .expect_problem(422, "validation-failed")?;
        ensure!(
            problem["errors"][0]["pointer"] == pointer,
            "{body}: {problem}"
        );
    }
    Ok(())
}
