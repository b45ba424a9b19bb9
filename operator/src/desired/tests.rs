//! Every object of a small platform: the whole as a snapshot, and the promises that must hold of each.

use k8s_openapi::api::batch::v1::Job;
use serde_json::{Value, json};

mod around;
mod beside;
mod dumps;
mod report;

use super::job::{Migration, Step};
use super::service::Pods;
use super::*;
use crate::api::status::{ResolvedImage, Slot, Stage};
use crate::api::{CrmPlatform, CrmPlatformSpec};
use crate::cost::Prices;
use crate::platform::Settings;

const SPEC: &str = "
image: registry.example/crm:1
services:
- name: customer
  args: [serve]
  env: [{name: CRM_LOG, value: info}]
  secrets: [mail]
  migrate: {args: [migrate]}
  seed: {args: [seed]}
  resources: {requests: {cpu: 50m, memory: 32Mi}, limits: {memory: 64Mi}}
- {name: sales, dependsOn: [customer], replicas: 3}
database: {embedded: {storage: 1Gi}}
tests: [{name: smoke, when: [Gate, Verify], args: [test]}]
";
const ID: &str = "r0123456789";

fn platform(spec: &str) -> (Platform, Release) {
    let spec: CrmPlatformSpec = serde_saphyr::from_str(spec).unwrap();
    let mut object = CrmPlatform::new("acme", spec);
    object.metadata.namespace = Some("crm".into());
    object.metadata.uid = Some("0a1b2c3d-0000".into());
    object.metadata.labels =
        Some([("argocd.argoproj.io/instance".to_owned(), "crm".to_owned())].into());
    let settings = Settings {
        postgres_image: "registry.example/postgres:15".into(),
        operator_image: Some("registry.example/crm-operator:1".into()),
        images: Default::default(),
        prices: Prices {
            cpu_hour: 1.0,
            memory_gib_hour: 1.0,
        },
    };
    let platform = Platform::parse(&object, &settings).unwrap();
    let images = platform
        .references()
        .into_iter()
        .map(|reference| ResolvedImage {
            image: format!("{}@sha256:aa", reference.rsplit_once(':').unwrap().0),
            reference,
            signed_by: None,
        });
    let release = platform.wanted(&images.collect::<Vec<_>>()).unwrap();
    (platform, release)
}

fn step(stage: Stage, name: &str) -> Step {
    Step {
        stage,
        name: name.into(),
        attempt: 1,
    }
}

fn migration(scope: Scope<'_>, track: Track) -> Job {
    let service = &scope.release.services[0];
    let work = Migration {
        service,
        migration: service.migrate.as_ref().unwrap(),
        phase: "expand",
        track,
        soaked_seconds: 60,
    };
    let stage = match track {
        Track::Live | Track::Preview => Stage::Migrate,
        Track::Scratch | Track::Beside => Stage::Rehearse,
    };
    job::migration(scope, &step(stage, "expand-customer"), &work)
}

/// Every object that has pods, and the addresses.
fn all(scope: Scope<'_>) -> Vec<Value> {
    let customer = &scope.release.services[0];
    let test = &scope.release.tests[0];
    vec![
        json!(database::stateful_set(scope.platform, None)),
        json!(database::config_map(scope.platform)),
        json!(database::service(scope.platform)),
        json!(deployment::live(scope, customer, Slot::Blue, Some(2))),
        json!(service::live(scope, customer, (Pods::Of(Slot::Blue), None))),
        json!(deployment::live(scope, customer, Slot::Green, Some(2))),
        json!(service::live(scope, customer, (Pods::Both, None))),
        json!(service::preview(scope, customer, Slot::Green)),
        json!(deployment::candidate(scope, customer)),
        json!(service::candidate(scope, customer)),
        json!(scratch::create(scope, &step(Stage::Rehearse, "scratch"))),
        json!(job::seed(
            scope,
            &step(Stage::Rehearse, "seed-customer"),
            customer,
            &["seed".into()]
        )),
        json!(migration(scope, Track::Scratch)),
        json!(migration(scope, Track::Live)),
        json!(job::test(
            scope,
            &step(Stage::Gate, "smoke"),
            test,
            Track::Scratch
        )),
        json!(job::test(
            scope,
            &step(Stage::Verify, "smoke"),
            test,
            Track::Live
        )),
        json!(job::test(
            scope,
            &step(Stage::Rollout, "canary-25-smoke"),
            test,
            Track::Preview
        )),
        json!(revision::revision(scope)),
    ]
}

/// Every object that is applied, of a platform that writes what it can in an unusual form.
pub(crate) fn applied() -> Vec<Value> {
    let spec = SPEC
        .replace("value: info}]", "value: info}, {name: EMPTY, value: ''}]")
        .replace("cpu: 50m, memory: 32Mi", "cpu: 1000m, memory: 1024Mi");
    let (platform, release) = platform(&spec);
    let scope = Scope {
        platform: &platform,
        id: ID,
        release: &release,
    };
    let bare = &release.services[1];
    let mut all = all(scope);
    all.push(json!(deployment::live(scope, bare, Slot::Blue, Some(2))));
    all.retain(|object| {
        let kinds = ["Deployment", "StatefulSet", "Service", "ConfigMap"];
        kinds.iter().any(|kind| object["kind"] == *kind)
    });
    all.extend(around::applied());
    all
}

#[test]
fn a_new_form_of_the_hash_restarts_no_pod() {
    for mut object in applied() {
        let template = object["spec"]["template"].clone();
        object["metadata"]["annotations"][labels::HASH] = json!("0123456789abcdef");
        assert!(!template.to_string().contains(labels::HASH), "{template}");
    }
}

fn with_scope(check: impl FnOnce(Scope<'_>)) {
    let (platform, release) = platform(SPEC);
    check(Scope {
        platform: &platform,
        id: ID,
        release: &release,
    });
}

fn pod(object: &Value) -> Option<&Value> {
    object.pointer("/spec/template/spec")
}

fn containers(object: &Value) -> Vec<Value> {
    let pod = pod(object).unwrap();
    ["containers", "initContainers"]
        .iter()
        .flat_map(|kind| pod[*kind].as_array().cloned().unwrap_or_default())
        .collect()
}

/// Names of the Secrets that the containers of an object read.
fn secrets(object: &Value) -> Vec<String> {
    let mut names: Vec<_> = containers(object)
        .iter()
        .flat_map(|container| container["env"].as_array().cloned().unwrap_or_default())
        .filter_map(|variable| variable.pointer("/valueFrom/secretKeyRef/name").cloned())
        .map(|name| name.as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names.dedup();
    names
}

fn database_name(object: &Value) -> Value {
    let env = containers(object)[0]["env"].as_array().unwrap().clone();
    let found = env.iter().find(|variable| variable["name"] == "PGDATABASE");
    found.cloned().unwrap_or_default()
}

#[test]
fn all_objects_of_a_small_platform() {
    with_scope(|scope| {
        let text: Vec<_> = all(scope)
            .iter()
            .map(|object| serde_saphyr::to_string(object).unwrap())
            .collect();
        insta::assert_snapshot!(text.join("---\n"));
    });
}

/// What the `restricted` Pod Security level asks for, and more: a root that is read only, and no token.
fn assert_restricted(object: &Value) {
    let (name, pod) = (&object["metadata"]["name"], pod(object).unwrap());
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
    let seccomp = &pod["securityContext"]["seccompProfile"]["type"];
    assert_eq!(seccomp, "RuntimeDefault", "{name}");
    assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
    for container in containers(object) {
        let security = &container["securityContext"];
        assert_eq!(security["allowPrivilegeEscalation"], false, "{name}");
        assert_eq!(security["readOnlyRootFilesystem"], true, "{name}");
        let dropped = json!({ "drop": ["ALL"] });
        assert_eq!(security["capabilities"], dropped, "{name}");
    }
}

#[test]
fn every_pod_is_admitted_at_the_restricted_level() {
    with_scope(|scope| {
        let mut objects = all(scope);
        objects.push(json!(scratch::copy(scope, &step(Stage::Rehearse, "copy"))));
        let removal = step(Stage::Rehearse, "remove-scratch");
        objects.push(json!(scratch::remove(scope, &removal)));
        objects.retain(|object| pod(object).is_some());
        assert_eq!(objects.len(), 13);
        objects.iter().for_each(assert_restricted);
    });
}

#[test]
fn everything_belongs_to_its_platform_and_carries_no_label_of_a_gitops_tool() {
    with_scope(|scope| {
        for object in all(scope) {
            let metadata = &object["metadata"];
            assert_eq!(
                metadata["labels"][labels::MANAGED_BY],
                labels::MANAGER,
                "{metadata}"
            );
            assert_eq!(metadata["labels"][labels::PLATFORM], "acme", "{metadata}");
            assert_eq!(
                metadata["labels"]["argocd.argoproj.io/instance"],
                Value::Null
            );
            assert_eq!(
                metadata["ownerReferences"][0]["uid"], "0a1b2c3d-0000",
                "{metadata}"
            );
            assert_eq!(
                metadata["ownerReferences"][0]["controller"], true,
                "{metadata}"
            );
        }
    });
}

#[test]
fn only_migrations_get_the_role_that_changes_the_schema() {
    with_scope(|scope| {
        let customer = &scope.release.services[0];
        assert_eq!(secrets(&json!(migration(scope, Track::Live))), ["acme-db"]);
        for pods in [
            deployment::live(scope, customer, Slot::Blue, Some(2)),
            deployment::candidate(scope, customer),
        ] {
            assert_eq!(secrets(&json!(pods)), ["acme-db-app", "acme-identity"]);
        }
        let test = &scope.release.tests[0];
        for track in [Track::Live, Track::Scratch] {
            let job = json!(job::test(scope, &step(Stage::Gate, "smoke"), test, track));
            assert_eq!(
                secrets(&job),
                ["acme-identity"],
                "a test never meets the database"
            );
        }
    });
}

#[test]
fn what_belongs_to_a_candidate_knows_its_scratch_database_only() {
    with_scope(|scope| {
        let customer = &scope.release.services[0];
        let scratch = json!({ "name": "PGDATABASE", "value": "scratch_0a1b2c3d_r0123456789" });
        let candidates = [
            json!(deployment::candidate(scope, customer)),
            json!(job::seed(
                scope,
                &step(Stage::Rehearse, "seed"),
                customer,
                &[]
            )),
            json!(migration(scope, Track::Scratch)),
        ];
        for object in candidates {
            assert_eq!(
                database_name(&object),
                scratch,
                "{}",
                object["metadata"]["name"]
            );
        }
        let live = database_name(&json!(migration(scope, Track::Live)));
        assert_eq!(live["valueFrom"]["secretKeyRef"]["key"], "dbname");
    });
}

#[test]
fn no_live_address_leads_to_a_candidate() {
    with_scope(|scope| {
        let customer = &scope.release.services[0];
        let selects = |service: &Value, pods: &Value| {
            let labels = &pods["spec"]["template"]["metadata"]["labels"];
            let selector = service["spec"]["selector"].as_object().unwrap();
            selector.iter().all(|(key, value)| labels[key] == *value)
        };
        let (live, candidate) = (
            json!(deployment::live(scope, customer, Slot::Blue, Some(2))),
            json!(deployment::candidate(scope, customer)),
        );
        let address = json!(service::live(scope, customer, (Pods::Of(Slot::Blue), None)));
        assert!(selects(&address, &live) && !selects(&address, &candidate));
        let address = json!(service::candidate(scope, customer));
        assert!(!selects(&address, &live) && selects(&address, &candidate));
        let green = json!(deployment::live(scope, customer, Slot::Green, Some(2)));
        let both = json!(service::live(scope, customer, (Pods::Both, None)));
        assert!(selects(&both, &live) && selects(&both, &green) && !selects(&both, &candidate));
        let preview = json!(service::preview(scope, customer, Slot::Green));
        assert!(!selects(&preview, &live) && selects(&preview, &green));
        assert!(!selects(&preview, &candidate));
        let selector = &live["spec"]["selector"]["matchLabels"];
        assert_eq!(
            selector[labels::RELEASE],
            Value::Null,
            "a selector cannot change with the release"
        );
    });
}

#[test]
fn a_fingerprint_stands_for_what_a_job_runs() {
    let (platform, release) = platform(SPEC);
    let of = |id: &str, release: &Release| {
        let scope = Scope {
            platform: &platform,
            id,
            release,
        };
        fingerprint(&job::test(
            scope,
            &step(Stage::Gate, "smoke"),
            &release.tests[0],
            Track::Scratch,
        ))
    };
    let before = of(ID, &release);
    assert_eq!(before, of(ID, &release.clone()));
    assert_ne!(
        before,
        of("r9876543210", &release),
        "the release is part of the environment"
    );
    let mut changed = release.clone();
    changed.tests[0].image = "registry.example/crm@sha256:bb".into();
    assert_ne!(before, of(ID, &changed));
    changed = release.clone();
    changed.tests[0].args = vec!["true".into()];
    assert_ne!(before, of(ID, &changed));
    changed = release;
    changed.tests[0].deadline_seconds += 1;
    assert_eq!(
        before,
        of(ID, &changed),
        "a deadline changes nothing that runs"
    );
}

#[test]
fn a_database_of_the_user_is_reached_by_the_users_secrets() {
    let spec = SPEC.replace(
        "embedded: {storage: 1Gi}",
        "secret: crm-migrator, appSecret: crm-app",
    );
    let (platform, release) = platform(&spec);
    let scope = Scope {
        platform: &platform,
        id: ID,
        release: &release,
    };
    assert_eq!(
        secrets(&json!(migration(scope, Track::Live))),
        ["crm-app", "crm-migrator"],
        "of the role that serves a migration knows the name"
    );
    let pods = json!(deployment::live(
        scope,
        &release.services[0],
        Slot::Blue,
        Some(2)
    ));
    assert_eq!(secrets(&pods), ["acme-identity", "crm-app"]);
    let names: Vec<_> = database::secrets(&platform)
        .into_iter()
        .map(|recipe| recipe.name)
        .collect();
    assert_eq!(names, ["acme-identity"], "no password is made for it");
}
