//! Pipelines, and the way of an opportunity through one.

use axum::http::StatusCode;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::suite::case::{Case, Outcome, ensure};
use crate::suite::session::{Expect as _, Session, opportunity, path_of, pipeline, version_of};

/// The cases.
pub fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "refuses a pipeline without a way to win or lose",
            incomplete,
        ),
        Case::new("starts an opportunity in the first open stage", start),
        Case::new("writes a history whose durations add up", history),
        Case::new(
            "demands a reason for a loss, and takes it back when reopened",
            loss,
        ),
        Case::new("lets one of two movers win", movers),
        Case::new("moves into another pipeline, and nowhere unknown", across),
        Case::new("keeps amounts exact and refuses what is not", amounts),
        Case::new("changes stages only by a move", by_move_only),
        Case::new("keeps a pipeline while opportunities are in it", in_use),
        Case::new(
            "demands the version of a change and lets the second writer lose",
            versions,
        ),
    ]
}

async fn move_to(session: &Session, record: &Value, body: Value) -> Outcome<Value> {
    let path = format!("{}:move", path_of("opportunities", record));
    Ok(session
        .act(&path, version_of(record), &body)
        .await?
        .expect(StatusCode::OK)?
        .json())
}

fn stage(pipeline: &Value, position: usize) -> Value {
    pipeline["stages"][position]["id"].clone()
}

async fn incomplete(session: Session) -> Outcome {
    let open = json!({"name": "New", "kind": "open", "probability": 10});
    for stages in [
        json!([]),
        json!([open]),
        json!([open, {"name": "Won", "kind": "won"}]),
    ] {
        let problem = session
            .post("/pipelines", &json!({"name": "x", "stages": stages}))
            .await?;
        problem.expect_problem(422, "validation-failed")?;
    }
    Ok(())
}

async fn start(session: Session) -> Outcome {
    let pipeline = pipeline(&session).await?;
    let deal = opportunity(&session, &pipeline).await?;
    ensure!(
        deal["stage_id"] == stage(&pipeline, 0) && deal["state"] == "open",
        "it starts in {deal}"
    );
    let mut body = json!({"name": "x", "pipeline_id": pipeline["id"], "amount": "1", "currency": "EUR", "expected_close_date": "2027-01-01"});
    body["stage_id"] = stage(&pipeline, 3);
    session
        .post("/opportunities", &body)
        .await?
        .expect_problem(422, "validation-failed")?;
    body["stage_id"] = stage(&pipeline, 2);
    let later = session.create("opportunities", &body).await?;
    ensure!(
        later["stage_id"] == stage(&pipeline, 2),
        "the stage it was made in is {}",
        later["stage_id"]
    );
    Ok(())
}

async fn history(session: Session) -> Outcome {
    let pipeline = pipeline(&session).await?;
    let mut deal = opportunity(&session, &pipeline).await?;
    for position in [1, 0, 2, 3] {
        tokio::time::sleep(std::time::Duration::from_millis(15)).await;
        deal = move_to(
            &session,
            &deal,
            json!({"stage_id": stage(&pipeline, position)}),
        )
        .await?;
    }
    ensure!(
        deal["state"] == "won" && deal["closed_at"] == deal["stage_entered_at"],
        "not won: {deal}"
    );
    let history = session
        .get(&format!("{}/stage-moves", path_of("opportunities", &deal)))
        .await?
        .expect(StatusCode::OK)?
        .json();
    let items = history["items"].as_array().cloned().unwrap_or_default();
    ensure!(items.len() == 5, "five entries are expected: {history}");
    let moment = |item: &Value| {
        item["moved_at"]
            .as_str()
            .and_then(|text| chrono::DateTime::parse_from_rfc3339(text).ok())
    };
    let (Some(first), Some(last)) = (moment(&items[0]), moment(&items[4])) else {
        ensure!(false, "entries without a time: {history}");
        return Ok(());
    };
    let total: i64 = items
        .iter()
        .filter_map(|item| item["duration_ms"].as_i64())
        .sum();
    let elapsed = (last - first).num_milliseconds();
    ensure!(
        total == elapsed && total >= 4 * 15,
        "durations add up to {total} ms of {elapsed} ms"
    );
    for pair in items.windows(2) {
        ensure!(
            pair[1]["from_stage_id"] == pair[0]["to_stage_id"],
            "the history has a gap: {history}"
        );
    }
    Ok(())
}

async fn loss(session: Session) -> Outcome {
    let pipeline = pipeline(&session).await?;
    let deal = opportunity(&session, &pipeline).await?;
    let path = format!("{}:move", path_of("opportunities", &deal));
    let lost = stage(&pipeline, 4);
    let problem = session
        .act(&path, 1, &json!({"stage_id": lost}))
        .await?
        .expect_problem(422, "validation-failed")?;
    ensure!(
        problem["errors"][0]["pointer"] == "/lost_reason",
        "the field at fault is not named: {problem}"
    );
    session
        .act(
            &path,
            1,
            &json!({"stage_id": lost, "lost_reason": "weather"}),
        )
        .await?
        .expect_problem(422, "validation-failed")?;
    let reason_for_open = json!({"stage_id": stage(&pipeline, 1), "lost_reason": "price"});
    session
        .act(&path, 1, &reason_for_open)
        .await?
        .expect_problem(422, "validation-failed")?;
    let deal = move_to(
        &session,
        &deal,
        json!({"stage_id": lost, "lost_reason": "price", "lost_notes": "twice as much"}),
    )
    .await?;
    ensure!(
        deal["lost_reason"] == "price" && deal["last_open_stage_id"] == stage(&pipeline, 0),
        "lost as {deal}"
    );
    let deal = move_to(&session, &deal, json!({"stage_id": stage(&pipeline, 1)})).await?;
    let reopened =
        deal["state"] == "open" && deal["lost_reason"].is_null() && deal["closed_at"].is_null();
    ensure!(reopened, "reopened as {deal}");
    Ok(())
}

async fn movers(session: Session) -> Outcome {
    let pipeline = pipeline(&session).await?;
    let deal = opportunity(&session, &pipeline).await?;
    let path = format!("{}:move", path_of("opportunities", &deal));
    let bodies = [1, 2].map(|position| json!({"stage_id": stage(&pipeline, position)}));
    let answers = join_all(bodies.iter().map(|body| session.act(&path, 1, body))).await;
    let mut statuses = Vec::new();
    for answer in answers {
        statuses.push(answer?.status.as_u16());
    }
    statuses.sort_unstable();
    ensure!(statuses == [200, 412], "two movers got {statuses:?}");
    let history = session
        .get(&format!("{}/stage-moves", path_of("opportunities", &deal)))
        .await?
        .expect(StatusCode::OK)?
        .json();
    ensure!(
        history["items"].as_array().map(Vec::len) == Some(2),
        "the loser left a trace: {history}"
    );
    Ok(())
}

async fn across(session: Session) -> Outcome {
    let (here, there) = (pipeline(&session).await?, pipeline(&session).await?);
    let deal = opportunity(&session, &here).await?;
    let path = format!("{}:move", path_of("opportunities", &deal));
    let unknown = json!({"stage_id": "00000000-0000-0000-0000-000000000001"});
    session
        .act(&path, 1, &unknown)
        .await?
        .expect_problem(422, "validation-failed")?;
    session
        .act(&path, 1, &json!({"stage_id": stage(&here, 0)}))
        .await?
        .expect_problem(409, "invalid-transition")?;
    let deal = move_to(&session, &deal, json!({"stage_id": stage(&there, 1)})).await?;
    ensure!(
        deal["pipeline_id"] == there["id"] && deal["stage_id"] == stage(&there, 1),
        "moved to {deal}"
    );
    Ok(())
}

async fn amounts(session: Session) -> Outcome {
    let pipeline = pipeline(&session).await?;
    let body = |amount: Value| json!({"name": "x", "pipeline_id": pipeline["id"], "amount": amount, "currency": "EUR", "expected_close_date": "2027-01-01"});
    for (given, kept) in [
        ("0", "0.0000"),
        ("0.1", "0.1000"),
        ("99999999999999.9999", "99999999999999.9999"),
    ] {
        let deal = session.create("opportunities", &body(json!(given))).await?;
        ensure!(deal["amount"] == kept, "{given} became {}", deal["amount"]);
        let read = session
            .get(&path_of("opportunities", &deal))
            .await?
            .expect(StatusCode::OK)?
            .json();
        ensure!(
            read["amount"] == kept,
            "{given} was read as {}",
            read["amount"]
        );
    }
    for refused in [
        json!(0.1),
        json!("0.00001"),
        json!("-1"),
        json!("100000000000000"),
        json!("ten"),
        json!(null),
    ] {
        session
            .post("/opportunities", &body(refused))
            .await?
            .expect_problem(422, "validation-failed")?;
    }
    Ok(())
}

async fn by_move_only(session: Session) -> Outcome {
    let pipeline = pipeline(&session).await?;
    let deal = opportunity(&session, &pipeline).await?;
    let path = path_of("opportunities", &deal);
    for body in [
        json!({"stage_id": stage(&pipeline, 3)}),
        json!({"state": "won"}),
        json!({"pipeline_id": pipeline["id"]}),
    ] {
        session
            .patch(&path, 1, &body)
            .await?
            .expect_problem(400, "unknown-field")?;
    }
    Ok(())
}

async fn in_use(session: Session) -> Outcome {
    let pipeline = pipeline(&session).await?;
    let deal = opportunity(&session, &pipeline).await?;
    let path = path_of("pipelines", &pipeline);
    session
        .delete(&path, 1)
        .await?
        .expect_problem(409, "in-use")?;
    session
        .delete(&path_of("opportunities", &deal), 1)
        .await?
        .expect(StatusCode::NO_CONTENT)?;
    session
        .delete(&path, 1)
        .await?
        .expect(StatusCode::NO_CONTENT)?;
    Ok(())
}

async fn versions(session: Session) -> Outcome {
    let pipeline = pipeline(&session).await?;
    let deal = opportunity(&session, &pipeline).await?;
    let path = path_of("opportunities", &deal);
    session
        .post(
            &format!("{path}:move"),
            &json!({"stage_id": stage(&pipeline, 1)}),
        )
        .await?
        .expect_problem(428, "if-match-required")?;
    session
        .patch(&path, 1, &json!({"next_step": "call"}))
        .await?
        .expect(StatusCode::OK)?;
    session
        .patch(&path, 1, &json!({"next_step": "write"}))
        .await?
        .expect_problem(412, "stale-version")?;
    session
        .act(
            &format!("{path}:move"),
            1,
            &json!({"stage_id": stage(&pipeline, 1)}),
        )
        .await?
        .expect_problem(412, "stale-version")?;
    Ok(())
}
