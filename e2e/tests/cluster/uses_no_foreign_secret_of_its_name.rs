//! A Secret that somebody else made under a name of the platform's own is never used: its password would go to whoever may write a platform of that name. Of the
//! platform's own ones the key of the tests is made again when it is lost; passwords are not, because the database would not know them.

use e2e::scenario::{Platform, message, reason};
use serde_json::Value;

use crate::setting::{INSTALL, Setting};

const FOREIGN: &str = "acme-db-app";

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn uses_no_foreign_secret_of_its_name() {
    let setting = Setting::new("foreign-secret");
    let platform = &setting.platform;
    let literal = "--from-literal=password=of-somebody-else";
    platform
        .kubectl(&["create", "secret", "generic", FOREIGN, literal])
        .unwrap();
    let object = platform.sample(&setting.images.current).unwrap();
    platform.apply(&object).unwrap();
    let (stalled, why) = platform.wait_stalled(60).unwrap();
    assert_eq!(why, "SecretNotUsable");
    let told = message(&stalled, "Stalled");
    assert!(
        told.contains(FOREIGN) && told.contains("under another name"),
        "{told}"
    );
    let own = "crmplatform.io/platform=acme";
    let made = platform.list("pods,jobs,statefulsets", own).unwrap();
    assert!(made.is_empty(), "{made:?}");

    platform.kubectl(&["delete", "secret", FOREIGN]).unwrap();
    platform.wait_ready(INSTALL).unwrap();
    let pods = platform.live_pods().unwrap();

    let identity = uid(platform, "acme-identity").unwrap();
    platform
        .kubectl(&["delete", "secret", "acme-identity"])
        .unwrap();
    platform
        .watch("the key to be made again", 60, |_| {
            Ok(uid(platform, "acme-identity").is_some_and(|new| new != identity))
        })
        .unwrap();

    platform.kubectl(&["delete", "secret", FOREIGN]).unwrap();
    let lost = |seen: &Value| reason(seen, "Stalled") == "SecretNotUsable";
    let seen = platform.wait("the loss to be told", 60, lost).unwrap();
    let told = message(&seen, "Stalled");
    assert!(
        told.contains(FOREIGN) && told.contains("not made anew"),
        "{told}"
    );
    assert_eq!(uid(platform, FOREIGN), None);
    assert_eq!(
        platform.live_pods().unwrap(),
        pods,
        "what serves is left alone"
    );
}

/// Which Secret of a name is there.
fn uid(platform: &Platform, name: &str) -> Option<String> {
    let found = platform.list("secrets", "app.kubernetes.io/managed-by=crm-operator");
    let found = found.unwrap();
    let named = found
        .iter()
        .find(|secret| secret["metadata"]["name"] == name);
    named.map(|secret| secret["metadata"]["uid"].to_string())
}
