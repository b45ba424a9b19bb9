//! New tags in the registry become releases by themselves and pass the same gate. A bad one is rejected once and then left alone, also under other
//! tags; a newer one goes on.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::Duration;

use e2e::scenario::{Platform, Repository, condition};
use serde_json::{Value, json};

use crate::setting::{RELEASE, Setting, newest, stage};

/// Seconds from one look at the registry to the next.
const INTERVAL: u64 = 10;

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn ignores_a_rejected_tag() {
    let setting = Setting::new("new-tags");
    let (platform, images) = (&setting.platform, &setting.images);
    let repository = Repository::new(&setting.cluster, "followed");
    repository.push(&images.previous, "1.0.0").unwrap();
    let first = repository.image("1.0.0");
    setting.installed(&first, |object| {
        object["spec"]["imageUpdate"] =
            json!({ "semver": ">=1.0.0 <2.0.0", "intervalSeconds": INTERVAL });
    });

    let good = repository.push(&images.current, "1.1.0").unwrap();
    let seen = serving(platform, &good);
    assert_eq!(stage(&seen, "Gate")["verdict"], "Passed");
    assert_eq!(
        seen["spec"]["image"],
        json!(first),
        "the spec is the user's"
    );
    assert_eq!(
        seen["status"]["imageUpdate"]["image"],
        json!(repository.image("1.1.0"))
    );

    let pods = platform.live_pods().unwrap();
    repository.push(&images.faulty, "1.2.0").unwrap();
    let (seen, reason) = platform.wait_stalled(RELEASE).unwrap();
    assert_eq!(reason, "TestsFailed", "{}", seen["status"]);
    let (bad, jobs) = (newest(&seen)["release"].clone(), jobs(platform));
    repository.push(&images.faulty, "1.2.1").unwrap();
    sleep(Duration::from_secs(3 * INTERVAL));
    let seen = platform.get().unwrap();
    assert_eq!(newest(&seen)["release"], bad, "{}", seen["status"]);
    nothing_began(platform, &jobs);
    assert_eq!(
        platform.live_pods().unwrap(),
        pods,
        "stable's pods were touched"
    );

    let fixed = repository.push_rebuilt(&images.current, "1.2.2").unwrap();
    assert_ne!(fixed, good);
    serving(platform, &fixed);
    let jobs = self::jobs(platform);
    repository.push(&images.faulty, "1.2.3").unwrap();
    let passed_over = |seen: &Value| seen["status"]["imageUpdate"]["passedOver"] == "1.2.3";
    let seen = platform
        .wait("the rejected image to be passed over", 60, passed_over)
        .unwrap();
    assert_eq!(condition(&seen, "Ready"), "True", "{}", seen["status"]);
    sleep(Duration::from_secs(2 * INTERVAL));
    nothing_began(platform, &jobs);
}

/// No Job is there that was not there before, but those that tidy up or are of the last stage.
fn nothing_began(platform: &Platform, before: &BTreeSet<String>) {
    let now = jobs(platform);
    let mut began = now.difference(before);
    let is_harmless = |job: &String| job.contains("remove-scratch") || job.contains("optimise");
    assert!(began.all(is_harmless), "{:?}", now.difference(before));
}

/// Waits until the image of a digest serves.
fn serving(platform: &Platform, digest: &str) -> Value {
    platform
        .wait("the new tag to serve", RELEASE, |seen| {
            let image = seen["status"]["stable"]["images"][0]["image"].as_str();
            image.is_some_and(|image| image.ends_with(digest)) && condition(seen, "Ready") == "True"
        })
        .unwrap()
}

/// Names of the platform's Jobs.
fn jobs(platform: &Platform) -> BTreeSet<String> {
    let own = format!("crmplatform.io/platform={}", platform.name);
    let jobs = platform.list("jobs", &own).unwrap();
    let names = jobs
        .iter()
        .filter_map(|job| job["metadata"]["name"].as_str());
    names.map(str::to_owned).collect()
}
