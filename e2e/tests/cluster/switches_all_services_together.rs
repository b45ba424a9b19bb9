//! BlueGreen under load: all Services go over at once to a full second set of pods, and back at once to the first, which still runs; no request fails.

use e2e::scenario;
use serde_json::{Value, json};

use crate::setting::{RELEASE, Setting, unharmed};

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn switches_all_services_together() {
    let setting = Setting::new("switches");
    let platform = &setting.platform;
    let before = setting.installed(&setting.images.previous, |object| {
        // The way back must not meet a schema whose old columns are gone.
        object["spec"]["release"] = json!({ "soakSeconds": 1800, "strategy": { "type": "BlueGreen", "scaleDownDelaySeconds": 600 } });
    });
    let blue = platform.live_pods().unwrap();
    let load = platform.start_load(&setting.images.current, 20).unwrap();
    platform
        .patch(&json!({ "image": setting.images.current }))
        .unwrap();
    let mut apart = 0;
    let mut slots = Vec::new();
    let after =
        platform
            .watch("the release to serve", RELEASE, |platform_now| {
                let now = slots_of(&platform.list("services", LIVE)?);
                // The second Service is written some milliseconds after the first.
                apart = if now.len() > 1 { apart + 1 } else { 0 };
                assert!(apart < 2, "services are served from several slots: {now:?}");
                if now.len() == 1 && slots.last() != now.first() {
                    slots.extend(now);
                }
                Ok(platform_now["status"]["stable"]["release"]
                    != before["status"]["stable"]["release"])
            })
            .unwrap();
    assert_eq!(slots, ["blue", "green"]);
    assert_eq!(after["status"]["stable"]["slot"], "Green");
    let both = platform.live_pods().unwrap();
    assert!(
        both.len() == 2 * blue.len() && blue.iter().all(|uid| both.contains(uid)),
        "the pods that served before still run: {blue:?} of {both:?}"
    );

    // A way back is refused while the live database is being migrated.
    platform
        .watch("the backfill to end", 120, |platform_now| {
            let jobs = platform.list("jobs", "crmplatform.io/track=migration")?;
            let ended = |job: &Value| job["status"]["conditions"].is_array();
            let message = scenario::message(platform_now, "Ready");
            Ok(message.contains("to have served") && jobs.iter().all(ended))
        })
        .unwrap();
    let first = before["status"]["stable"]["release"].as_str().unwrap();
    platform
        .annotate(
            "crmplatform.io/rollback-to",
            &format!("{first} ops: back again"),
        )
        .unwrap();
    platform
        .wait("the first release to serve again", RELEASE, |platform| {
            platform["status"]["stable"]["release"] == first
        })
        .unwrap();
    assert_eq!(
        slots_of(&platform.list("services", LIVE).unwrap()),
        ["blue"]
    );
    let again = platform.live_pods().unwrap();
    assert!(
        blue.iter().all(|uid| again.contains(uid)),
        "it went back to the pods that still ran: {blue:?} of {again:?}"
    );
    unharmed(load, 100);

    let shorter = json!({ "release": { "strategy": { "scaleDownDelaySeconds": 0 } } });
    platform.patch(&shorter).unwrap();
    platform
        .watch("the other pods to go", 120, |_| {
            let mut left = platform.live_pods()?;
            left.retain(|uid| !blue.contains(uid));
            Ok(left.is_empty())
        })
        .unwrap();
}

const LIVE: &str = "crmplatform.io/platform=acme,crmplatform.io/track=stable";

/// The slots that live Services select, each once.
fn slots_of(services: &[Value]) -> Vec<String> {
    let slots = services.iter().map(|service| {
        let slot = &service["spec"]["selector"]["crmplatform.io/slot"];
        slot.as_str().unwrap_or("both").to_owned()
    });
    let mut slots: Vec<_> = slots.collect();
    slots.sort();
    slots.dedup();
    slots
}
