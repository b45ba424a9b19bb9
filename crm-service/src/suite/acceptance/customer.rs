//! Contacts and notes, and how they hang together with accounts.

use axum::http::StatusCode;
use serde_json::json;

use crate::suite::case::{Case, Outcome, ensure};
use crate::suite::session::{Expect as _, Session, path_of};

/// The cases.
pub fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "keeps a contact with its email address and finds it in any case",
            contacts,
        ),
        Case::new("refuses what is no email address", addresses),
        Case::new("refuses a contact of an account that is not there", orphans),
        Case::new("takes a note on exactly one record", notes),
        Case::new("keeps an account while something belongs to it", in_use),
    ]
}

async fn contacts(session: Session) -> Outcome {
    let account = session.create("accounts", &json!({"name": "Acme"})).await?;
    let body = json!({"last_name": "Lovelace", "first_name": "Ada", "email": "Ada@Example.com", "account_id": account["id"]});
    let contact = session.create("contacts", &body).await?;
    ensure!(
        contact["email"] == "Ada@Example.com",
        "the address became {}",
        contact["email"]
    );
    let found = session
        .get("/contacts?email=aDA@example.COM")
        .await?
        .expect(StatusCode::OK)?
        .json();
    ensure!(
        found["items"] == json!([contact]),
        "not found by its address: {found}"
    );
    let path = path_of("contacts", &contact);
    let changed = session
        .patch(&path, 1, &json!({"email": null}))
        .await?
        .expect(StatusCode::OK)?
        .json();
    ensure!(
        changed["email"].is_null(),
        "the address is still {}",
        changed["email"]
    );
    let of_account = session
        .get(&format!(
            "/contacts?account_id={}",
            account["id"].as_str().unwrap_or_default()
        ))
        .await?;
    let of_account = of_account.expect(StatusCode::OK)?.json();
    ensure!(
        of_account["items"] == json!([changed]),
        "the account's contacts are {of_account}"
    );
    Ok(())
}

async fn addresses(session: Session) -> Outcome {
    for address in ["nobody", "@example.com", "a@", "a b@example.com", "a@b@c"] {
        let body = json!({"last_name": "X", "email": address});
        let problem = session
            .post("/contacts", &body)
            .await?
            .expect_problem(422, "validation-failed")?;
        ensure!(
            problem["errors"][0]["pointer"] == "/email",
            "{address}: {problem}"
        );
    }
    Ok(())
}

async fn orphans(session: Session) -> Outcome {
    let body = json!({"last_name": "X", "account_id": "00000000-0000-0000-0000-000000000001"});
    let problem = session
        .post("/contacts", &body)
        .await?
        .expect_problem(422, "validation-failed")?;
    ensure!(
        problem["errors"][0]["pointer"] == "/account_id",
        "the field at fault is not named: {problem}"
    );
    Ok(())
}

async fn notes(session: Session) -> Outcome {
    let account = session.create("accounts", &json!({"name": "Acme"})).await?;
    let contact = session
        .create("contacts", &json!({"last_name": "X"}))
        .await?;
    session
        .create(
            "notes",
            &json!({"body": "Called", "account_id": account["id"]}),
        )
        .await?;
    session
        .create(
            "notes",
            &json!({"body": "Wrote", "contact_id": contact["id"]}),
        )
        .await?;
    let both = json!({"body": "Both", "contact_id": contact["id"], "account_id": account["id"]});
    session
        .post("/notes", &both)
        .await?
        .expect_problem(422, "validation-failed")?;
    session
        .post("/notes", &json!({"body": "None"}))
        .await?
        .expect_problem(422, "validation-failed")?;
    Ok(())
}

async fn in_use(session: Session) -> Outcome {
    let account = session.create("accounts", &json!({"name": "Acme"})).await?;
    let contact = session
        .create(
            "contacts",
            &json!({"last_name": "X", "account_id": account["id"]}),
        )
        .await?;
    let path = path_of("accounts", &account);
    session
        .delete(&path, 1)
        .await?
        .expect_problem(409, "in-use")?;
    session
        .delete(&path_of("contacts", &contact), 1)
        .await?
        .expect(StatusCode::NO_CONTENT)?;
    session
        .delete(&path, 1)
        .await?
        .expect(StatusCode::NO_CONTENT)?;
    session
        .post(
            "/contacts",
            &json!({"last_name": "Y", "account_id": account["id"]}),
        )
        .await?
        .expect_problem(422, "validation-failed")?;
    Ok(())
}
