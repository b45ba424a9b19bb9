//! The log of a container that a verdict is explained by, and the ConfigMap in which it is kept: bounded, in time, and without them if need be.

use std::time::{Duration, Instant};

use crm_operator::api::status::Stage;
use crm_operator::apply::keep;
use crm_operator::kept::{log, whole};
use crm_operator::observe::logs::read;
use crm_operator::observed::{Ask, LogPart};
use crm_operator::plan::keep::{Keep, KeptStep};
use http::Method;
use serde_json::{Value, json};

use super::key;
use super::server::{NEVER, context, refusal};

fn ask(part: LogPart) -> Ask {
    Ask {
        pod: "acme-gate-x7".into(),
        container: "main",
        part,
    }
}

/// Keys of one step, as a plan would have them kept.
fn kept() -> Keep {
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "acme-r1-reports", "namespace": "crm" },
        "binaryData": { "gate-smoke-1.log.gz": "AAAA" }
    });
    Keep {
        object: serde_json::from_value(object).unwrap(),
        step: KeptStep {
            release: "r1".into(),
            stage: Stage::Gate,
            step: "smoke".into(),
        },
    }
}

#[tokio::test]
async fn reads_the_end_of_a_log_and_no_more_than_it_asked_for() {
    let (ctx, server) = context(vec![(200, json!("one\ntwo\n")), (200, json!("before\n"))]);
    let end = ask(LogPart::End);
    let logs = read(&ctx, &key(), std::slice::from_ref(&end)).await;
    assert_eq!(logs[&end], Ok(b"one\ntwo\n".to_vec()));
    let before = ask(LogPart::EndBefore);
    let logs = read(&ctx, &key(), std::slice::from_ref(&before)).await;
    assert_eq!(logs[&before], Ok(b"before\n".to_vec()));
    drop(ctx);
    let seen = server.await.unwrap();
    assert_eq!(
        (&seen[0].method, seen[0].path.as_str()),
        (&Method::GET, "/api/v1/namespaces/crm/pods/acme-gate-x7/log")
    );
    let query = &seen[0].query;
    assert!(
        query.contains("container=main")
            && query.contains("tailLines=400")
            && query.contains(&format!("limitBytes={}", 4 * log::LOG_BYTES))
            && !query.contains("previous"),
        "{query}"
    );
    assert!(seen[1].query.contains("previous=true"), "{}", seen[1].query);
}

#[tokio::test]
async fn lines_without_an_end_are_read_up_to_a_bound_only() {
    let endless: Value = json!("x".repeat(16 * log::LOG_BYTES));
    let (ctx, server) = context(vec![(200, endless.clone()), (200, endless)]);
    let end = ask(LogPart::End);
    let logs = read(&ctx, &key(), std::slice::from_ref(&end)).await;
    assert_eq!(logs[&end].as_ref().map(Vec::len), Ok(4 * log::LOG_BYTES));
    drop(ctx);
    let seen = server.await.unwrap();
    assert!(seen[1].query.contains("tailLines=12"), "{}", seen[1].query);
}

#[tokio::test]
async fn the_log_with_a_report_is_read_whole_and_once() {
    let endless: Value = json!("x".repeat(2 * whole::LOG_BYTES));
    let (ctx, server) = context(vec![(200, endless)]);
    let report = ask(LogPart::Report);
    let logs = read(&ctx, &key(), std::slice::from_ref(&report)).await;
    assert_eq!(logs[&report].as_ref().map(Vec::len), Ok(whole::LOG_BYTES));
    drop(ctx);
    assert!(!server.await.unwrap()[0].query.contains("tailLines"));
}

#[tokio::test]
async fn a_log_that_does_not_come_is_given_up_within_seconds() {
    let (ctx, server) = context(vec![NEVER, NEVER]);
    let asks = [ask(LogPart::End), ask(LogPart::Report)];
    let began = Instant::now();
    let logs = read(&ctx, &key(), &asks).await;
    assert!(began.elapsed() < Duration::from_secs(5), "all at once");
    for ask in &asks {
        assert_eq!(logs[ask], Err("no answer within 3 seconds".to_owned()));
    }
    drop(ctx);
    assert_eq!(server.await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_log_that_is_refused_is_an_answer_too() {
    let (ctx, server) = context(vec![refusal(403, "Forbidden")]);
    let end = ask(LogPart::End);
    let logs = read(&ctx, &key(), std::slice::from_ref(&end)).await;
    assert_eq!(logs[&end], Err("because Forbidden".to_owned()));
    drop(ctx);
    assert_eq!(server.await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_kept_is_applied_by_a_manager_of_its_step_and_a_refusal_stops_nothing() {
    let stored = json!({ "metadata": { "name": "acme-r1-reports", "namespace": "crm" } });
    let (ctx, server) = context(vec![refusal(403, "exceeded quota"), (200, stored)]);
    let lost = keep(&ctx, (key(), "u1".into()), &[kept(), kept()]).await;
    assert_eq!(lost.len(), 1);
    assert!(lost[0].1.contains("exceeded quota"), "{lost:?}");
    drop(ctx);
    let seen = server.await.unwrap();
    for request in &seen {
        assert_eq!(
            (&request.method, request.path.as_str()),
            (
                &Method::PATCH,
                "/api/v1/namespaces/crm/configmaps/acme-r1-reports"
            )
        );
        assert!(
            request.query.contains("gate-smoke") && request.query.contains("force=true"),
            "{}",
            request.query
        );
    }
}
