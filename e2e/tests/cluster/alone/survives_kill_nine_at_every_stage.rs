//! The operator that leads is killed in every stage of a release; another takes over, the release ends as if nothing had happened, without a failed
//! request, and the migration was applied once.

use std::collections::BTreeMap;

use e2e::Cluster;
use e2e::scenario::{self, Platform};
use serde_json::{Value, json};

use crate::setting::{RELEASE, Setting, unharmed};

const STAGES: [&str; 6] = [
    "Rehearse", "Gate", "Migrate", "Rollout", "Verify", "Optimise",
];
/// What the kernel makes of SIGKILL.
const KILLED: i64 = 137;

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn survives_kill_nine_at_every_stage() {
    let setting = Setting::alone("kill-nine");
    let (platform, cluster) = (&setting.platform, &setting.cluster);
    let before = setting.installed(&setting.images.previous, |_| {});
    let restarts = restarts(cluster);
    // Verify and Gate would be over in a second or two.
    let mut tests = before["spec"]["tests"].as_array().unwrap().clone();
    tests.push(json!({ "name": "slow", "when": ["Gate", "Verify"], "image": setting.images.postgres, "args": ["sleep", "6"] }));
    let load = platform.start_load(&setting.images.current, 20).unwrap();
    platform
        .patch(&json!({ "image": setting.images.current, "tests": tests }))
        .unwrap();
    let signals = kill_in_each_stage(platform, cluster);
    unharmed(load, 100);
    everything_was_done_once(platform);
    if signals > 0 {
        the_same_pods_were_started_again(platform, cluster, restarts + signals);
    }
}

/// The kubelet waits longer before each restart, up to 40 seconds for the third of a pod.
fn the_same_pods_were_started_again(platform: &Platform, cluster: &Cluster, times: i64) {
    platform
        .watch("a restart after each kill", 120, |_| {
            Ok(restarts(cluster) >= times)
        })
        .unwrap();
    assert_eq!(restarts(cluster), times, "nothing else ended");
    for container in containers(cluster) {
        let ended = &container["lastState"]["terminated"];
        assert!(
            ended.is_null() || ended["exitCode"] == KILLED,
            "{container}"
        );
    }
}

/// Kills whenever the status tells a new stage; answers how often by a signal.
fn kill_in_each_stage(platform: &Platform, cluster: &Cluster) -> i64 {
    let mut killed: Vec<String> = Vec::new();
    let mut signals = 0;
    let over = |seen: &Value| {
        seen["status"]["observedGeneration"] == seen["metadata"]["generation"]
            && seen["status"]["candidate"].is_null()
            && seen["status"]["stable"]["optimised"] == true
    };
    platform
        .watch(
            "the release to serve, its last stage included",
            RELEASE * 2,
            |seen| {
                let last = !killed.is_empty() && stage(seen) == "Optimise";
                let moving = seen["status"]["candidate"].is_object() || last;
                if moving && !killed.contains(&stage(seen)) {
                    signals += i64::from(scenario::kill_leader(cluster)?);
                    // Nobody writes the status until the Lease has expired: what it says is the stage in which the leader died.
                    killed.push(stage(&platform.get()?));
                    println!("killed in {}", killed[killed.len() - 1]);
                }
                Ok(!killed.is_empty() && over(seen))
            },
        )
        .unwrap();
    for stage in STAGES {
        assert!(
            killed.iter().any(|seen| seen == stage),
            "the operator was not killed in {stage}: {killed:?}"
        );
    }
    signals
}

fn stage(platform: &Value) -> String {
    let stage = platform["status"]["stage"].as_str();
    stage.unwrap_or_default().to_owned()
}

/// The status of the container of each pod of the operator.
fn containers(cluster: &Cluster) -> Vec<Value> {
    let pods = scenario::operator_pods(cluster).unwrap();
    let containers = pods
        .iter()
        .map(|pod| pod["status"]["containerStatuses"][0].clone());
    containers.collect()
}

fn restarts(cluster: &Cluster) -> i64 {
    let containers = containers(cluster);
    let counts = containers.iter().map(|container| {
        let count = container["restartCount"].as_i64();
        count.unwrap_or_default()
    });
    counts.sum()
}

fn everything_was_done_once(platform: &Platform) {
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
