//! What the API server denies, and what it only cannot do just now: the one is told and counted, the other tried again.

use std::sync::Arc;

use crm_operator::apply::apply;
use crm_operator::backoff::asked;
use crm_operator::plan::action::{Action, Object, Origin, Write};
use crm_operator::reconcile::reconcile;
use http::Method;
use k8s_openapi::api::networking::v1::Ingress;
use kube::core::DeserializeGuard;
use serde_json::json;

use super::server::{context, platform, refusal, taken};
use super::{action, begun, config_map, creation_of_job, deletion, key};

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
async fn what_is_denied_is_told_once_a_minute_and_counts_for_the_next_looks() {
    // Of each look the refusal and the status; of the first an event between them: words that change each time are told once a minute.
    let (quota, policy) = (
        refusal(403, "exceeded quota"),
        refusal(403, "no such policy"),
    );
    let looks = [
        vec![quota.clone(), taken("1"), taken("9")],
        vec![quota, taken("10")],
        vec![policy, taken("11")],
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
    assert_eq!(told.len(), 1, "{seen:?}");
}

fn aside(action: Action) -> Action {
    Action {
        origin: Origin::Aside,
        ..action
    }
}

#[tokio::test]
async fn clearing_up_that_is_denied_holds_up_only_what_has_the_same_name() {
    let clean_up = || aside(deletion("j1"));
    let ingress: Ingress =
        serde_json::from_value(json!({ "metadata": { "name": "acme", "namespace": "crm" } }))
            .unwrap();
    let ingress = aside(action(Write::Apply(Object::Ingress(Box::new(ingress)))));
    let mut other = clean_up();
    if let Write::Delete(target) = &mut other.write {
        target.name = "acme-seed".into();
    }
    let actions = [clean_up(), clean_up(), other, ingress];
    let (ctx, server) = context(vec![refusal(403, "Forbidden"), taken("8"), taken("9")]);
    let refused = apply(&ctx, &platform(), &actions).await.unwrap();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].removed.as_deref(), Some("acme-gate"));
    drop(ctx);
    let methods: Vec<_> = server
        .await
        .unwrap()
        .into_iter()
        .map(|seen| seen.method)
        .collect();
    assert_eq!(methods, [Method::DELETE, Method::DELETE, Method::PATCH]);

    for (code, action) in [(403, deletion("j1")), (500, clean_up())] {
        let (ctx, server) = context(vec![refusal(code, "Refused")]);
        let failed = apply(&ctx, &platform(), &[action]).await;
        assert!(failed.is_err(), "{code}: what is needed, or may pass");
        drop(ctx);
        server.await.unwrap();
    }
}
