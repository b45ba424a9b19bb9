//! The operator is killed in every stage of a release; the release ends as if nothing had happened, and the migration was applied once.

use std::collections::BTreeMap;

use e2e::scenario::{self, SYSTEM};
use serde_json::json;

use crate::setting::{RELEASE, Setting};

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn survives_kill_nine_at_every_stage() {
    let setting = Setting::new("kill-nine");
    let platform = &setting.platform;
    setting.installed(&setting.images.previous, |_| {});
    platform
        .patch(&json!({ "image": setting.images.current }))
        .unwrap();
    let mut killed = Vec::new();
    platform
        .watch(
            "the release to serve, its last stage included",
            RELEASE * 2,
            |seen| {
                let stage = seen["status"]["stage"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned();
                let moving = seen["status"]["candidate"].is_object()
                    || stage == "Optimise" && !killed.is_empty();
                if moving && !killed.contains(&stage) {
                    kill(&setting);
                    killed.push(stage);
                }
                let current =
                    seen["status"]["observedGeneration"] == seen["metadata"]["generation"];
                Ok(current
                    && seen["status"]["candidate"].is_null()
                    && seen["status"]["stable"]["optimised"] == true
                    && killed.len() > 1)
            },
        )
        .unwrap();
    for stage in [
        "Rehearse", "Gate", "Migrate", "Rollout", "Verify", "Optimise",
    ] {
        assert!(
            killed.iter().any(|seen| seen == stage),
            "the operator was not killed in {stage}: {killed:?}"
        );
    }
    let after = platform.get().unwrap();
    assert_eq!(
        scenario::condition(&after, "Ready"),
        "True",
        "{}",
        after["status"]
    );
    // Applied once, by the ledger of the database itself.
    let twice = platform.sql("select count(*) from (select number, phase from customer.schema_migration group by 1, 2 having count(*) > 1) twice").unwrap();
    assert_eq!(twice, "0");
    let applied = platform.sql("select count(*) from customer.schema_migration where number = 2 and state = 'done' and phase in ('expand', 'contract')").unwrap();
    assert_eq!(applied, "2", "expand and contract of the new release");
    // No step was made twice.
    let mut steps: BTreeMap<String, u32> = BTreeMap::new();
    for stage in after["status"]["releases"][0]["stages"].as_array().unwrap() {
        for job in stage["jobs"].as_array().into_iter().flatten() {
            *steps
                .entry(format!("{} {}", stage["name"], job["step"]))
                .or_default() += 1;
        }
    }
    assert!(steps.values().all(|count| *count == 1), "{steps:?}");
    let jobs = platform
        .list("jobs", "crmplatform.io/track=migration")
        .unwrap();
    assert!(
        jobs.iter()
            .all(|job| job["metadata"]["name"].as_str().unwrap().ends_with("-1")),
        "a second Job for one step"
    );
}

fn kill(setting: &Setting) {
    let mut kubectl = setting.cluster.kubectl(60);
    kubectl.args([
        "--namespace",
        SYSTEM,
        "delete",
        "pod",
        "--selector=app.kubernetes.io/name=crm-operator",
        "--grace-period=0",
        "--force",
        "--wait=false",
    ]);
    e2e::command::output(&mut kubectl).unwrap();
}
