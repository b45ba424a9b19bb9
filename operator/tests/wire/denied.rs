//! What the API server denies, and what it only cannot do just now: the one is told and counted, the other tried again.

use std::sync::Arc;

use crm_operator::apply::apply;
use crm_operator::backoff::asked;
use crm_operator::reconcile::reconcile;
use kube::core::DeserializeGuard;

use super::server::{context, platform, refusal, taken};
use super::{begun, config_map, creation_of_job, key};

#[tokio::test]
async fn only_an_answer_that_stays_the_same_counts_as_a_denial() {
    for (code, is_denial) in [
        (400, true),
        (403, true),
        (422, true),
        (401, false),
        (404, false),
        (429, false),
        (500, false),
        (503, false),
        (504, false),
    ] {
        let (ctx, server) = context(vec![refusal(code, "a webhook says no")]);
        let error = apply(&ctx, &platform(), &[creation_of_job()]).await;
        let denial = error.unwrap_err().denial();
        assert_eq!(denial.is_some(), is_denial, "{code}: {denial:?}");
        drop(ctx);
        server.await.unwrap();
    }
    let (ctx, server) = context(vec![refusal(409, "Conflict")]);
    let error = apply(&ctx, &platform(), &[config_map("acme")]).await;
    assert!(error.unwrap_err().denial().is_some(), "somebody else's");
    drop(ctx);
    server.await.unwrap();
}

#[tokio::test]
async fn what_is_denied_is_told_once_and_counts_for_the_next_looks() {
    // Of each look the refusal and the status; of the first and the third an event between them.
    let (quota, policy) = (
        refusal(403, "exceeded quota"),
        refusal(403, "no such policy"),
    );
    let looks = [
        vec![quota.clone(), taken("1"), taken("9")],
        vec![quota, taken("10")],
        vec![policy, taken("2"), taken("11")],
    ];
    let (ctx, server) = context(looks.concat());
    let object = begun().await;
    let asked = asked(&object.metadata);
    for _ in 0..3 {
        tokio::time::sleep(ctx.backoff.left(&key(), asked).unwrap_or_default()).await;
        let looked = reconcile(Arc::new(DeserializeGuard(Ok(object.clone()))), ctx.clone());
        let error = looked.await.unwrap_err();
        ctx.backoff.failed(&key(), asked, error.denial());
        // As its watch would show the status.
        ctx.written.forget(&key());
    }
    drop(ctx);
    let seen = server.await.unwrap();
    let events = seen.iter().filter(|seen| seen.path.ends_with("/events"));
    let told: Vec<_> = events.map(|seen| seen.body["note"].to_string()).collect();
    assert_eq!(told.len(), 2, "{seen:?}");
}
