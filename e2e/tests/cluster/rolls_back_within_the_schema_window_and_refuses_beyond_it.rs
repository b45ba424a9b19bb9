//! `rollback-to` brings an earlier release back without its gate, which it has passed, and without a failed request, while the schema allows it; once old columns are
//! dropped it is refused.

use std::thread::sleep;
use std::time::{Duration, Instant};

use e2e::scenario::{Platform, condition, message};
use serde_json::{Value, json};

use crate::setting::{RELEASE, Setting, newest, stage, unharmed};

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn rolls_back_within_the_schema_window_and_refuses_beyond_it() {
    let setting = Setting::new("rollback");
    let platform = &setting.platform;
    let first = setting.installed(&setting.images.previous, |_| {});
    let first = newest(&first)["release"].as_str().unwrap().to_owned();
    platform
        .patch(&json!({ "image": setting.images.current, "release": { "soakSeconds": 3600 } }))
        .unwrap();
    // Contract must not close the window before the request.
    let second = platform
        .wait("the rows moved", RELEASE, |platform| {
            condition(platform, "Ready") == "True" && backfilled(platform)
        })
        .unwrap();
    let second = newest(&second)["release"].as_str().unwrap().to_owned();
    let serves = |release: String| {
        move |platform: &Value| platform["status"]["stable"]["release"] == release.as_str()
    };

    let load = platform.start_load(&setting.images.current, 20).unwrap();
    ask(platform, &format!("{first} ops: slower than before"));
    let after = platform
        .wait("the first release", RELEASE, serves(first.clone()))
        .unwrap();
    assert_eq!(stage(&after, "Gate")["verdict"], "Skipped");
    unharmed(load, 100);
    let ready = platform
        .wait("word of it", RELEASE, |platform| {
            condition(platform, "Stalled") == "True"
        })
        .unwrap();
    assert_eq!(ready["status"]["rejected"][0]["reason"], "RolledBack");

    // The same spec again, tried as any release, and its contract soon.
    platform
        .patch(&json!({ "release": { "soakSeconds": 20 } }))
        .unwrap();
    platform
        .annotate("crmplatform.io/retry", "ops: it was the network")
        .unwrap();
    platform
        .wait("contract on the live database", RELEASE, |platform| {
            platform["status"]["stable"]["release"] == second.as_str()
                && platform["status"]["stable"]["optimised"] == true
        })
        .unwrap();
    let pods = platform.live_pods().unwrap();
    ask(platform, &format!("{first} ops: slower still"));
    let refused = platform
        .wait("the refusal", RELEASE, |platform| {
            platform["status"]["rejected"][0]["release"] == first.as_str()
        })
        .unwrap();
    assert_eq!(
        refused["status"]["rejected"][0]["reason"], "BelowSchemaFloor",
        "{}",
        refused["status"]
    );
    assert_eq!(platform.live_pods().unwrap(), pods);
    // Whoever asked finds it where they look.
    let answer = &refused["status"]["lastHandledRollbackTo"]["result"];
    for told in [answer.as_str().unwrap(), &message(&refused, "Ready")] {
        assert!(told.contains("did not come to serve again"), "{told}");
    }
}

fn backfilled(platform: &Value) -> bool {
    let schema = platform["status"]["schema"].as_array();
    schema.is_some_and(|steps| steps.iter().any(|step| step["phase"] == "backfill"))
}

/// Asks for a rollback as a person does: again while the operator tells them to, because a migration that has just ended is still seen.
fn ask(platform: &Platform, request: &str) {
    let deadline = Instant::now() + Duration::from_secs(RELEASE);
    for time in 1.. {
        let value = format!("{request}, asked {time} times");
        platform
            .annotate("crmplatform.io/rollback-to", &value)
            .unwrap();
        let handled = platform
            .wait("an answer", RELEASE, |platform| {
                platform["status"]["lastHandledRollbackTo"]["value"] == value.as_str()
            })
            .unwrap();
        let answer = &handled["status"]["lastHandledRollbackTo"]["result"];
        let answer = answer.as_str().unwrap();
        if !answer.starts_with("nothing was done") {
            return;
        }
        let may_wait = answer.contains("ask again") && Instant::now() < deadline;
        assert!(may_wait, "{value}: {answer}");
        sleep(Duration::from_secs(3));
    }
}
