//! What the API server denies, and what it only cannot do just now: the one is told and counted, the other tried again.

use std::sync::Arc;

use crm_operator::apply::apply;
use crm_operator::backoff::asked;
use crm_operator::plan::action::{Action, Object, Origin, Target, TargetKind, Write};
use crm_operator::reconcile::reconcile;
use k8s_openapi::api::networking::v1::Ingress;
use kube::core::DeserializeGuard;
use serde_json::json;

use super::server::{context, owned, platform, refusal, taken};
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
    // What others own, and what several count at once: a quota.
    for (conflict, is_denial) in [(owned(), true), (refusal(409, "Conflict"), false)] {
        let (ctx, server) = context(vec![conflict]);
        let error = apply(&ctx, &platform(), &[config_map("acme")]).await;
        let denial = error.unwrap_err().denial();
        assert_eq!(denial.is_some(), is_denial, "{denial:?}");
        drop(ctx);
        server.await.unwrap();
    }
}

#[tokio::test]
async fn what_is_denied_is_told_once_a_minute_and_counts_for_the_next_looks() {
    // Of each look the refusal and the status; of the first an event between them.
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
    let mut rows = Vec::new();
    for _ in 0..3 {
        tokio::time::sleep(ctx.backoff.left(&key(), asked).unwrap_or_default()).await;
        let looked = reconcile(Arc::new(DeserializeGuard(Ok(object.clone()))), ctx.clone());
        let error = looked.await.unwrap_err();
        ctx.backoff.failed(&key(), asked, error.denial());
        rows.push(ctx.backoff.denied(&key(), asked).unwrap());
        // As its watch would show the status.
        ctx.written.forget(&key());
    }
    assert!(rows.iter().all(|row| row.since == rows[0].since));
    assert!(rows[2].last > rows[0].last && rows[2].why.contains("policy"));
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
async fn what_is_aside_holds_up_only_what_comes_after_it() {
    let removes = |kind, name: &str, after: &[&str]| Action {
        after: after.iter().map(ToString::to_string).collect(),
        ..aside(action(Write::Delete(Target {
            kind,
            name: name.into(),
            uid: String::new(),
        })))
    };
    let ingress: Ingress =
        serde_json::from_value(json!({ "metadata": { "name": "acme-x", "namespace": "crm" } }))
            .unwrap();
    let ingress = aside(action(Write::Apply(Object::Ingress(Box::new(ingress)))));
    // Whatever the API server says: a webhook that is down, too.
    for code in [403, 500] {
        let actions = [
            removes(TargetKind::Service, "acme-x", &[]),
            removes(TargetKind::Deployment, "acme-x-green", &["Service/acme-x"]),
            removes(TargetKind::Budget, "acme-x", &["Service/acme-y"]),
            ingress.clone(),
        ];
        // What is not answered well is not asked for again in another form: each may wait for its deadline.
        let (keys, kinds) = match code {
            403 => (
                vec!["Service/acme-x"],
                vec!["services", "poddisruptionbudgets", "ingresses"],
            ),
            _ => (
                vec![
                    "Service/acme-x",
                    "Deployment/acme-x-green",
                    "PodDisruptionBudget/acme-x",
                ],
                vec!["services", "ingresses"],
            ),
        };
        let mut answers = vec![refusal(code, "Refused")];
        answers.resize(kinds.len(), taken("9"));
        let (ctx, server) = context(answers);
        let refused = apply(&ctx, &platform(), &actions).await.unwrap();
        let told: Vec<_> = refused.iter().map(|refused| refused.write.key()).collect();
        assert_eq!(told, keys);
        drop(ctx);
        let seen = server.await.unwrap();
        assert_eq!(seen.len(), kinds.len());
        for (seen, kind) in seen.iter().zip(kinds) {
            assert!(seen.path.contains(kind), "{}", seen.path);
        }
    }
    for code in [403, 500] {
        let (ctx, server) = context(vec![refusal(code, "Refused")]);
        let failed = apply(&ctx, &platform(), &[deletion("j1")]).await;
        assert!(failed.is_err(), "{code}: what is needed");
        drop(ctx);
        server.await.unwrap();
    }
}
