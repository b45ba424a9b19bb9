//! In a freeze window a release is tested and then waits, with the reason of the window in its status and nothing live changed. When the window ends it goes on
//! by itself. Users notice nothing.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use e2e::scenario::{Platform, message, reason};
use serde_json::{Value, json};

use crate::setting::{RELEASE, Setting, stage, unharmed};

/// Seconds that a window must have left when it is set, so that it is seen before it ends.
const ROOM: u64 = 15;

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn freezes_and_thaws() {
    let setting = Setting::new("freezes");
    let platform = &setting.platform;
    let image = &setting.images.current;
    let mut object = platform.sample(image).unwrap();
    let tests = object["spec"]["tests"].as_array_mut().unwrap();
    tests.retain(|test| test["name"] == "smoke");
    platform.apply(&object).unwrap();
    platform.wait_ready(RELEASE).unwrap();
    let pods = platform.live_pods().unwrap();
    let load = platform.start_load(image, 20).unwrap();

    // One window after the other, each a minute longer than the time to the next.
    object["spec"]["release"]["freeze"] =
        json!([{ "schedule": "* * * * *", "durationMinutes": 2, "reason": "the fair" }]);
    // Another test is another release, and more than configuration: it is gated.
    object["spec"]["tests"][0]["deadlineSeconds"] = json!(250);
    platform.apply(&object).unwrap();
    let frozen = platform.wait("the freeze", RELEASE, is_frozen).unwrap();
    assert!(
        message(&frozen, "Ready").contains("(the fair)"),
        "{}",
        message(&frozen, "Ready")
    );
    assert_eq!(stage(&frozen, "Gate")["verdict"], "Passed");
    let release = frozen["status"]["candidate"]["release"].as_str().unwrap();
    untouched(platform, &frozen, release, &pods);

    object["spec"]["release"]["freeze"] = json!([ending_soon()]);
    platform.apply(&object).unwrap();
    let waiting = platform
        .wait("the window that ends", 60, |seen| {
            is_frozen(seen) && message(seen, "Ready").contains("(stocktaking)")
        })
        .unwrap();
    untouched(platform, &waiting, release, &pods);
    let told = message(&waiting, "Ready");
    let (_, ends) = told.split_once("nothing live is changed before ").unwrap();
    let (ends, _) = ends.split_once(' ').unwrap();
    let thawed = platform.wait_ready(RELEASE).unwrap();
    unharmed(load, 100);
    let began = stage(&thawed, "Migrate")["startedAt"].as_str().unwrap();
    assert!(began >= ends, "it went on at {began}, before {ends}");
    assert!(stage(&thawed, "Approve")["humanWaitSeconds"].is_i64());
    assert_eq!(thawed["status"]["stable"]["release"], release);
}

fn is_frozen(platform: &Value) -> bool {
    platform["status"]["observedGeneration"] == platform["metadata"]["generation"]
        && reason(platform, "Ready") == "Frozen"
}

/// The same pods serve, and nothing of the release has met the live database.
fn untouched(platform: &Platform, seen: &Value, release: &str, pods: &[String]) {
    assert!(stage(seen, "Migrate").is_null(), "{}", seen["status"]);
    assert_eq!(platform.live_pods().unwrap(), pods);
    let live = format!("crmplatform.io/release={release},crmplatform.io/track=migration");
    assert!(platform.list("jobs", &live).unwrap().is_empty());
}

/// A window that began with this minute, or the one before, and ends soon.
fn ending_soon() -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let end = (now + Duration::from_secs(ROOM)).as_secs() / 60 + 1;
    let begin = now.as_secs() / 60;
    let schedule = format!("{} {} * * *", begin % 60, begin / 60 % 24);
    json!({ "schedule": schedule, "durationMinutes": end - begin, "timeZone": "UTC", "reason": "stocktaking" })
}
