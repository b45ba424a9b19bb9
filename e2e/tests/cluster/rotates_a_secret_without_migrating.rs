//! A Secret of the user: without its label nothing of a release is made; when it changes, pods are started again in order, under load, and nothing is tested or
//! migrated anew. New configuration is verified and not gated again.

use serde_json::{Value, json};

use crate::setting::{INSTALL, RELEASE, Setting, newest, stage, unharmed};

const SECRET: &str = "acme-settings";
/// Seconds after which contract may run: a little more than the migration asks for itself.
const SOAK: i64 = 12;

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn rotates_a_secret_without_migrating() {
    let setting = Setting::new("rotates");
    let platform = &setting.platform;
    let literal = "--from-literal=ACME_SETTING=one";
    platform
        .kubectl(&["create", "secret", "generic", SECRET, literal])
        .unwrap();
    let mut object = platform.sample(&setting.images.current).unwrap();
    for service in object["spec"]["services"].as_array_mut().unwrap() {
        service["secrets"] = json!([SECRET]);
    }
    // Optimised early, so that no Job of that stage comes later.
    object["spec"]["release"]["soakSeconds"] = json!(SOAK);
    platform.apply(&object).unwrap();
    let (stalled, reason) = platform.wait_stalled(60).unwrap();
    assert_eq!(reason, "SecretNotUsable");
    let message = e2e::scenario::message(&stalled, "Stalled");
    let command = format!("label secret {SECRET} crmplatform.io/usable-by=acme");
    assert!(
        message.contains("spec.services[customer].secrets") && message.contains(&command),
        "{message}"
    );
    assert!(jobs(&setting).is_empty(), "nothing is made before");

    platform
        .kubectl(&["label", "secret", SECRET, "crmplatform.io/usable-by=acme"])
        .unwrap();
    platform.wait_ready(INSTALL).unwrap();
    let before = platform
        .wait("the last stage to end", RELEASE, |platform| {
            platform["status"]["stable"]["optimised"] == true
        })
        .unwrap();

    let (pods, made) = (platform.live_pods().unwrap(), jobs(&setting));
    let load = platform.start_load(&setting.images.current, 20).unwrap();
    let patch = json!({ "stringData": { "ACME_SETTING": "two" } }).to_string();
    platform
        .kubectl(&["patch", "secret", SECRET, "--patch", &patch])
        .unwrap();
    platform
        .watch("all pods to be new", RELEASE, |_| {
            let of = |service: &str| -> anyhow::Result<Vec<String>> {
                let selector =
                    format!("crmplatform.io/service={service},crmplatform.io/track=stable");
                let pods = platform.list("pods", &selector)?;
                // Its Deployment is done with a pod once that is on its way out.
                let stays = |pod: &&Value| pod["metadata"]["deletionTimestamp"].is_null();
                let uid = |pod: &Value| pod["metadata"]["uid"].as_str().unwrap().to_owned();
                Ok(pods.iter().filter(stays).map(uid).collect())
            };
            // The later one first: what is new there must have been new in the other before.
            let sales = of("sales")?;
            let customer = of("customer")?;
            let is_old = |uid: &String| pods.contains(uid);
            assert!(
                sales.iter().all(is_old) || !customer.iter().any(is_old),
                "sales before customer: {customer:?} {sales:?} {pods:?}"
            );
            Ok(!sales.iter().chain(&customer).any(is_old))
        })
        .unwrap();
    let after = platform.wait_ready(RELEASE).unwrap();
    unharmed(load, 100);
    assert_eq!(jobs(&setting), made, "nothing is tested or migrated again");
    assert_eq!(
        after["status"]["stable"]["release"],
        before["status"]["stable"]["release"]
    );

    object["spec"]["services"][1]["env"] = json!([{ "name": "ACME_MODE", "value": "loud" }]);
    platform.apply(&object).unwrap();
    let configured = platform.wait_ready(RELEASE).unwrap();
    assert_eq!(
        newest(&configured)["codeOf"],
        before["status"]["stable"]["release"]
    );
    assert_eq!(stage(&configured, "Gate")["verdict"], "Skipped");
    assert_eq!(stage(&configured, "Verify")["verdict"], "Passed");
    let mut new = jobs(&setting);
    new.retain(|job| !made.contains(job));
    assert!(
        !new.is_empty() && new.iter().all(|job| job.contains("-verify-")),
        "new configuration is verified and nothing else: {new:?}"
    );
}

fn jobs(setting: &Setting) -> Vec<String> {
    let jobs = setting
        .platform
        .list("jobs", "crmplatform.io/platform=acme")
        .unwrap();
    let name = |job: &Value| job["metadata"]["name"].as_str().unwrap().to_owned();
    jobs.iter().map(name).collect()
}
