//! The election's requests, and that nobody writes who does not lead.

use std::sync::Arc;
use std::time::Duration;

use crm_operator::apply::apply;
use crm_operator::context::Context;
use crm_operator::leader::{Election, Error, Leadership, Timing};
use crm_operator::plan::action::{Action, Origin};
use http::Method;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::server::{context_of, platform, refusal, taken};
use super::{config_map, deletion};

const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/crm/leases/crm-operator";

/// Much faster than in earnest; the Lease itself still says whole seconds.
const FAST: Timing = Timing {
    lease: Duration::from_secs(15),
    renew_deadline: Duration::from_millis(400),
    retry: Duration::from_millis(50),
};

/// A Lease as the API server stores it.
fn lease(holder: &str, version: &str) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": { "name": "crm-operator", "namespace": "crm", "resourceVersion": version, "labels": { "kept": "yes" } },
        "spec": { "holderIdentity": holder, "leaseDurationSeconds": 1, "leaseTransitions": 3, "acquireTime": "2026-01-01T00:00:00.000000Z", "renewTime": "2026-01-01T00:00:00.000000Z" },
    })
}

/// Takes part until the sender is used or dropped.
fn elect(ctx: &Arc<Context>) -> (oneshot::Sender<()>, JoinHandle<Result<(), Error>>) {
    let (done, ended) = oneshot::channel();
    let shared = (ctx.leadership.clone(), ctx.metrics.clone());
    let election = Election::new(&ctx.client, ("crm-operator", "pod-1"), FAST, shared);
    let ended = async {
        ended.await.ok();
    };
    (done, tokio::spawn(election.run(ended)))
}

#[tokio::test]
async fn creates_the_lease_leads_and_hands_it_over_at_the_end() {
    let answers = vec![refusal(404, "NotFound"), taken("8"), taken("9")];
    let (ctx, server) = context_of(Leadership::standby(), answers);
    let (done, election) = elect(&ctx);
    assert!(!ctx.leadership.leads());
    ctx.leadership.gained().await;
    assert!(ctx.leadership.leads());
    drop(done);
    election.await.unwrap().unwrap();
    assert!(!ctx.leadership.leads());
    drop(ctx);
    let seen = server.await.unwrap();
    assert_eq!(
        (&seen[0].method, seen[0].path.as_str()),
        (&Method::GET, PATH)
    );
    assert_eq!(seen[1].method, Method::POST);
    let spec = &seen[1].body["spec"];
    assert!(
        spec["holderIdentity"]
            .as_str()
            .unwrap()
            .starts_with("pod-1_")
    );
    assert_eq!(
        (&spec["leaseDurationSeconds"], &spec["leaseTransitions"]),
        (&json!(15), &json!(0))
    );
    assert_eq!(spec["acquireTime"], spec["renewTime"]);
    let release = &seen[2];
    assert_eq!(
        (&release.method, release.path.as_str()),
        (&Method::PUT, PATH)
    );
    assert_eq!(release.body["metadata"]["resourceVersion"], "8");
    assert_eq!(release.body["spec"]["holderIdentity"], "");
    assert_eq!(release.body["spec"]["leaseDurationSeconds"], 1);
    assert_eq!(release.body["spec"]["leaseTransitions"], 0);
}

#[tokio::test]
async fn takes_a_lease_over_only_when_it_saw_no_change_for_so_long_and_over_that_version() {
    // Its times are long past, and its holder renews it once.
    let mut answers = vec![(200, lease("pod-2_y", "5"))];
    let mut unchanged = lease("pod-2_y", "6");
    unchanged["taken"] = json!("7");
    answers.extend((0..200).map(|_| (200, unchanged.clone())));
    let (ctx, server) = context_of(Leadership::standby(), answers);
    let started = std::time::Instant::now();
    let (_done, election) = elect(&ctx);
    ctx.leadership.gained().await;
    assert!(
        started.elapsed() >= Duration::from_secs(1),
        "{:?}",
        started.elapsed()
    );
    election.abort();
    election.await.unwrap_err();
    drop(ctx);
    let seen = server.await.unwrap();
    let taken = seen.iter().find(|seen| seen.method == Method::PUT).unwrap();
    assert_eq!(taken.body["metadata"]["resourceVersion"], "6");
    assert_eq!(taken.body["spec"]["leaseTransitions"], 4);
    assert_ne!(
        taken.body["spec"]["acquireTime"],
        "2026-01-01T00:00:00.000000Z"
    );
}

#[tokio::test]
async fn a_leader_that_cannot_renew_ends() {
    let mut answers = vec![(200, lease("", "5")), taken("6")];
    answers.extend((0..20).map(|_| refusal(500, "InternalError")));
    let (ctx, server) = context_of(Leadership::standby(), answers);
    let (_done, election) = elect(&ctx);
    let error = election.await.unwrap().unwrap_err();
    assert!(
        error.to_string().contains("could not be renewed"),
        "{error}"
    );
    assert!(!ctx.leadership.leads());
    server.abort();
}

#[tokio::test]
async fn a_renewal_keeps_what_is_in_the_lease_and_a_conflict_is_looked_into() {
    let answers = vec![
        (200, lease("", "5")),
        taken("6"),
        refusal(409, "Conflict"),
        (200, lease("pod-2_y", "7")),
    ];
    let (ctx, server) = context_of(Leadership::standby(), answers);
    let (_done, election) = elect(&ctx);
    let error = election.await.unwrap().unwrap_err();
    assert!(
        error.to_string().contains("was taken by pod-2_y"),
        "{error}"
    );
    assert!(!ctx.leadership.leads());
    drop(ctx);
    let seen = server.await.unwrap();
    let methods: Vec<_> = seen.iter().map(|seen| seen.method.as_str()).collect();
    assert_eq!(methods, ["GET", "PUT", "PUT", "GET"]);
    let (taken, renewed) = (&seen[1].body, &seen[2].body);
    assert_eq!(taken["metadata"]["resourceVersion"], "5");
    assert_eq!(taken["metadata"]["labels"]["kept"], "yes");
    assert_eq!(taken["spec"]["leaseTransitions"], 4);
    assert_eq!(renewed["metadata"]["resourceVersion"], "6");
}

#[tokio::test]
async fn nothing_is_written_after_the_deadline() {
    let mut answers = vec![(200, lease("", "5")), taken("6")];
    answers.extend((0..8).map(|_| refusal(500, "InternalError")));
    let (ctx, server) = context_of(Leadership::standby(), answers);
    let (_done, election) = elect(&ctx);
    ctx.leadership.gained().await;
    // The election itself is held up, as by a machine that stands still: only the deadline is left.
    election.abort();
    tokio::time::sleep(FAST.renew_deadline).await;
    let error = apply(&ctx, &platform(), &[config_map("first")])
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to apply ConfigMap \"crm/first\": this process is no longer the leader"
    );
    server.abort();
}

#[tokio::test]
async fn a_standby_writes_nothing() {
    let (ctx, server) = context_of(Leadership::standby(), vec![]);
    let aside = Action {
        origin: Origin::Aside,
        ..deletion("j1")
    };
    for action in [config_map("first"), aside] {
        apply(&ctx, &platform(), &[action]).await.unwrap_err();
    }
    drop(ctx);
    assert!(server.await.unwrap().is_empty());
}
