//! Two operators act on one platform at the same time, because one of them asks no Lease; still each step of a migration is made once.

use std::collections::BTreeMap;

use e2e::scenario::{self, Platform, SecondOperator};
use serde_json::Value;

use crate::setting::{RELEASE, Setting};

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn two_leaders_migrate_once() {
    let setting = Setting::alone("two-leaders");
    let (platform, images) = (&setting.platform, &setting.images);
    let second = SecondOperator::start(&setting.cluster).unwrap();
    setting.installed(&images.previous, |_| {});
    let patch = serde_json::json!({ "image": images.current });
    platform.patch(&patch).unwrap();
    let after = platform
        .watch(
            "the release to serve, its last stage included",
            RELEASE,
            |seen| {
                let status = &seen["status"];
                Ok(
                    status["observedGeneration"] == seen["metadata"]["generation"]
                        && status["candidate"].is_null()
                        && status["stable"]["optimised"] == true,
                )
            },
        )
        .unwrap();
    let writes = second.log().unwrap();
    let writes = writes
        .lines()
        .filter(|line| line.contains("\"applying\"") && line.contains("acme"));
    assert!(
        writes.count() >= 5,
        "the second operator hardly acted, so this shows nothing:\n{}",
        second.log().unwrap()
    );
    assert_eq!(
        scenario::condition(&after, "Ready"),
        "True",
        "{}",
        after["status"]
    );
    the_database_says_once(platform);
    one_job_a_step(platform, &after);
}

/// By the ledger of the database itself.
fn the_database_says_once(platform: &Platform) {
    for service in ["customer", "sales"] {
        let twice = format!(
            "select count(*) from (select number, phase from {service}.schema_migration group by 1, 2 having count(*) > 1) twice"
        );
        assert_eq!(platform.sql(&twice).unwrap(), "0", "{service}");
        let undone =
            format!("select count(*) from {service}.schema_migration where state <> 'done'");
        assert_eq!(platform.sql(&undone).unwrap(), "0", "{service}");
    }
    let applied = "select count(*) from customer.schema_migration where number = 2 and state = 'done' and phase in ('expand', 'contract')";
    assert_eq!(
        platform.sql(applied).unwrap(),
        "2",
        "expand and contract of the new release"
    );
}

/// One Job for each step of a migration, the first of its name, and one entry in the history.
fn one_job_a_step(platform: &Platform, after: &Value) {
    let jobs = platform
        .list("jobs", "crmplatform.io/track=migration")
        .unwrap();
    let names: Vec<_> = jobs
        .iter()
        .map(|job| job["metadata"]["name"].as_str().unwrap())
        .collect();
    assert!(!names.is_empty(), "the Jobs of both releases are kept");
    assert!(
        names.iter().all(|name| name.ends_with("-1")),
        "a second Job for one step: {names:?}"
    );
    let mut steps: BTreeMap<String, u32> = BTreeMap::new();
    for release in after["status"]["releases"].as_array().unwrap() {
        for stage in release["stages"].as_array().unwrap() {
            for job in stage["jobs"].as_array().into_iter().flatten() {
                let step = format!("{} {} {}", release["release"], stage["name"], job["step"]);
                *steps.entry(step).or_default() += 1;
            }
        }
    }
    assert!(steps.values().all(|count| *count == 1), "{steps:?}");
}
