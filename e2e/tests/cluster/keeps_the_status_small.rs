//! However much tests have to say and however often they are tried, the status stays within 32 KiB, and what a person needs is still in it.

use std::cell::Cell;

use serde_json::{Value, json};

use crate::setting::{INSTALL, RELEASE, Setting, newest, stage};

/// The most bytes of a status.
const LIMIT: usize = 32 * 1024;
const TESTS: usize = 10;
const TRIES: i64 = 1;
const ROUNDS: i64 = 3;

/// Could not run, and says so at the greatest length that a termination message may have.
const SCRIPT: &str = r#"words=$(printf '<%.0s' {1..300}); case="{\"name\":\"a case with a long name\",\"message\":\"$words\"}"
printf '{"message":"it could not run: %s","tests":10,"failed":10,"firstFailures":[%s,%s,%s,%s,%s,%s]}' "$words" "$case" "$case" "$case" "$case" "$case" "$case" > /dev/termination-log; exit 2"#;

/// Bytes of a status as the API server stores it.
fn bytes(platform: &Value) -> usize {
    let text = platform["status"].to_string();
    let escaped = text
        .chars()
        .filter(|letter| "<>&".contains(*letter))
        .count();
    text.len() + 5 * escaped
}

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn keeps_the_status_small() {
    let setting = Setting::new("small-status");
    let platform = &setting.platform;
    let mut object = platform.sample(&setting.images.current).unwrap();
    let tests = object["spec"]["tests"].clone();
    let wordy = |index: usize| {
        json!({ "name": format!("wordy-{index}"), "when": ["Gate"], "image": setting.images.postgres, "attempts": TRIES,
            "args": ["bash", "-c", SCRIPT] })
    };
    object["spec"]["tests"] = (0..TESTS).map(wordy).collect();
    platform.apply(&object).unwrap();
    let most = Cell::new(0);
    for round in 1..=ROUNDS {
        let held = platform
            .watch(&format!("hold {round}"), INSTALL, |platform| {
                let bytes = bytes(platform);
                assert!(bytes <= LIMIT, "{bytes} bytes: {}", platform["status"]);
                most.set(most.get().max(bytes));
                Ok(platform["status"]["stage"] == "Held" && newest(platform)["round"] == round)
            })
            .unwrap();
        // By which Jobs it was held is in the status, whatever else had to go.
        let jobs = stage(&held, "Gate")["jobs"].as_array().unwrap();
        let last = |job: &&Value| job["attempt"].as_i64() == Some((round - 1) * 100 + TRIES);
        let last: Vec<_> = jobs.iter().filter(last).collect();
        assert_eq!(last.len(), TESTS, "{}", held["status"]);
        let mut verdicts = last.iter().map(|job| &job["verdict"]);
        assert!(
            verdicts.any(|verdict| verdict == "Inconclusive"),
            "{jobs:?}"
        );
        for job in last {
            // The first that gave up held it; others may still run.
            let verdict = &job["verdict"];
            assert!(verdict.is_null() || verdict == "Inconclusive", "{job}");
            assert!(job["uid"].is_string() && job["job"].is_string(), "{job}");
        }
        if round < ROUNDS {
            let value = format!("ops: try {round}");
            platform.annotate("crmplatform.io/retry", &value).unwrap();
        }
    }
    // Without a bound it would have been larger.
    assert!(most.get() > LIMIT / 2, "{} bytes at most", most.get());
    platform.patch(&json!({ "tests": tests })).unwrap();
    let served = platform.wait_ready(RELEASE).unwrap();
    assert!(bytes(&served) <= LIMIT);
    assert_eq!(served["status"]["dora"]["deployments"], 1);
    let delivery = &served["status"]["delivery"];
    assert_eq!(
        delivery["total"],
        newest(&served)["delivery"]["total"],
        "{delivery}"
    );
}
