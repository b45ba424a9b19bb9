//! Lists: pages that neither skip nor repeat, filters that are never ignored.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::StatusCode;
use futures::future::try_join_all;
use serde_json::{Value, json};

use crate::suite::case::{Case, Outcome, ensure};
use crate::suite::session::{Expect as _, Session};

/// Records that are there before the walk begins.
const RECORDS: usize = 300;
/// Requests at the same time while they are made.
const AT_ONCE: usize = 10;

/// The cases.
pub fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "walks hundreds of rows during inserts without skipping or repeating one",
            walk,
        ),
        Case::new("sorts by every field it offers, in both directions", sorts),
        Case::new("finds by equality, range, list and null", filters),
        Case::new("refuses parameters it does not know", parameters),
        Case::new("refuses a cursor of another list", cursors),
    ]
}

async fn walk(session: Session) -> Outcome {
    let session = session.apart();
    for _ in 0..RECORDS / AT_ONCE {
        let bodies = (0..AT_ONCE).map(|_| json!({"name": "Walked"}));
        try_join_all(bodies.map(|body| {
            let session = session.clone();
            async move { session.create("accounts", &body).await }
        }))
        .await?;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn(insert_until(session.clone(), stop.clone()));
    let mut outcome = Ok(());
    for order in ["created_at", "-created_at", "name", "-updated_at"] {
        outcome = outcome.and(walk_once(&session, order).await);
    }
    stop.store(true, Ordering::Relaxed);
    let written = writer.await;
    outcome?;
    let inserted = written.map_err(|error| {
        crate::suite::case::Failure::Failed(format!("the writer ended: {error}"))
    })??;
    ensure!(inserted > 0, "nothing was inserted during the walk");
    Ok(())
}

/// Inserts records between those of the walk until told to stop; returns how many.
async fn insert_until(session: Session, stop: Arc<AtomicBool>) -> Outcome<usize> {
    let mut inserted = 0;
    while !stop.load(Ordering::Relaxed) {
        session
            .create(
                "accounts",
                &json!({"name": if inserted % 2 == 0 { "A new one" } else { "Z new one" }}),
            )
            .await?;
        inserted += 1;
    }
    Ok(inserted)
}

async fn walk_once(session: &Session, order: &str) -> Outcome {
    let mut seen: HashMap<String, bool> = HashMap::new();
    let mut cursor: Option<String> = None;
    loop {
        let next = cursor
            .map(|cursor| format!("&cursor={cursor}"))
            .unwrap_or_default();
        let page = session
            .get(&format!("/accounts?limit=37&sort={order}{next}"))
            .await?
            .expect(StatusCode::OK)?
            .json();
        for item in page["items"].as_array().into_iter().flatten() {
            let id = item["id"].as_str().unwrap_or_default().to_owned();
            let repeated = seen.insert(id.clone(), item["name"] == "Walked").is_some();
            ensure!(!repeated, "sorted by {order}, {id} came twice");
        }
        match page["next_cursor"].as_str() {
            Some(text) => cursor = Some(text.to_owned()),
            None => break,
        }
    }
    let walked = seen.values().filter(|walked| **walked).count();
    ensure!(
        walked == RECORDS,
        "sorted by {order}, {walked} of {RECORDS} records came"
    );
    Ok(())
}

async fn sorts(session: Session) -> Outcome {
    let session = session.apart();
    for name in ["b", "c", "a"] {
        session.create("accounts", &json!({"name": name})).await?;
    }
    for (order, expected) in [
        ("name", "a b c"),
        ("-name", "c b a"),
        ("created_at", "b c a"),
        ("-updated_at", "a c b"),
    ] {
        let list = session
            .get(&format!("/accounts?sort={order}"))
            .await?
            .expect(StatusCode::OK)?
            .json();
        ensure!(
            names(&list) == expected,
            "sorted by {order}: {}",
            names(&list)
        );
    }
    Ok(())
}

async fn filters(session: Session) -> Outcome {
    let session = session.apart();
    for (name, kind, industry) in [
        ("a", "partner", Some("x")),
        ("b", "customer", None),
        ("c", "customer", Some("y")),
    ] {
        session
            .create(
                "accounts",
                &json!({"name": name, "kind": kind, "industry": industry}),
            )
            .await?;
    }
    let cases = [
        ("kind=customer", "b c"),
        ("kind=in.(partner,reseller)", "a"),
        ("industry=is.null", "b"),
        ("industry=is.not_null&kind=customer", "c"),
        ("created_at=gte.2000-01-01&created_at=lt.2000-01-02", ""),
        ("created_at=gte.2000-01-01", "a b c"),
        ("owner_id=nobody", ""),
    ];
    for (query, expected) in cases {
        let list = session
            .get(&format!("/accounts?{query}&sort=name"))
            .await?
            .expect(StatusCode::OK)?
            .json();
        ensure!(
            names(&list) == expected,
            "{query} found {:?} instead of {expected:?}",
            names(&list)
        );
    }
    Ok(())
}

async fn parameters(session: Session) -> Outcome {
    for query in [
        "nmae=x",
        "limit=0",
        "limit=201",
        "sort=secret",
        "kind=lt.a",
        "created_at=soon",
        "page=2",
        "run_id=is.null",
    ] {
        let problem = session
            .get(&format!("/accounts?{query}"))
            .await?
            .expect_problem(400, "unknown-parameter")?;
        ensure!(
            problem["errors"][0]["pointer"] == query.split('=').next().unwrap_or_default(),
            "{query}: {problem}"
        );
    }
    Ok(())
}

async fn cursors(session: Session) -> Outcome {
    let session = session.apart();
    for _ in 0..2 {
        session.create("accounts", &json!({"name": "x"})).await?;
    }
    let page = session
        .get("/accounts?limit=1")
        .await?
        .expect(StatusCode::OK)?
        .json();
    let cursor = page["next_cursor"].as_str().unwrap_or_default();
    for query in [
        format!("sort=name&cursor={cursor}"),
        format!("kind=partner&cursor={cursor}"),
        "cursor=AAAA".to_owned(),
    ] {
        session
            .get(&format!("/accounts?{query}"))
            .await?
            .expect_problem(400, "cursor-mismatch")?;
    }
    session
        .get(&format!("/contacts?cursor={cursor}"))
        .await?
        .expect_problem(400, "cursor-mismatch")?;
    Ok(())
}

fn names(list: &Value) -> String {
    let names: Vec<_> = list["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|item| item["name"].as_str())
        .collect();
    names.join(" ")
}
