//! Jobs that stand under the names of our tests before we make them, and have passed: each differs in one thing from the one that we would make. None is believed,
//! each is named, and nothing is rolled out. A copy that differs in nothing counts, as one does that was made right before a crash.

use e2e::scenario::Platform;
use serde_json::{Value, json};

use crate::flask;
use crate::setting::{INSTALL, RELEASE, Setting, newest, stage};

type Forgery = (&'static str, &'static str, fn(&mut Value, &Value));

/// Name of the test, what is found, and what is forged; the second argument is the object of another platform.
const FORGERIES: [Forgery; 6] = [
    ("nobodys", "does not own it", |job, _| {
        job["metadata"]["ownerReferences"] = json!([]);
    }),
    ("anothers", "does not own it", |job, other| {
        job["metadata"]["ownerReferences"][0]["name"] = other["metadata"]["name"].clone();
        job["metadata"]["ownerReferences"][0]["uid"] = other["metadata"]["uid"].clone();
    }),
    ("older", "belongs to another release", |job, _| {
        job["metadata"]["labels"]["crmplatform.io/release"] = json!("rzzzzzzzzzz");
    }),
    ("image", "runs another image", |job, _| {
        let image = container(job)["image"].as_str().unwrap().to_owned();
        // What stands behind a tag may change after it was tested.
        let (repository, _) = image.split_once('@').unwrap();
        container(job)["image"] = json!(format!("{repository}:1"));
    }),
    (
        "command",
        "runs another image, other arguments",
        |job, _| {
            container(job)["command"] = json!(["true"]);
        },
    ),
    ("address", "or another environment", |job, _| {
        let env = container(job)["env"].as_array_mut().unwrap();
        let address = env
            .iter_mut()
            .find(|variable| variable["name"] == "CRM_HELLO_URL");
        address.unwrap()["value"] = json!("http://elsewhere:8080");
    }),
];
/// A test whose Job is copied as it is.
const COPIED: &str = "copied";

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn refuses_a_foreign_job_of_our_name() {
    let setting = Setting::new("forgeries");
    let honest = &setting.platform;
    let forged = Platform {
        name: format!("{}-two", honest.name),
        ..honest.clone()
    };
    let names = FORGERIES.map(|(name, ..)| name);
    let tests = names.iter().chain([&COPIED]);
    let tests = json!(tests.map(|name| flask::test(name, "")).collect::<Vec<_>>());
    let image = &setting.images.flask;
    honest
        .apply(&flask::platform(honest, image, 1, &tests))
        .unwrap();
    let mut object = flask::platform(&forged, image, 1, &tests);
    object["spec"]["paused"] = json!(true);
    forged.apply(&object).unwrap();
    let other = honest.wait_ready(INSTALL).unwrap();
    let owner = forged.get().unwrap();
    // The same inputs have the same id, so the names that the second platform will need are known.
    let release = newest(&other)["release"].as_str().unwrap();
    let forge = Forge {
        platforms: (honest, &forged),
        owner: &owner,
        release,
    };
    forge.copy_keys();
    for (name, _, change) in FORGERIES {
        forge.copy(name, |job| change(job, &other));
    }
    forge.copy(COPIED, |_| {});
    forge.wait_until_passed();

    forged.patch(&json!({ "paused": false })).unwrap();
    let (held, reason) = forged.wait_stalled(RELEASE).unwrap();
    assert_eq!(reason, "JobNotOurs", "{}", held["status"]);
    assert_eq!(held["status"]["stage"], "Held");
    assert_eq!(newest(&held)["release"], release);
    let jobs = stage(&held, "Gate")["jobs"].as_array().unwrap();
    let found = |name: &str| jobs.iter().find(|job| job["step"] == name).unwrap();
    for (name, why, _) in FORGERIES {
        let job = found(name);
        assert_eq!(job["verdict"], "Inconclusive", "{job}");
        let message = job["message"].as_str().unwrap();
        assert!(
            message.contains("stands in the way") && message.contains(why),
            "{name}: {message}"
        );
    }
    assert_eq!(found(COPIED)["verdict"], "Passed", "{}", found(COPIED));
    assert!(forged.live_pods().unwrap().is_empty());
}

/// Makes Jobs for one platform from those of another.
struct Forge<'p> {
    /// Whose Jobs are copied, and for whom.
    platforms: (&'p Platform, &'p Platform),
    /// The object that owns a copy.
    owner: &'p Value,
    release: &'p str,
}

impl Forge<'_> {
    /// The same object for the second platform: names, labels and addresses hold the name of the platform.
    fn renamed(&self, kind: &str, name: &str) -> Value {
        let (from, to) = self.platforms;
        let text = from.kubectl(&["get", kind, name, "--output=json"]).unwrap();
        let text = text.replace(&from.name, &to.name);
        let mut object: Value = serde_json::from_str(&text).unwrap();
        let metadata = &mut object["metadata"];
        metadata["ownerReferences"][0]["uid"] = self.owner["metadata"]["uid"].clone();
        for field in ["uid", "resourceVersion", "creationTimestamp", "generation"] {
            remove(metadata, field);
        }
        // Unseen by the operator's watches, which clear away what is left of a forgotten try: it meets each when it makes its own.
        remove(&mut metadata["labels"], "app.kubernetes.io/managed-by");
        object
    }

    /// The Secret without which no copy could run. Without all labels it would not be used.
    fn copy_keys(&self) {
        let (from, to) = self.platforms;
        let mut keys = self.renamed("secret", &format!("{}-identity", from.name));
        keys["metadata"]["labels"]["app.kubernetes.io/managed-by"] = json!("crm-operator");
        to.apply(&keys).unwrap();
    }

    /// The Job of a test as the operator will make it for the second platform, changed by `change`.
    fn copy(&self, test: &str, change: impl Fn(&mut Value)) {
        let (from, to) = self.platforms;
        let name = format!("{}-{}-gate-{test}-1", from.name, self.release);
        let mut job = self.renamed("job", &name);
        remove(&mut job["spec"], "selector");
        for label in ["controller-uid", "job-name"] {
            for prefix in ["", "batch.kubernetes.io/"] {
                let label = format!("{prefix}{label}");
                remove(&mut job["metadata"]["labels"], &label);
                remove(&mut job["spec"]["template"]["metadata"]["labels"], &label);
            }
        }
        remove(&mut job, "status");
        change(&mut job);
        to.apply(&job).unwrap();
    }

    /// Waits until each copy has passed.
    fn wait_until_passed(&self) {
        let (_, to) = self.platforms;
        let mut all = vec!["wait", "--for=condition=Complete", "--timeout=55s"];
        let names = FORGERIES.map(|(name, ..)| name);
        let names = names.iter().chain([&COPIED]);
        let names: Vec<_> = names
            .map(|test| format!("job/{}-{}-gate-{test}-1", to.name, self.release))
            .collect();
        all.extend(names.iter().map(String::as_str));
        to.kubectl(&all).unwrap();
    }
}

fn container(job: &mut Value) -> &mut Value {
    &mut job["spec"]["template"]["spec"]["containers"][0]
}

fn remove(object: &mut Value, key: &str) {
    if let Some(object) = object.as_object_mut() {
        object.remove(key);
    }
}
