//! What every cluster test starts from: the cluster of this run, the operator installed, and a namespace that goes away when the test has passed.

use std::io::Write;
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use e2e::scenario::{self, Load, Platform};
use e2e::{Cluster, Images};
use serde_json::{Value, json};

/// Seconds within which a first release must serve. Several tests share two cores.
pub const INSTALL: u64 = 420;
/// Seconds within which a second release must be decided.
pub const RELEASE: u64 = 420;

/// All tests share one operator; who kills it must be alone.
static OPERATOR: RwLock<()> = RwLock::new(());

#[expect(dead_code, reason = "held, not read")]
enum Turn {
    Shared(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
}

/// Cluster, images and one platform of a test.
pub struct Setting {
    pub cluster: Cluster,
    pub images: Images,
    pub platform: Platform,
    since: Instant,
    _turn: Turn,
}

impl Setting {
    /// A fresh namespace on the cluster of this run, beside other tests.
    pub fn new(namespace: &str) -> Self {
        // A killer that failed leaves the lock poisoned, and an operator that the kubelet starts again.
        let turn = OPERATOR.read().unwrap_or_else(|poison| poison.into_inner());
        Self::with(namespace, Turn::Shared(turn))
    }

    /// As [`Setting::new`], but no other test runs meanwhile.
    pub fn alone(namespace: &str) -> Self {
        let turn = OPERATOR
            .write()
            .unwrap_or_else(|poison| poison.into_inner());
        Self::with(namespace, Turn::Alone(turn))
    }

    fn with(namespace: &str, turn: Turn) -> Self {
        let since = Instant::now();
        let cluster = Cluster::from_environment().unwrap();
        let images = Images::in_registry(&cluster.registry).unwrap();
        scenario::install_operator(&cluster, &images).unwrap();
        let namespace = format!("e2e-{namespace}");
        remove(&cluster, &namespace, true);
        let platform = Platform::new(&cluster, &namespace, "acme").unwrap();
        Self {
            cluster,
            images,
            platform,
            since,
            _turn: turn,
        }
    }

    /// Applies the sample with `image`, changed by `edit`, and waits until it serves.
    pub fn installed(&self, image: &str, edit: impl Fn(&mut Value)) -> Value {
        let mut object = self.platform.sample(image).unwrap();
        edit(&mut object);
        self.platform.apply(&object).unwrap();
        self.platform.wait_ready(INSTALL).unwrap()
    }
}

impl Setting {
    /// Says how long the test took, past what holds back the output of tests: whoever waits for all of them sees where the time goes.
    fn tell(&self) {
        let (namespace, seconds) = (&self.platform.namespace, self.since.elapsed().as_secs());
        let line = format!("{namespace} took {seconds} s\n");
        std::io::stderr().write_all(line.as_bytes()).ok();
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        self.tell();
        // What failed stays, to be looked at.
        if !std::thread::panicking() {
            remove(&self.cluster, &self.platform.namespace, false);
        }
    }
}

fn remove(cluster: &Cluster, namespace: &str, wait: bool) {
    let mut kubectl = cluster.kubectl(180);
    kubectl.args([
        "delete",
        "namespace",
        namespace,
        "--ignore-not-found",
        &format!("--wait={wait}"),
    ]);
    e2e::command::output(&mut kubectl).unwrap();
}

/// Deletes the platform.
pub fn delete(platform: &Platform) {
    platform
        .kubectl(&["delete", "crmplatform", "acme", "--timeout=50s"])
        .unwrap();
}

/// Waits until nothing of these kinds is left of the platform.
pub fn wait_until_gone(platform: &Platform, kinds: &str) {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let left = platform
            .list(kinds, "crmplatform.io/platform=acme")
            .unwrap();
        if left.is_empty() {
            break;
        }
        let names: Vec<_> = left
            .iter()
            .map(|object| format!("{} {}", object["kind"], object["metadata"]["name"]))
            .collect();
        assert!(
            Instant::now() < deadline,
            "120 s after the platform was deleted these are left: {names:?}"
        );
        std::thread::sleep(Duration::from_secs(1));
    }
}

impl Setting {
    /// The tests of a platform, and one that fails when a canary has half of the requests. A test is told no step; the name of its Job holds it.
    pub fn failing_at_half(&self, platform: &Value) -> Vec<Value> {
        let mut tests = platform["spec"]["tests"].as_array().unwrap().clone();
        let script = "case $(hostname) in *-canary-50-*) exit 1 ;; esac";
        tests.push(json!({ "name": "doomed", "when": ["Verify"], "image": self.images.postgres, "args": ["sh", "-c", script] }));
        tests
    }
}

/// Stops the traffic: of at least `least` requests none failed, and none was answered with something else than what had been written.
pub fn unharmed(load: Load, least: u64) {
    let traffic = load.stop().unwrap();
    let summary = &traffic.summary;
    assert_eq!((traffic.failed, traffic.wrong), (0, 0), "{summary}");
    assert!(
        traffic.requests >= least,
        "only {} requests: {summary}",
        traffic.requests
    );
    println!("{summary}");
}

/// The record of the newest release.
pub fn newest(platform: &Value) -> &Value {
    &platform["status"]["releases"][0]
}

/// A stage of the newest release.
pub fn stage<'a>(platform: &'a Value, name: &str) -> &'a Value {
    let stages = newest(platform)["stages"].as_array();
    stages
        .into_iter()
        .flatten()
        .find(|stage| stage["name"] == name)
        .unwrap_or(&Value::Null)
}
