//! A canary behind a real Gateway (Contour and Envoy), with all traffic through it. Without the Gateway API a condition tells what is missing, and the release is not held up.
//! With it, the canary gets the share that its step says, of the requests that Envoy counts; when its tests fail it gets none any more, and without the failing test all.
//! No request fails.

use std::time::Duration;

use e2e::scenario::{self, Gateway, Platform};
use serde_json::{Value, json};

use crate::setting::{RELEASE, Setting, unharmed};

/// Seconds for which the requests are counted: shorter than the step.
const COUNTED: u64 = 15;

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn a_gateway_gives_a_canary_its_share() {
    let setting = Setting::new("gateway");
    let platform = &setting.platform;
    Gateway::remove(&setting.cluster).unwrap();
    let known = Gateway::is_known(&setting.cluster).unwrap();
    let steps = json!([{ "weight": 20, "seconds": COUNTED + 10 }, { "weight": 50, "seconds": 5 }]);
    let before = setting.installed(&setting.images.previous, |object| {
        let spec = &mut object["spec"];
        spec["release"] = json!({ "strategy": { "type": "Canary", "steps": steps } });
        spec["exposure"] =
            json!({ "hosts": [Gateway::host(platform)], "gateway": { "name": "public" } });
    });
    if known {
        println!("somebody's Gateway API is there to stay: what is told without one is not shown");
    } else {
        exposed(platform, "GatewayApiMissing");
    }

    let gateway = Gateway::install(platform).unwrap();
    exposed(platform, "RoutesMade");
    gateway.accepts().unwrap();
    stops_at_the_failing_step(&setting, &gateway, &before);
    goes_to_its_end(&setting, &gateway, &before);

    Gateway::remove(&setting.cluster).unwrap();
}

/// The operator asks once in a minute whether the API is there.
fn exposed(platform: &Platform, wanted: &str) {
    let what = format!("Exposed with the reason {wanted}");
    platform
        .wait(&what, 120, |platform| {
            scenario::reason(platform, "Exposed") == wanted
        })
        .unwrap();
}

fn stops_at_the_failing_step(setting: &Setting, gateway: &Gateway<'_>, before: &Value) {
    let platform = &setting.platform;
    let load = through(setting);
    let tests = setting.failing_at_half(before);
    platform
        .patch(&json!({ "image": setting.images.current, "tests": tests }))
        .unwrap();
    at(platform, 20);
    let share = share(gateway);
    assert!((12.0..28.0).contains(&share), "{share} % instead of 20 %");
    let (after, reason) = platform.wait_stalled(RELEASE).unwrap();
    assert_eq!(reason, "CanaryFailed", "{}", after["status"]);
    assert_eq!(
        after["status"]["stable"]["release"],
        before["status"]["stable"]["release"]
    );
    let (_, canary) = counts(gateway);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(counts(gateway).1, canary, "the canary is out of the route");
    println!("Envoy refused: {}", gateway.refusals().unwrap());
    unharmed(load, 400);
}

fn goes_to_its_end(setting: &Setting, gateway: &Gateway<'_>, before: &Value) {
    let platform = &setting.platform;
    let load = through(setting);
    platform
        .patch(&json!({
            "tests": before["spec"]["tests"],
            "release": { "strategy": { "steps": [{ "weight": 50, "seconds": 5 }] } }
        }))
        .unwrap();
    let after = platform.wait_ready(RELEASE).unwrap();
    assert_ne!(
        after["status"]["stable"]["release"],
        before["status"]["stable"]["release"]
    );
    let (stable, canary) = counts(gateway);
    std::thread::sleep(Duration::from_secs(3));
    let later = counts(gateway);
    assert!(
        later.0 > stable && later.1 == canary,
        "all requests come by the live Services again: {later:?}"
    );
    // The pods of the release before stay for a while, without requests.
    platform
        .watch("the pods of the release before to go", RELEASE, |_| {
            let blue = platform.list("pods", "crmplatform.io/slot=blue")?;
            Ok(blue.is_empty())
        })
        .unwrap();
    println!("Envoy refused: {}", gateway.refusals().unwrap());
    unharmed(load, 400);
}

fn through(setting: &Setting) -> e2e::scenario::Load {
    let host = Gateway::host(&setting.platform);
    let load = setting
        .platform
        .start_load_by(&host, &setting.images.current, 30);
    load.unwrap()
}

/// Waits until the canary has its share by the route, as the status and the route itself say.
fn at(platform: &Platform, weight: i64) {
    let has = |shift: &Value| shift["weight"] == weight && shift["readyAt"].is_string();
    let what = format!("a canary with {weight} %");
    platform
        .watch(&what, RELEASE, |platform_now| {
            let shift = &platform_now["status"]["candidate"]["shift"];
            Ok(has(shift) && shift["routed"] == true && routed(platform)? == [weight, weight])
        })
        .unwrap();
}

/// What each rule of the route gives to its canary.
fn routed(platform: &Platform) -> anyhow::Result<Vec<i64>> {
    let route = platform.kubectl(&["get", "httproute", "acme", "--output=json"])?;
    let route: Value = serde_json::from_str(&route)?;
    let rules = route["spec"]["rules"].as_array().into_iter().flatten();
    Ok(rules
        .filter_map(|rule| rule["backendRefs"][1]["weight"].as_i64())
        .collect())
}

/// Percent of the requests that the canary gets.
fn share(gateway: &Gateway<'_>) -> f64 {
    // Until Envoy has heard of the route.
    std::thread::sleep(Duration::from_secs(3));
    let before = counts(gateway);
    std::thread::sleep(Duration::from_secs(COUNTED));
    let after = counts(gateway);
    let (stable, canary) = (after.0 - before.0, after.1 - before.1);
    assert!(stable + canary > 200, "{before:?} {after:?}");
    #[expect(clippy::cast_precision_loss, reason = "some hundred requests")]
    let share = 100.0 * canary as f64 / (stable + canary) as f64;
    println!("{canary} of {} requests: {share:.1} %", stable + canary);
    share
}

/// Requests that Envoy has sent to the live Services, and to those of a canary.
fn counts(gateway: &Gateway<'_>) -> (u64, u64) {
    let all = gateway.requests().unwrap();
    let (canary, stable): (Vec<_>, Vec<_>) = all
        .iter()
        .partition(|(service, _)| service.ends_with("-preview"));
    let sum = |of: Vec<(&String, &u64)>| of.into_iter().map(|(_, count)| count).sum();
    (sum(stable), sum(canary))
}
