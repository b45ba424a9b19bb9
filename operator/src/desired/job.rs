//! Jobs: migrations, seeding and tests. Created under a name that says all, never patched.

use k8s_openapi::api::batch::v1::Job;
use serde_json::{Value, json};

use super::environment::{self, Role};
use super::{
    SERVICE_USER, Scope, Track, container_security, labels, names, object, pod_security, report,
};
use crate::api::status::Stage;
use crate::platform::release::{ReleaseMigration, ReleaseService, ReleaseTest};

/// Seconds for the short Jobs that make, fill or drop a scratch database.
pub(super) const SCRATCH_DEADLINE_SECONDS: i32 = 300;

/// Exit codes of a test that found nothing out. Its Job ends at once; whether there is another try is decided by who reads them.
pub const UNCLEAR: [i32; 4] = [2, 3, 126, 127];

/// What a Job is for: stage, step within it, and how often it was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Stage of the release.
    pub stage: Stage,
    /// Unique within the release.
    pub name: String,
    /// From 1.
    pub attempt: i32,
}

/// Tells a contract for how long its release has served at the least.
pub const SOAKED_SECONDS: &str = "CRM_SOAKED_SECONDS";

/// One phase of a service's migration. A rehearsal brings the scratch database to stable's level with stable's own.
pub fn migration(scope: Scope<'_>, step: &Step, work: &Migration<'_>) -> Job {
    let mut env = environment::database(scope, Role::Migrator, work.track);
    env.extend(environment::roles(scope));
    env.extend([
        environment::variable("CRM_PHASE", work.phase),
        environment::variable("CRM_SERVICE", &work.service.name),
        environment::variable("CRM_RELEASE", scope.id),
        environment::variable("CRM_TRACK", environment::track_name(work.track)),
    ]);
    match work.track {
        Track::Live | Track::Preview => env.push(environment::variable(
            SOAKED_SECONDS,
            &work.soaked_seconds.to_string(),
        )),
        Track::Scratch | Track::Beside => env.push(environment::variable("CRM_REHEARSAL", "true")),
    }
    let track = match work.track {
        Track::Live | Track::Preview => labels::LIVE_MIGRATION,
        Track::Scratch | Track::Beside => labels::CANDIDATE,
    };
    let container = json!({ "image": work.service.image, "args": work.migration.args, "env": env, "resources": work.service.resources });
    job(
        scope,
        step,
        Shape {
            service: &work.service.name,
            track,
            container,
            deadline: work.migration.deadline_seconds,
            tries: 3,
            final_codes: &[10, 30, 40, 50],
            volume: None,
            collector: None,
        },
    )
}

/// A phase of a migration on one database.
#[derive(Clone, Copy, Debug)]
pub struct Migration<'a> {
    /// The service, of the release whose image migrates.
    pub service: &'a ReleaseService,
    /// Its migration.
    pub migration: &'a ReleaseMigration,
    /// `expand`, `backfill`, `verify`, `contract` or `mask`.
    pub phase: &'a str,
    /// Which database.
    pub track: Track,
    /// Seconds the release has served; only contract looks at it.
    pub soaked_seconds: i64,
}

/// Synthetic rows for a scratch database.
pub fn seed(scope: Scope<'_>, step: &Step, service: &ReleaseService, args: &[String]) -> Job {
    let mut env: Vec<Value> = service
        .env
        .iter()
        .map(|entry| environment::variable(&entry.name, &entry.value))
        .collect();
    env.push(environment::variable("CRM_SERVICE", &service.name));
    env.extend(environment::database(scope, Role::App, Track::Scratch));
    env.extend(environment::delivery(scope, Track::Scratch));
    let container =
        json!({ "image": service.image, "args": args, "env": env, "resources": service.resources });
    job(
        scope,
        step,
        Shape {
            service: &service.name,
            track: labels::CANDIDATE,
            container,
            deadline: SCRATCH_DEADLINE_SECONDS,
            tries: 1,
            final_codes: &[],
            volume: None,
            collector: None,
        },
    )
}

/// A test. It gets addresses and a key, never the database.
pub fn test(scope: Scope<'_>, step: &Step, test: &ReleaseTest, track: Track) -> Job {
    pointed(scope, step, (test, environment::delivery(scope, track)))
}

/// A test that finds what it tests by these variables.
pub(super) fn pointed(
    scope: Scope<'_>,
    step: &Step,
    (test, mut env): (&ReleaseTest, Vec<Value>),
) -> Job {
    env.push(environment::signing_key(scope));
    env.push(environment::variable("CRM_REPORT_DIR", report::FOLDER));
    // Where the operator's image is not known, no Job of such a test is made (`plan::gate`).
    let image = scope.platform.settings.operator_image.as_deref();
    let image = image.filter(|_| test.report.is_some());
    let bytes = report::share(scope.release);
    let collector = image.map(|image| report::container(image, bytes));
    let resources = scope
        .release
        .services
        .first()
        .map(|service| json!(service.resources));
    let container =
        json!({ "image": test.image, "args": test.args, "env": env, "resources": resources });
    job(
        scope,
        step,
        Shape {
            service: "",
            track: labels::CANDIDATE,
            container,
            deadline: test.deadline_seconds,
            tries: test.attempts,
            final_codes: &UNCLEAR,
            volume: None,
            collector,
        },
    )
}

/// What Jobs differ in.
pub(super) struct Shape<'a> {
    /// Service it works for, or nothing.
    pub service: &'a str,
    /// Track on its label.
    pub track: &'a str,
    /// Image, command, environment and resources.
    pub container: Value,
    /// Deadline in seconds.
    pub deadline: i32,
    /// Pods that may fail.
    pub tries: i32,
    /// Exit codes that end the Job at once: trying again would find the same.
    pub final_codes: &'a [i32],
    /// Another volume and where it is mounted.
    pub volume: Option<(Value, Value)>,
    /// The container that reads its report.
    pub collector: Option<Value>,
}

pub(super) fn job(scope: Scope<'_>, step: &Step, shape: Shape<'_>) -> Job {
    let mut all = labels::with_release(labels::platform(&scope.platform.name), scope.id);
    all.insert(labels::TRACK.to_owned(), json!(shape.track));
    all.insert(labels::STAGE.to_owned(), json!(step.stage.name()));
    if !shape.service.is_empty() {
        all.insert(labels::SERVICE.to_owned(), json!(shape.service));
    }
    // By the stage on its pods NetworkPolicies know a test, which must not reach the database. What is no test belongs to the rehearsal also where the gate runs it.
    let mut of_pods = all.clone();
    if step.stage == Stage::Gate && !shape.service.is_empty() {
        of_pods.insert(labels::STAGE.to_owned(), json!(Stage::Rehearse.name()));
    }
    // The first rule that fits counts: a pod that was evicted may end with any code.
    let mut rules = vec![
        json!({ "action": "Ignore", "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }] }),
    ];
    if !shape.final_codes.is_empty() {
        rules.push(json!({ "action": "FailJob", "onExitCodes": { "containerName": "main", "operator": "In", "values": shape.final_codes } }));
    }
    let mut container = shape.container;
    container["name"] = json!("main");
    container["securityContext"] = container_security();
    container["terminationMessagePolicy"] = json!("FallbackToLogsOnError");
    let mut mounts = vec![
        json!({ "name": "tmp", "mountPath": "/tmp" }),
        json!({ "name": report::CONTAINER, "mountPath": report::FOLDER }),
    ];
    let mut volumes = vec![
        json!({ "name": "tmp", "emptyDir": {} }),
        report::volume(shape.collector.is_some()),
    ];
    if let Some((volume, mount)) = shape.volume {
        volumes.push(volume);
        mounts.push(mount);
    }
    container["volumeMounts"] = json!(mounts);
    object(json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": { "name": names::job(scope, step), "namespace": scope.platform.namespace, "labels": all, "ownerReferences": [scope.platform.owner] },
        "spec": {
            "backoffLimit": shape.tries - 1,
            "activeDeadlineSeconds": shape.deadline,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": { "rules": rules },
            "template": {
                "metadata": { "labels": of_pods },
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": false,
                    "enableServiceLinks": false,
                    "securityContext": pod_security(SERVICE_USER),
                    "initContainers": shape.collector.map(|collector| [collector]),
                    "containers": [container],
                    "volumes": volumes
                }
            }
        }
    }))
}
