//! Versions, conflicts and refusals, on accounts.

use axum::http::{Method, StatusCode, header};
use futures::future::try_join_all;
use serde_json::{Value, json};

use crate::client::Answer;
use crate::suite::case::{Case, Outcome, ensure};
use crate::suite::session::{Expect as _, Session, path_of, version_of};

/// Writers that change one record at the same time.
const WRITERS: usize = 20;
/// Times that each of them may find all connections to the database in use, after the seconds that the service waits for one.
const BUSY: usize = 5;

/// The cases.
pub fn cases() -> Vec<Case> {
    vec![
        Case::new("reads back what was made, at the address it names", created),
        Case::new("answers 304 to a reader who knows the version", known),
        Case::new("demands the version of a change", unconditional),
        Case::new(
            "lets the second of two writers lose and names the current version",
            second_writer,
        ),
        Case::new("loses no change of twenty writers at once", parallel),
        Case::new(
            "sets fields to null by a merge patch and leaves the others",
            merge,
        ),
        Case::new(
            "deletes only the version that was read, and hides it afterwards",
            deletion,
        ),
        Case::new(
            "refuses what it does not know and names every field at fault",
            refusals,
        ),
        Case::new(
            "refuses bodies that are no JSON object, too large or of another type",
            bodies,
        ),
        Case::new(
            "words a wrong method as a problem and names the right ones",
            methods,
        ),
        Case::new("keeps hostile texts as they are", hostile),
        Case::new("keeps external ids unique", external),
    ]
}

async fn account(session: &Session) -> Outcome<Value> {
    session
        .create(
            "accounts",
            &json!({"name": "Acme", "industry": "anvils", "website": "https://acme.example"}),
        )
        .await
}

async fn created(session: Session) -> Outcome {
    let answer = session
        .post("/accounts", &json!({"name": "Acme"}))
        .await?
        .expect(StatusCode::CREATED)?;
    let record = answer.json();
    let id = record["id"].as_str().unwrap_or_default();
    let location = answer.header(&header::LOCATION);
    ensure!(
        location == format!("/api/customer/v1/accounts/{id}"),
        "the Location is {location:?}"
    );
    ensure!(
        answer.header(&header::ETAG) == "\"1\"",
        "the ETag is {:?}",
        answer.header(&header::ETAG)
    );
    ensure!(
        record["kind"] == "prospect" && record["created_by"] == "test-suite",
        "unexpected defaults: {record}"
    );
    let read = session
        .get(&format!("/accounts/{id}"))
        .await?
        .expect(StatusCode::OK)?
        .json();
    ensure!(read == record, "what was read differs: {read}");
    Ok(())
}

async fn known(session: Session) -> Outcome {
    let path = path_of("accounts", &account(&session).await?);
    let ask = |tag: &'static str| {
        let (session, path) = (session.clone(), path.clone());
        async move {
            session
                .call(Method::GET, &path, &[(header::IF_NONE_MATCH, tag)], "")
                .await
        }
    };
    let same = ask("\"1\"").await?.expect(StatusCode::NOT_MODIFIED)?;
    ensure!(
        same.body.is_empty() && same.header(&header::ETAG) == "\"1\"",
        "a 304 with a body or without its ETag"
    );
    ask("\"2\"").await?.expect(StatusCode::OK)?;
    Ok(())
}

async fn unconditional(session: Session) -> Outcome {
    let path = path_of("accounts", &account(&session).await?);
    let json = (header::CONTENT_TYPE, "application/merge-patch+json");
    session
        .call(Method::PATCH, &path, &[json], "{}")
        .await?
        .expect_problem(428, "if-match-required")?;
    session
        .call(Method::DELETE, &path, &[], "")
        .await?
        .expect_problem(428, "if-match-required")?;
    Ok(())
}

async fn second_writer(session: Session) -> Outcome {
    let path = path_of("accounts", &account(&session).await?);
    session
        .patch(&path, 1, &json!({"name": "First"}))
        .await?
        .expect(StatusCode::OK)?;
    let problem = session
        .patch(&path, 1, &json!({"name": "Second"}))
        .await?
        .expect_problem(412, "stale-version")?;
    let detail = problem["detail"].as_str().unwrap_or_default();
    ensure!(
        detail.contains("version is now 2"),
        "the current version is not named: {detail}"
    );
    let read = session.get(&path).await?.expect(StatusCode::OK)?.json();
    ensure!(
        read["name"] == "First" && read["version"] == 2,
        "the first writer's change is gone: {read}"
    );
    Ok(())
}

/// Each writer adds one to a number, reading again whenever somebody else was faster.
async fn parallel(session: Session) -> Outcome {
    let record = session
        .create("accounts", &json!({"name": "Counter", "description": "0"}))
        .await?;
    let path = path_of("accounts", &record);
    try_join_all((0..WRITERS).map(|_| add_one(session.clone(), path.clone()))).await?;
    let read = session.get(&path).await?.expect(StatusCode::OK)?.json();
    ensure!(
        read["description"] == json!(WRITERS.to_string()),
        "{WRITERS} additions made {}",
        read["description"]
    );
    ensure!(
        version_of(&read) == 1 + WRITERS as i64,
        "{WRITERS} changes made version {}",
        read["version"]
    );
    Ok(())
}

async fn add_one(session: Session, path: String) -> Outcome {
    // Of all writers one succeeds in each round, so no writer needs more rounds than there are writers.
    let (mut lost, mut busy) = (0, 0);
    while lost <= WRITERS && busy <= BUSY {
        let answer = try_to_add(&session, &path).await?;
        match answer.status {
            StatusCode::PRECONDITION_FAILED => lost += 1,
            // Nothing was done: the others have all connections.
            StatusCode::SERVICE_UNAVAILABLE => busy += 1,
            _ => {
                answer.expect(StatusCode::OK)?;
                return Ok(());
            }
        }
    }
    ensure!(
        false,
        "a writer lost {lost} times and found no connection {busy} times"
    );
    Ok(())
}

/// The answer to the change, or to the read before it where that was none.
async fn try_to_add(session: &Session, path: &str) -> Outcome<Answer> {
    let answer = session.get(path).await?;
    if answer.status != StatusCode::OK {
        return Ok(answer);
    }
    let read = answer.json();
    let number: u64 = read["description"]
        .as_str()
        .and_then(|text| text.parse().ok())
        .unwrap_or_default();
    let change = json!({"description": (number + 1).to_string()});
    session.patch(path, version_of(&read), &change).await
}

async fn merge(session: Session) -> Outcome {
    let record = account(&session).await?;
    let change = json!({"industry": null, "phone": "+1 555 0100"});
    let changed = session
        .patch(&path_of("accounts", &record), 1, &change)
        .await?
        .expect(StatusCode::OK)?
        .json();
    ensure!(
        changed["industry"].is_null() && changed["phone"] == "+1 555 0100",
        "the change was not applied: {changed}"
    );
    ensure!(
        changed["website"] == record["website"] && changed["name"] == record["name"],
        "other fields changed: {changed}"
    );
    Ok(())
}

async fn deletion(session: Session) -> Outcome {
    let path = path_of("accounts", &account(&session).await?);
    session
        .patch(&path, 1, &json!({"name": "Newer"}))
        .await?
        .expect(StatusCode::OK)?;
    session
        .delete(&path, 1)
        .await?
        .expect_problem(412, "stale-version")?;
    session
        .delete(&path, 2)
        .await?
        .expect(StatusCode::NO_CONTENT)?;
    session.get(&path).await?.expect_problem(404, "not-found")?;
    session
        .patch(&path, 2, &json!({"name": "Ghost"}))
        .await?
        .expect_problem(404, "not-found")?;
    session
        .delete(&path, 3)
        .await?
        .expect_problem(404, "not-found")?;
    Ok(())
}

async fn refusals(session: Session) -> Outcome {
    let body = json!({"name": "", "phone": 5, "website": "x".repeat(501)});
    let problem = session
        .post("/accounts", &body)
        .await?
        .expect_problem(422, "validation-failed")?;
    let pointers: Vec<&str> = problem["errors"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|error| error["pointer"].as_str())
        .collect();
    ensure!(
        pointers == ["/name", "/website", "/phone"],
        "the fields at fault are {pointers:?}"
    );
    session
        .post("/accounts", &json!({"name": "x", "nmae": "y"}))
        .await?
        .expect_problem(400, "unknown-field")?;
    session
        .post("/accounts", &json!({"name": "x", "kind": "enemy"}))
        .await?
        .expect_problem(422, "validation-failed")?;
    let path = path_of("accounts", &account(&session).await?);
    session
        .patch(&path, 1, &json!({"version": 9}))
        .await?
        .expect_problem(400, "unknown-field")?;
    session
        .patch(&path, 1, &json!({"nothing": null}))
        .await?
        .expect_problem(400, "unknown-field")?;
    Ok(())
}

async fn bodies(session: Session) -> Outcome {
    let json = (header::CONTENT_TYPE, "application/json");
    session
        .call(Method::POST, "/accounts", std::slice::from_ref(&json), "[]")
        .await?
        .expect_problem(400, "malformed")?;
    session
        .call(Method::POST, "/accounts", std::slice::from_ref(&json), "{")
        .await?
        .expect_problem(400, "malformed")?;
    let text = (header::CONTENT_TYPE, "text/plain");
    session
        .call(Method::POST, "/accounts", &[text], "{}")
        .await?
        .expect_problem(415, "unsupported-media-type")?;
    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(300 * 1024));
    session
        .call(Method::POST, "/accounts", &[json], &large)
        .await?
        .expect_problem(413, "too-large")?;
    Ok(())
}

async fn methods(session: Session) -> Outcome {
    let answer = session.call(Method::PUT, "/accounts", &[], "").await?;
    let allow = answer.header(&header::ALLOW).to_owned();
    answer.expect_problem(405, "method-not-allowed")?;
    ensure!(allow.contains("POST"), "Allow is {allow:?}");
    session
        .get("/accounts/not-an-id")
        .await?
        .expect_problem(404, "not-found")?;
    Ok(())
}

async fn hostile(session: Session) -> Outcome {
    let texts = [
        "'; drop table customer.account; --",
        "\" or 1=1",
        "%_\\'$1",
        "{{7*7}}<script>alert(1)</script>",
        "\u{202e}İ😀\u{301}",
        " leading",
    ];
    for text in texts {
        let record = session
            .create("accounts", &json!({"name": text, "description": text}))
            .await?;
        ensure!(
            record["name"] == text && record["description"] == text,
            "{text:?} became {}",
            record["name"]
        );
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let found = session
            .get(&format!("/accounts?name=eq.{encoded}"))
            .await?
            .expect(StatusCode::OK)?
            .json();
        ensure!(
            found["items"].as_array().map(Vec::len) == Some(1),
            "{text:?} is not found by its name: {found}"
        );
    }
    Ok(())
}

async fn external(session: Session) -> Outcome {
    let body = json!({"name": "Taken over", "external_source": "old-crm", "external_id": "42"});
    let first = session.create("accounts", &body).await?;
    session
        .post("/accounts", &body)
        .await?
        .expect_problem(409, "duplicate-external-id")?;
    session
        .post("/accounts", &json!({"name": "x", "external_id": "43"}))
        .await?
        .expect_problem(422, "validation-failed")?;
    session
        .delete(&path_of("accounts", &first), 1)
        .await?
        .expect(StatusCode::NO_CONTENT)?;
    session.create("accounts", &body).await?;
    Ok(())
}
