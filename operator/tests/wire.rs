//! What goes over the wire: the few requests that safety rests on, against a scripted API server.
#![allow(clippy::unwrap_used, reason = "a test ends at what it does not expect")]

use std::sync::Arc;

use crm_operator::api::{CrmPlatform, CrmPlatformStatus};
use crm_operator::apply::{StatusWrite, apply, write_status};
use crm_operator::backoff::asked;
use crm_operator::context::PlatformKey;
use crm_operator::controller::Watched;
use crm_operator::observe::{Questions, observe};
use crm_operator::observed::Stamp;
use crm_operator::plan::action::{
    Action, Created, Object, Origin, Replicas, SecretContent, SecretRecipe, Target, TargetKind,
    Write,
};
use crm_operator::reconcile::reconcile;
use http::Method;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::networking::v1::Ingress;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};

#[path = "wire/denied.rs"]
mod denied;
#[path = "wire/images.rs"]
mod images;
#[path = "wire/leader.rs"]
mod leader;
#[path = "wire/logs.rs"]
mod logs;
#[path = "wire/server.rs"]
mod server;

use server::{context, owned, platform, refusal, taken};

fn key() -> PlatformKey {
    PlatformKey {
        namespace: "crm".into(),
        name: "acme".into(),
    }
}

fn action(write: Write) -> Action {
    Action {
        write,
        because: "a test wants it".into(),
        origin: Origin::Stage,
        after: Vec::new(),
    }
}

fn config_map(name: &str) -> Action {
    let object: ConfigMap =
        serde_json::from_value(json!({ "metadata": { "name": name, "namespace": "crm" } }))
            .unwrap();
    action(Write::Apply(Object::ConfigMap(Box::new(object))))
}

fn job() -> Value {
    json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "acme-gate", "namespace": "crm", "uid": "j1", "resourceVersion": "3" } })
}

fn creation_of_job() -> Action {
    let job: Job = serde_json::from_value(job()).unwrap();
    action(Write::Create(Created::Job(Box::new(job))))
}

fn deletion(uid: &str) -> Action {
    action(Write::Delete(Target {
        kind: TargetKind::Job,
        name: "acme-gate".into(),
        uid: uid.into(),
    }))
}

fn stored() -> Value {
    json!({ "metadata": { "name": "acme-postgres", "namespace": "crm", "resourceVersion": "12", "labels": { "crmplatform.io/platform": "acme" } } })
}

#[tokio::test]
async fn applies_whole_objects_under_one_manager() {
    let (ctx, server) = context(vec![(200, stored())]);
    apply(&ctx, &platform(), &[config_map("acme-postgres")])
        .await
        .unwrap();
    assert!(
        ctx.written.unseen(&key(), |_, _| None),
        "the write is noted until a watch shows it"
    );
    drop(ctx);
    let seen = server.await.unwrap();
    assert_eq!(
        (&seen[0].method, seen[0].path.as_str()),
        (
            &Method::PATCH,
            "/api/v1/namespaces/crm/configmaps/acme-postgres"
        )
    );
    let query = &seen[0].query;
    assert!(query.contains("fieldManager=crm-operator"), "{query}");
    assert_eq!(seen[0].content_type, "application/apply-patch+yaml");
    assert_eq!(seen[0].body["kind"], "ConfigMap");
}

#[tokio::test]
async fn takes_by_force_only_what_is_its_own() {
    let action = || [config_map("acme-postgres")];
    let (ctx, server) = context(vec![owned(), (200, stored())]);
    let error = apply(&ctx, &platform(), &action()).await.unwrap_err();
    let words = error.finding().message;
    assert!(words.contains("that others have made"), "{words}");
    let own: ConfigMap = serde_json::from_value(stored()).unwrap();
    let hash = |_: &ConfigMap| Some(Stamp::default());
    ctx.stores.config_maps.take(Event::Apply(own), hash);
    apply(&ctx, &platform(), &action()).await.unwrap();
    drop(ctx);
    let seen = server.await.unwrap();
    let forced = seen.iter().map(|seen| seen.query.contains("force=true"));
    assert_eq!(forced.collect::<Vec<_>>(), [false, true]);
}

#[tokio::test]
async fn what_an_earlier_platform_of_that_name_has_left_is_not_its_own() {
    let (ctx, server) = context(Vec::new());
    for (name, owner) in [("own", "u1"), ("left", "u0")] {
        let reference = json!({ "apiVersion": "crmplatform.io/v1alpha1", "kind": "CrmPlatform", "name": "acme", "uid": owner, "controller": true });
        let object = json!({
            "metadata": { "name": name, "namespace": "crm", "uid": name, "labels": { "crmplatform.io/platform": "acme" }, "ownerReferences": [reference] },
            "spec": { "selector": {}, "template": {} }
        });
        let object: Deployment = serde_json::from_value(object).unwrap();
        let view = |seen: &Deployment| Some(seen.into());
        ctx.stores.deployments.take(Event::Apply(object), view);
    }
    let platform = platform();
    let seen = observe(&ctx, &platform, Questions::default());
    let seen = seen.await.unwrap();
    assert_eq!(seen.deployments.keys().collect::<Vec<_>>(), ["own"]);
    drop(ctx);
    assert!(server.await.unwrap().is_empty());
}

/// Taking over what the garbage collector is about to remove would keep the data of a platform that was to be deleted with them.
#[tokio::test]
async fn what_an_earlier_platform_of_that_name_has_left_is_not_written_to() {
    let (ctx, server) = context(Vec::new());
    let mut left = stored();
    let reference = json!({ "apiVersion": "crmplatform.io/v1alpha1", "kind": "CrmPlatform", "name": "acme", "uid": "u0", "controller": true });
    left["metadata"]["ownerReferences"] = json!([reference]);
    let left: ConfigMap = serde_json::from_value(left).unwrap();
    let hash = |_: &ConfigMap| Some(Stamp::default());
    ctx.stores.config_maps.take(Event::Apply(left), hash);
    let error = apply(&ctx, &platform(), &[config_map("acme-postgres")]).await;
    let words = error.unwrap_err().finding().message;
    assert!(words.contains("about to be removed"), "{words}");
    drop(ctx);
    assert!(server.await.unwrap().is_empty());
}

fn three_pods() -> Action {
    action(Write::KeepReplicas(Replicas {
        deployment: "acme-customer".into(),
        uid: "d1".into(),
        replicas: 3,
    }))
}

#[tokio::test]
async fn the_number_of_pods_is_taken_as_it_is_and_not_by_force() {
    let stored = json!({ "metadata": { "name": "acme-customer", "namespace": "crm" }, "spec": { "selector": {}, "template": {} } });
    let (ctx, server) = context(vec![(200, stored), refusal(409, "Conflict")]);
    // The second time the autoscaler has set another number: it owns it, and nothing is to be kept.
    apply(&ctx, &platform(), &[three_pods(), three_pods()])
        .await
        .unwrap();
    drop(ctx);
    let seen = server.await.unwrap();
    assert_eq!(seen.len(), 2);
    assert!(!seen[0].query.contains("force"), "{}", seen[0].query);
    assert!(
        seen[0].query.contains("replicas"),
        "by a manager of its own: {}",
        seen[0].query
    );
    assert_eq!(
        (&seen[0].body["spec"], &seen[0].body["metadata"]["uid"]),
        (&json!({ "replicas": 3 }), &json!("d1"))
    );
}

#[tokio::test]
async fn stops_at_the_first_failure_and_names_the_object() {
    let (ctx, server) = context(vec![refusal(403, "Forbidden")]);
    let error = apply(
        &ctx,
        &platform(),
        &[config_map("first"), config_map("second")],
    )
    .await
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to apply ConfigMap \"crm/first\": because Forbidden"
    );
    drop(ctx);
    assert_eq!(server.await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_way_in_that_is_refused_holds_nothing_up() {
    let (ctx, server) = context(vec![refusal(422, "the host is taken"), taken("9")]);
    let ingress: Ingress =
        serde_json::from_value(json!({ "metadata": { "name": "acme", "namespace": "crm" } }))
            .unwrap();
    let ingress = Action {
        origin: Origin::Aside,
        ..action(Write::Apply(Object::Ingress(Box::new(ingress))))
    };
    let refused = apply(&ctx, &platform(), &[ingress, config_map("second")])
        .await
        .unwrap();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].write.key(), "Ingress/acme");
    assert!(refused[0].finding().message.contains("the host is taken"));
    drop(ctx);
    assert_eq!(server.await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_job_that_is_there_already_is_left_alone_and_looked_at_until_it_is_gone() {
    let (ctx, server) = context(vec![
        refusal(409, "AlreadyExists"),
        (200, job()),
        refusal(404, "NotFound"),
    ]);
    apply(&ctx, &platform(), &[creation_of_job()])
        .await
        .unwrap();
    let first = observe(&ctx, &platform(), Questions::default())
        .await
        .unwrap();
    assert_eq!(first.jobs["acme-gate"].uid, "j1");
    let second = observe(&ctx, &platform(), Questions::default())
        .await
        .unwrap();
    assert!(second.jobs.is_empty());
    let third = observe(&ctx, &platform(), Questions::default())
        .await
        .unwrap();
    assert!(third.jobs.is_empty(), "and not asked for again");
    drop(ctx);
    let methods: Vec<_> = server
        .await
        .unwrap()
        .into_iter()
        .map(|seen| seen.method)
        .collect();
    assert_eq!(methods, [Method::POST, Method::GET, Method::GET]);
}

#[tokio::test]
async fn deletes_only_the_object_that_was_seen_and_its_pods_in_the_background() {
    for answer in [
        (200, job()),
        refusal(404, "NotFound"),
        refusal(409, "Conflict"),
    ] {
        let (ctx, server) = context(vec![answer]);
        apply(&ctx, &platform(), &[deletion("j1")]).await.unwrap();
        drop(ctx);
        let seen = server.await.unwrap();
        assert_eq!(seen[0].method, Method::DELETE);
        assert_eq!(seen[0].body["preconditions"]["uid"], "j1");
        assert_eq!(seen[0].body["propagationPolicy"], "Background");
    }
}

fn creation_of_secret() -> Action {
    action(Write::CreateSecret(SecretRecipe {
        name: "acme-db-app".into(),
        content: SecretContent::Password,
        plain: Vec::new(),
        owned: false,
    }))
}

/// What a watch shows of a Secret that is there.
fn shown(labels: Value) -> (u16, Value) {
    // As one has it that another operator has made.
    let owner = json!({ "apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "name": "acme-db", "uid": "c0", "controller": true });
    shown_of((labels, json!([owner])))
}

fn shown_of((labels, owners): (Value, Value)) -> (u16, Value) {
    let metadata = json!({ "name": "acme-db-app", "namespace": "crm", "resourceVersion": "4", "labels": labels, "ownerReferences": owners });
    let object = json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata });
    let event = json!({ "type": "ADDED", "object": object });
    (200, json!(format!("{event}\n")))
}

#[tokio::test]
async fn a_secret_of_the_platform_is_left_as_it_is_and_never_read() {
    let own = json!({ "app.kubernetes.io/managed-by": "crm-operator", "crmplatform.io/platform": "acme" });
    let (ctx, server) = context(vec![refusal(409, "AlreadyExists"), shown(own), taken("9")]);
    apply(
        &ctx,
        &platform(),
        &[creation_of_secret(), config_map("next")],
    )
    .await
    .unwrap();
    drop(ctx);
    let seen = server.await.unwrap();
    let path = "/api/v1/namespaces/crm/secrets";
    assert_eq!(
        (&seen[0].method, seen[0].path.as_str()),
        (&Method::POST, path)
    );
    assert_eq!(
        (&seen[1].method, seen[1].path.as_str()),
        (&Method::GET, path)
    );
    assert!(seen[1].query.contains("watch=true"), "{}", seen[1].query);
    assert!(
        seen[1]
            .query
            .contains("fieldSelector=metadata.name%3Dacme-db-app")
    );
    assert!(
        seen[1].accept.contains("as=PartialObjectMetadata"),
        "{}",
        seen[1].accept
    );
}

#[tokio::test]
async fn a_secret_of_an_earlier_platform_is_waited_for_until_it_is_gone() {
    let own = json!({ "app.kubernetes.io/managed-by": "crm-operator", "crmplatform.io/platform": "acme" });
    let owners = json!([{ "apiVersion": "crmplatform.io/v1alpha1", "kind": "CrmPlatform", "name": "acme", "uid": "u0", "controller": true }]);
    let answers = vec![refusal(409, "AlreadyExists"), shown_of((own, owners))];
    let (ctx, server) = context(answers);
    let actions = [creation_of_secret(), config_map("next")];
    let error = apply(&ctx, &platform(), &actions).await.unwrap_err();
    let words = error.finding().message;
    assert!(words.contains("about to be removed"), "{words}");
    drop(ctx);
    assert_eq!(server.await.unwrap().len(), 2, "nothing after it");
}

#[tokio::test]
async fn a_secret_of_somebody_else_is_not_used_and_nothing_is_made_with_it() {
    for labels in [
        json!({ "cnpg.io/cluster": "acme-db" }),
        json!({ "app.kubernetes.io/managed-by": "crm-operator", "crmplatform.io/platform": "other" }),
        json!({ "app.kubernetes.io/managed-by": "Helm", "crmplatform.io/platform": "acme" }),
    ] {
        let (ctx, server) = context(vec![refusal(409, "AlreadyExists"), shown(labels)]);
        let error = apply(
            &ctx,
            &platform(),
            &[creation_of_secret(), config_map("next")],
        )
        .await
        .unwrap_err();
        let told = error.finding();
        assert_eq!(told.reason, "SecretNotUsable");
        assert!(
            told.message.contains("Secret \"crm/acme-db-app\""),
            "{}",
            told.message
        );
        drop(ctx);
        assert_eq!(server.await.unwrap().len(), 2, "nothing after it");
    }
}

#[tokio::test]
async fn a_secret_that_cannot_be_looked_at_is_not_taken_for_an_own_one() {
    for answer in [(200, json!("")), refusal(403, "Forbidden")] {
        let (ctx, server) = context(vec![refusal(409, "AlreadyExists"), answer]);
        let error = apply(&ctx, &platform(), &[creation_of_secret()]).await;
        assert_eq!(error.unwrap_err().finding().reason, "ApplyFailed");
        drop(ctx);
        assert_eq!(server.await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn the_status_is_written_only_over_the_version_that_was_looked_at() {
    let next = CrmPlatformStatus {
        stage: Some("Gate".into()),
        ..Default::default()
    };
    let (ctx, server) = context(vec![refusal(409, "Conflict")]);
    assert_eq!(
        write_status(&ctx, &platform(), next).await.unwrap(),
        StatusWrite::Outdated
    );
    drop(ctx);
    let seen = server.await.unwrap();
    assert_eq!(
        (&seen[0].method, seen[0].path.as_str()),
        (
            &Method::PUT,
            "/apis/crmplatform.io/v1alpha1/namespaces/crm/crmplatforms/acme/status"
        )
    );
    assert_eq!(seen[0].body["metadata"]["resourceVersion"], "7");
    assert_eq!(seen[0].body["metadata"]["uid"], "u1");
    assert_eq!(seen[0].body["status"]["stage"], "Gate");
}

#[tokio::test]
async fn a_status_that_says_the_same_is_not_written() {
    let (ctx, server) = context(vec![]);
    let mut object = platform();
    let status = json!({ "conditions": [{ "type": "Ready", "status": "True", "reason": "Serving", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z" }] });
    object.status = Some(serde_json::from_value(status).unwrap());
    let mut same = object.status.clone().unwrap();
    // In memory a moment has nanoseconds; once written it has not.
    let precise = same.conditions[0].last_transition_time.0 + std::time::Duration::from_nanos(5);
    same.conditions[0].last_transition_time.0 = precise;
    assert_eq!(
        write_status(&ctx, &object, same).await.unwrap(),
        StatusWrite::Unchanged
    );
    drop(ctx);
    assert!(server.await.unwrap().is_empty());
}

#[tokio::test]
async fn the_first_look_at_a_release_writes_its_memory_before_anything_else() {
    let mut stored = serde_json::to_value(platform()).unwrap();
    stored["metadata"]["resourceVersion"] = json!("8");
    let event = json!({ "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": { "name": "e" }, "eventTime": null });
    let (ctx, server) = context(vec![(200, stored), (201, event.clone()), (201, event)]);
    let look = || reconcile(Arc::new(DeserializeGuard(Ok(platform()))), ctx.clone());
    look().await.unwrap();
    // The watch has not shown the own write yet: the second look does nothing on the old object.
    look().await.unwrap();
    drop(ctx);
    let seen = server.await.unwrap();
    assert!(
        seen[0].path.ends_with("/crmplatforms/acme/status"),
        "{seen:?}"
    );
    assert!(seen[0].body["status"]["candidate"]["release"].is_string());
    assert!(
        seen[1..]
            .iter()
            .all(|request| request.path.ends_with("/events")),
        "{seen:?}"
    );
}

/// A platform whose release has begun, as the first look writes it.
async fn begun() -> CrmPlatform {
    let (ctx, server) = context(vec![taken("8"), taken("1"), taken("1")]);
    let object = Arc::new(DeserializeGuard(Ok(platform())));
    reconcile(object, ctx.clone()).await.unwrap();
    drop(ctx);
    let told = server.await.unwrap().remove(0).body;
    CrmPlatform {
        metadata: platform().metadata,
        ..serde_json::from_value(told).unwrap()
    }
}

#[tokio::test]
async fn what_was_told_with_a_stage_is_not_written_again_while_its_objects_are_made() {
    // Six NetworkPolicies; ConfigMap, Service and StatefulSet of the database, three Secrets, the record of the release.
    let (ctx, server) = context(vec![taken("9"); 13]);
    let object = Arc::new(DeserializeGuard(Ok(begun().await)));
    reconcile(object, ctx.clone()).await.unwrap();
    drop(ctx);
    let seen = server.await.unwrap();
    let paths: Vec<_> = seen.iter().map(|request| request.path.as_str()).collect();
    assert_eq!(paths.len(), 13, "{paths:?}");
    assert!(paths[12].ends_with("/controllerrevisions"), "{paths:?}");
    assert!(paths.iter().all(|path| !path.ends_with("/status")));
}

#[tokio::test]
async fn a_platform_that_failed_is_left_alone_until_its_time_or_something_new_is_asked_for() {
    let refusals = [(); 3].map(|()| refusal(403, "Forbidden"));
    let (ctx, server) = context(refusals.to_vec());
    let look = |object| reconcile(Arc::new(DeserializeGuard(Ok(object))), ctx.clone());
    let error = look(platform()).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("failed to write the status of CrmPlatform \"crm/acme\""),
        "{error}"
    );
    ctx.backoff
        .failed(&key(), asked(&platform().metadata), None);
    look(platform()).await.unwrap();
    let mut aborted = platform();
    let abort = ("crmplatform.io/abort".to_owned(), "ops: stop".to_owned());
    aborted.metadata.annotations = Some([abort].into());
    look(aborted).await.unwrap_err();
    let mut fixed = platform();
    fixed.metadata.generation = Some(2);
    look(fixed).await.unwrap_err();
    drop(ctx);
    assert_eq!(
        server.await.unwrap().len(),
        3,
        "the second look asked for nothing"
    );
}

#[tokio::test]
async fn an_object_that_cannot_be_read_is_left_alone() {
    let broken = json!({
        "apiVersion": "crmplatform.io/v1alpha1", "kind": "CrmPlatform",
        "metadata": { "name": "acme", "namespace": "crm" }, "spec": { "services": "none" },
    });
    let watched: Watched = serde_json::from_value(broken).unwrap();
    let (ctx, server) = context(vec![]);
    reconcile(Arc::new(watched), ctx.clone()).await.unwrap();
    drop(ctx);
    assert!(server.await.unwrap().is_empty());
}

#[tokio::test]
async fn a_platform_that_is_being_deleted_is_left_to_the_garbage_collector() {
    let mut going = serde_json::to_value(platform()).unwrap();
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let (ctx, server) = context(vec![]);
    reconcile(
        Arc::new(DeserializeGuard(Ok(serde_json::from_value(going).unwrap()))),
        ctx.clone(),
    )
    .await
    .unwrap();
    drop(ctx);
    assert!(server.await.unwrap().is_empty());
}
