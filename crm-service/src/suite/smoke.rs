//! The suite `smoke`: is the service up, is it the right one, and can one record go through its life?

use std::time::Duration;

use axum::http::{StatusCode, header};
use serde_json::{Value, json};

use super::case::{Case, Outcome, ensure};
use super::session::{Expect as _, Session, opportunity, path_of, pipeline, version_of};
use crate::schema;
use crate::service::Service;

/// For how long a service may be without its database, which it asks within a second: one busy moment of the server says nothing about the release.
const MOMENT: Duration = Duration::from_secs(10);

/// The cases for a service.
pub fn cases(service: Service) -> Vec<Case> {
    let life = match service {
        Service::Customer => Case::new("takes an account through its life", account),
        Service::Sales => Case::new("takes an opportunity through its life", deal),
    };
    vec![
        Case::new("is alive", |session| async move {
            answers(&session, "/livez").await
        }),
        Case::new("is ready", |session| async move {
            soon(MOMENT, || answers(&session, "/readyz")).await
        }),
        Case::new(
            "is the expected service at the expected level",
            |session| async move { soon(MOMENT, || version(&session)).await },
        ),
        Case::new("serves its OpenAPI document", document),
        Case::new("shows metrics", metrics),
        Case::new("refuses callers without a valid token", refuses),
        Case::new("words an unknown address as a problem", unknown),
        life,
        Case::new("lists in pages", pages),
    ]
}

/// Runs a check until it passes; after `limit` its last word counts.
async fn soon<F: Future<Output = Outcome>>(limit: Duration, check: impl Fn() -> F) -> Outcome {
    let deadline = tokio::time::Instant::now() + limit;
    loop {
        let outcome = check().await;
        if outcome.is_ok() || tokio::time::Instant::now() >= deadline {
            return outcome;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn answers(session: &Session, path: &str) -> Outcome {
    session.ask(path).await?.expect(StatusCode::OK)?;
    Ok(())
}

async fn version(session: &Session) -> Outcome {
    let version = session
        .ask("/version")
        .await?
        .expect(StatusCode::OK)?
        .json();
    let expected = schema::of(session.service).app_level;
    ensure!(
        version["service"] == session.service.name(),
        "this is the service {}",
        version["service"]
    );
    let level = version["appLevel"].as_i64().unwrap_or_default();
    ensure!(
        level >= i64::from(expected),
        "the app level is {level}; this suite expects {expected} or more"
    );
    let schema = version["schema"]["level"].as_i64().unwrap_or_default();
    ensure!(
        schema >= 1,
        "the database states no schema level: {version}"
    );
    Ok(())
}

async fn document(session: Session) -> Outcome {
    let document = session
        .ask("/openapi.json")
        .await?
        .expect(StatusCode::OK)?
        .json();
    let prefix = format!("/api/{}/v1/", session.service);
    let paths = document["paths"].as_object().map(|paths| {
        paths
            .keys()
            .filter(|path| path.starts_with(&prefix))
            .count()
    });
    ensure!(
        paths.is_some_and(|count| count >= 4),
        "the document describes {paths:?} addresses of {}",
        session.service
    );
    Ok(())
}

async fn metrics(session: Session) -> Outcome {
    let answer = session.ask("/metrics").await?.expect(StatusCode::OK)?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    for name in [
        "crm_http_requests_total",
        "crm_http_request_duration_seconds_bucket",
        "crm_database_connections",
        "crm_build_info",
    ] {
        ensure!(text.contains(name), "the metric {name} is missing");
    }
    Ok(())
}

async fn refuses(session: Session) -> Outcome {
    let collection = collection(session.service);
    session
        .with_token(None)
        .get(collection)
        .await?
        .expect_problem(401, "unauthorized")?;
    let claims = json!({"aud": "elsewhere", "sub": "test-suite", "roles": ["admin"], "exp": crate::auth::mint::seconds() + 60});
    let stranger = session.with_token(Some(session.mint.sign(&claims)));
    stranger
        .get(collection)
        .await?
        .expect_problem(401, "unauthorized")?;
    Ok(())
}

async fn unknown(session: Session) -> Outcome {
    session
        .get("/nothing-here")
        .await?
        .expect_problem(404, "not-found")?;
    Ok(())
}

async fn account(session: Session) -> Outcome {
    let created = session
        .create("accounts", &json!({"name": "Smoke & Sons"}))
        .await?;
    life(&session, "accounts", &created, json!({"industry": "fire"})).await
}

async fn deal(session: Session) -> Outcome {
    let pipeline = pipeline(&session).await?;
    let created = opportunity(&session, &pipeline).await?;
    life(
        &session,
        "opportunities",
        &created,
        json!({"next_step": "call"}),
    )
    .await
}

/// Read, change, list, delete; the change is an object with one field.
async fn life(session: &Session, collection: &str, created: &Value, change: Value) -> Outcome {
    let path = path_of(collection, created);
    let read = session.get(&path).await?.expect(StatusCode::OK)?;
    ensure!(
        read.header(&header::ETAG) == "\"1\"",
        "the ETag is {:?}",
        read.header(&header::ETAG)
    );
    ensure!(
        read.json() == *created,
        "what was read differs from what was made: {}",
        read.json()
    );
    let changed = session
        .patch(&path, 1, &change)
        .await?
        .expect(StatusCode::OK)?
        .json();
    ensure!(
        version_of(&changed) == 2,
        "the version after a change is {}",
        changed["version"]
    );
    for (field, value) in change.as_object().into_iter().flatten() {
        ensure!(
            changed[field] == *value,
            "{field} is {} after it was set to {value}",
            changed[field]
        );
    }
    let list = session
        .get(&format!("/{collection}?limit=200"))
        .await?
        .expect(StatusCode::OK)?
        .json();
    let listed = list["items"]
        .as_array()
        .is_some_and(|items| items.contains(&changed));
    ensure!(
        listed,
        "the list does not show the record as it was changed"
    );
    session
        .delete(&path, 2)
        .await?
        .expect(StatusCode::NO_CONTENT)?;
    session.get(&path).await?.expect_problem(404, "not-found")?;
    Ok(())
}

async fn pages(session: Session) -> Outcome {
    let collection = collection(session.service);
    let body = match session.service {
        Service::Customer => json!({"name": "Page"}),
        Service::Sales => {
            json!({"name": "Page", "stages": [{"name": "a", "kind": "open", "probability": 1}, {"name": "b", "kind": "won"}, {"name": "c", "kind": "lost"}]})
        }
    };
    for _ in 0..3 {
        session
            .post(collection, &body)
            .await?
            .expect(StatusCode::CREATED)?;
    }
    let first = session
        .get(&format!("{collection}?limit=2&sort=-created_at&name=Page"))
        .await?
        .expect(StatusCode::OK)?
        .json();
    let cursor = first["next_cursor"].as_str().unwrap_or_default();
    let second = session
        .get(&format!(
            "{collection}?limit=2&sort=-created_at&name=Page&cursor={cursor}"
        ))
        .await?
        .expect(StatusCode::OK)?
        .json();
    let count = |page: &Value| page["items"].as_array().map_or(0, Vec::len);
    ensure!(
        (count(&first), count(&second)) == (2, 1),
        "pages of {} and {} records instead of 2 and 1",
        count(&first),
        count(&second)
    );
    ensure!(
        second["next_cursor"].is_null(),
        "the last page names a next one"
    );
    Ok(())
}

fn collection(service: Service) -> &'static str {
    match service {
        Service::Customer => "/accounts",
        Service::Sales => "/pipelines",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::suite::case::Failure;

    async fn asked(limit: Duration) -> (Outcome, u32) {
        let asked = AtomicU32::new(0);
        let outcome = soon(limit, || async {
            let nth = asked.fetch_add(1, Ordering::Relaxed);
            let busy = || Failure::Failed(format!("busy, {nth}"));
            (nth >= 2).then_some(()).ok_or_else(busy)
        });
        (outcome.await, asked.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn a_busy_moment_is_waited_for_and_a_long_one_is_not() {
        let (outcome, times) = asked(MOMENT).await;
        assert!(outcome.is_ok());
        assert_eq!(times, 3);
        let (outcome, _) = asked(Duration::ZERO).await;
        assert_eq!(outcome.unwrap_err().to_string(), "busy, 0");
    }
}
