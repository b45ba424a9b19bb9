//! Who is let in, and who sees what.

use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::auth::mint::seconds;
use crate::service::Service;
use crate::suite::case::{Case, Outcome, ensure};
use crate::suite::session::{Expect as _, Session, path_of, pipeline, version_of};

/// The cases, for any service.
pub fn cases(service: Service) -> Vec<Case> {
    let mut cases = vec![
        Case::new("refuses a caller without a token", |session| async move {
            let anonymous = session.with_token(None);
            let answer = anonymous.get(collection(session.service)).await?;
            let challenge = answer.header(&header::WWW_AUTHENTICATE).to_owned();
            answer.expect_problem(401, "unauthorized")?;
            ensure!(
                challenge.starts_with("Bearer"),
                "the challenge is {challenge:?}"
            );
            Ok(())
        }),
        Case::new("refuses an expired token", |session| async move {
            refuses(&session, json!({"aud": "crm", "exp": seconds() - 60})).await
        }),
        Case::new(
            "refuses a token for another audience",
            |session| async move {
                refuses(&session, json!({"aud": "other", "exp": seconds() + 60})).await
            },
        ),
        Case::new("refuses a token that never expires", |session| async move {
            refuses(&session, json!({"aud": "crm"})).await
        }),
        Case::new("refuses a token whose signature was changed", forged),
        Case::new("lets readers read and nothing more", readers),
        Case::new(
            "keeps the rows of test runs apart from each other and from real ones",
            isolation,
        ),
    ];
    if service == Service::Sales {
        cases.push(Case::new(
            "lets only managers configure pipelines",
            configuration,
        ));
    }
    cases
}

async fn refuses(session: &Session, mut claims: Value) -> Outcome {
    claims["sub"] = json!("test-suite");
    claims["roles"] = json!(["admin"]);
    let caller = session.with_token(Some(session.mint.sign(&claims)));
    caller
        .get(collection(session.service))
        .await?
        .expect_problem(401, "unauthorized")?;
    caller
        .post(collection(session.service), &json!({}))
        .await?
        .expect_problem(401, "unauthorized")?;
    Ok(())
}

async fn forged(session: Session) -> Outcome {
    let claims =
        json!({"aud": "crm", "sub": "test-suite", "roles": ["readonly"], "exp": seconds() + 60});
    let token = session.mint.sign(&claims);
    let mut parts: Vec<&str> = token.split('.').collect();
    let admin = session.mint.sign(
        &json!({"aud": "crm", "sub": "test-suite", "roles": ["admin"], "exp": seconds() + 60}),
    );
    parts[1] = admin.split('.').nth(1).unwrap_or_default();
    let caller = session.with_token(Some(parts.join(".")));
    caller
        .get(collection(session.service))
        .await?
        .expect_problem(401, "unauthorized")?;
    Ok(())
}

async fn readers(session: Session) -> Outcome {
    let reader = session.with_role("readonly");
    reader
        .get(&format!("{}?limit=1", collection(session.service)))
        .await?
        .expect(StatusCode::OK)?;
    reader
        .post(collection(session.service), &json!({"name": "x"}))
        .await?
        .expect_problem(403, "forbidden")?;
    let nobody = session.with_role("visitor");
    nobody
        .get(collection(session.service))
        .await?
        .expect_problem(403, "forbidden")?;
    reader
        .call(Method::DELETE, "/synthetic-rows", &[], "")
        .await?
        .expect_problem(403, "forbidden")?;
    Ok(())
}

async fn isolation(session: Session) -> Outcome {
    let (name, mine) = match session.service {
        Service::Customer => (
            "accounts",
            session.create("accounts", &json!({"name": "Mine"})).await?,
        ),
        Service::Sales => ("pipelines", pipeline(&session).await?),
    };
    let path = path_of(name, &mine);
    let other = session.with_token(Some(session.mint.token(
        "other-run",
        &["test"],
        Some(Uuid::now_v7()),
    )));
    for (who, caller) in [
        ("another run", other),
        ("a real caller", session.with_role("admin")),
    ] {
        caller.get(&path).await?.expect_problem(404, "not-found")?;
        caller
            .patch(&path, version_of(&mine), &json!({"name": "Theirs"}))
            .await?
            .expect_problem(404, "not-found")?;
        caller
            .delete(&path, version_of(&mine))
            .await?
            .expect_problem(404, "not-found")?;
        let list = caller
            .get(&format!("/{name}?limit=200&sort=-created_at"))
            .await?
            .expect(StatusCode::OK)?
            .json();
        let seen = list["items"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|item| item["id"] == mine["id"]);
        ensure!(!seen, "{who} sees a synthetic record in a list");
    }
    let still = session.get(&path).await?.expect(StatusCode::OK)?.json();
    ensure!(still == mine, "the record changed: {still}");
    Ok(())
}

async fn configuration(session: Session) -> Outcome {
    let representative = session.with_role("rep");
    representative
        .post("/pipelines", &json!({"name": "x"}))
        .await?
        .expect_problem(403, "forbidden")?;
    representative
        .patch(
            "/stages/00000000-0000-0000-0000-000000000001",
            1,
            &json!({"name": "x"}),
        )
        .await?
        .expect_problem(403, "forbidden")?;
    Ok(())
}

fn collection(service: Service) -> &'static str {
    match service {
        Service::Customer => "/accounts",
        Service::Sales => "/opportunities",
    }
}
