//! What the API server denies, and what it only cannot do just now: the one is told and counted, the other tried again.

use std::sync::Arc;

use crm_operator::apply::{Refused, apply};
use crm_operator::backoff::asked;
use crm_operator::plan::action::{Action, Object, Origin, Target, TargetKind, Write};
use crm_operator::reconcile::reconcile;
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::DeserializeGuard;
use serde_json::json;

use super::server::{Seen, context, owned, platform, refusal, slow, taken};
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
    let budget: PodDisruptionBudget =
        serde_json::from_value(json!({ "metadata": { "name": "acme-x", "namespace": "crm" } }))
            .unwrap();
    let budget = |name: &str| {
        let mut budget = budget.clone();
        budget.metadata.name = Some(name.to_owned());
        aside(action(Write::Apply(Object::Budget(Box::new(budget)))))
    };
    let actions = [
        removes(TargetKind::Service, "acme-x", &[]),
        removes(TargetKind::Deployment, "acme-x-green", &["Service/acme-x"]),
        removes(TargetKind::Budget, "acme-x", &["Service/acme-y"]),
        budget("acme-y"),
        budget("acme-z"),
        ingress,
    ];
    let keys = |refused: &[Refused]| {
        let keys = refused.iter().map(|refused| refused.write.key());
        keys.collect::<Vec<_>>()
    };
    let paths = |seen: &[Seen]| {
        let names = seen.iter().filter_map(|seen| seen.path.rsplit('/').nth(1));
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    // Whatever the API server says: a webhook that is down, too.
    for code in [403, 500] {
        let bad = refusal(code, "Refused");
        let good = taken("9");
        let answers = vec![bad.clone(), good.clone(), bad, good.clone(), good];
        let (ctx, server) = context(answers);
        let refused = apply(&ctx, &platform(), &actions).await.unwrap();
        assert_eq!(
            keys(&refused),
            ["Service/acme-x", "PodDisruptionBudget/acme-y"]
        );
        drop(ctx);
        let seen = paths(&server.await.unwrap());
        let budgets = "poddisruptionbudgets";
        assert_eq!(seen, ["services", budgets, budgets, budgets, "ingresses"]);
    }
    // What takes long is not asked for again in another form, but for the way in.
    let late = slow(refusal(500, "the webhook timed out"));
    let answers = [[late.clone(), taken("9")], [late, taken("9")]];
    let (ctx, server) = context(answers.concat());
    let refused = apply(&ctx, &platform(), &actions).await.unwrap();
    let untried = "PodDisruptionBudget/acme-z";
    assert_eq!(
        keys(&refused),
        ["Service/acme-x", "PodDisruptionBudget/acme-y", untried]
    );
    assert_eq!(
        refused
            .iter()
            .filter(|refused| refused.error.is_some())
            .count(),
        2
    );
    drop(ctx);
    let seen = paths(&server.await.unwrap());
    let budgets = "poddisruptionbudgets";
    assert_eq!(seen, ["services", budgets, budgets, "ingresses"]);
    for code in [403, 500] {
        let (ctx, server) = context(vec![refusal(code, "Refused")]);
        let failed = apply(&ctx, &platform(), &[deletion("j1")]).await;
        assert!(failed.is_err(), "{code}: what is needed");
        drop(ctx);
        server.await.unwrap();
    }
}
