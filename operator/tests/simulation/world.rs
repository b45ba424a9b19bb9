//! A cluster of maps: objects as the API server would store them, and a database of levels.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Duration;

use crm_operator::api::conditions;
use crm_operator::api::status::{Finding, Memory};
use crm_operator::api::{CrmPlatform, CrmPlatformStatus};
use crm_operator::cost::Prices;
use crm_operator::desired::labels;
use crm_operator::observed::{
    Denied, JobView, Listing, Observed, PodView, Resolution, Stamp, WorkloadView, owned,
};
use crm_operator::plan::action::{Created, Object, Target, TargetKind, Write};
use crm_operator::platform::Settings;
use crm_operator::platform::image_update::Tags;
use crm_operator::platform::release::Release;
use crm_operator::status::Unsaved;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::api_server;
use crate::around::Around;
use crate::backups::Volume;
use crate::lag::Lag;
use crate::logs::Reports;

/// What an image of the model is able to do. Its tag is its name.
#[derive(Clone, Copy, Debug)]
pub struct App {
    /// Level of its code.
    pub level: i64,
    /// Exit code of its gate tests.
    pub gate: i32,
    /// Whether a case fails in its report although the exit code and its own words tell of none.
    pub silent: bool,
    /// Exit code of its verification.
    pub verify: i32,
    /// Whether its pods ever become ready in the live Deployment.
    pub starts: bool,
    /// Exit code of its expand, if it fails.
    pub expand: Option<i32>,
    /// Whether its live pods are started again after they were ready.
    pub restless: bool,
    /// Whether an older release fails its tests on the schema that its expand makes.
    pub breaks: bool,
    /// Whether it answers three times as slowly as others.
    pub slow: bool,
}

/// The images that the registry of the model knows.
pub fn app(image: &str) -> App {
    let good = App {
        level: 1,
        gate: 0,
        silent: false,
        verify: 0,
        starts: true,
        expand: None,
        restless: false,
        breaks: false,
        slow: false,
    };
    let name = image.rsplit("sha256:").next().unwrap_or_default();
    match name {
        "v1" => good,
        "v1b" => good,
        "v2" => App { level: 2, ..good },
        "bad" => App {
            level: 2,
            gate: 1,
            ..good
        },
        "silent" => App {
            level: 2,
            silent: true,
            ..good
        },
        "unclear" => App {
            level: 2,
            gate: 2,
            ..good
        },
        "crash" => App {
            level: 2,
            starts: false,
            ..good
        },
        "unverified" => App {
            level: 2,
            verify: 1,
            ..good
        },
        "doubtful" => App {
            level: 2,
            verify: 2,
            ..good
        },
        "restless" => App {
            level: 2,
            restless: true,
            ..good
        },
        "breaking" => App {
            level: 2,
            breaks: true,
            ..good
        },
        "slow" => App {
            level: 2,
            slow: true,
            ..good
        },
        "unmigrated" => App {
            level: 2,
            expand: Some(40),
            ..good
        },
        other => panic!("the model knows no image {other}"),
    }
}

/// Schema of one service in one database.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schema {
    pub level: i64,
    pub floor: i64,
    pub backfilled: i64,
}

/// A Job, its pod, and how often the model has moved it on.
#[derive(Clone, Debug)]
pub struct ModelJob {
    pub job: Job,
    /// What the operator sees of it; made anew when the Job changes.
    pub view: JobView,
    pub uid: String,
    pub moves: u32,
    pub pod: Option<PodView>,
}

/// A Deployment and its pods.
#[derive(Clone, Debug)]
pub struct ModelDeployment {
    pub object: Deployment,
    /// What the operator sees of it; made anew when it changes.
    pub view: WorkloadView,
    pub uid: String,
    pub pods: Vec<PodView>,
    /// When its deadline began to run: it was applied, or a pod was made.
    pub progressed: Timestamp,
    pub overdue: bool,
    /// Pods of this release whose template has changed since.
    pub stale: usize,
}

/// The cluster.
#[derive(Clone)]
pub struct World {
    pub now: Timestamp,
    pub platform: CrmPlatform,
    pub jobs: BTreeMap<String, ModelJob>,
    pub deployments: BTreeMap<String, ModelDeployment>,
    pub services: BTreeMap<String, Service>,
    pub config_maps: BTreeMap<String, ConfigMap>,
    pub secrets: BTreeSet<String>,
    /// What is missing of them is there as somebody else's.
    pub foreign_secret: bool,
    /// Versions of the user's Secrets with the right label; nothing while the watch has shown nothing.
    pub users_secrets: Option<BTreeMap<String, String>>,
    pub revisions: BTreeMap<String, Release>,
    /// All releases that were ever recorded.
    pub known: BTreeMap<String, Release>,
    /// Releases that were stable.
    pub served: BTreeSet<String>,
    pub database: Option<StatefulSet>,
    /// What the operator sees of it; made anew when it changes.
    pub database_view: Option<WorkloadView>,
    pub database_ready: bool,
    /// What is written on each object that is applied, by `Kind/name`.
    pub stamps: BTreeMap<String, Stamp>,
    pub schemas: BTreeMap<(String, String), Schema>,
    /// Releases whose gate Jobs have really ended well, by test.
    pub tested: BTreeSet<(String, String)>,
    /// Steps that compared a release with stable and have really ended well.
    pub compared: BTreeSet<(String, String)>,
    /// Steps that must do so before a release may be live.
    pub to_compare: BTreeSet<(String, String)>,
    /// Jobs by name and UID that have really run to their end on the live database.
    pub live_runs: Vec<(String, String, i64)>,
    pub transcript: Vec<String>,
    pub next_uid: u32,
    /// Somebody removed the status: verdicts that were saved are gone.
    pub forgotten: bool,
    /// Migrations have exit codes and no words.
    pub wordless: bool,
    /// Who changes live Deployments whenever they are put back.
    pub contested: Option<String>,
    /// The registry does not answer.
    pub registry_away: bool,
    /// The database server has no room for another database.
    pub full_server: bool,
    /// How many more contracts of the live database are refused, because a pod of an older release was killed and counts as alive.
    pub refusals: u32,
    /// The API server denies the writes that are described so.
    pub denies: Option<&'static str>,
    /// What the operator's process knows of that.
    pub denied: Option<Denied>,
    /// What was asked for then.
    pub denied_for: (Option<i64>, Option<BTreeMap<String, String>>),
    /// Versions in the registry, and the images behind them.
    pub tags: BTreeMap<&'static str, &'static str>,
    /// Nobody told the operator its own image.
    pub nameless: bool,
    /// Releases that a person let go on without tests.
    pub skipped: BTreeSet<String>,
    /// Releases that a person approved.
    pub approved: BTreeSet<String>,
    /// What the operator's watches do not show yet.
    pub lag: Lag,
    /// What the operator's process has found and not written yet.
    pub unsaved: Option<Unsaved>,
    /// How often the status was written.
    pub saves: u32,
    /// Dumps of the live database.
    pub volume: Volume,
    /// What is kept of the reports and logs of each release.
    pub reports: Reports,
    /// Somebody broke pods that serve.
    pub tampered: bool,
    /// Two of them write at once, the one what the other has taken back.
    pub two_operators: bool,
    /// What stands around the pods.
    pub around: Around,
}

pub fn settings() -> Settings {
    Settings {
        postgres_image: "postgres:15".into(),
        operator_image: Some("registry.example/crm-operator:1".into()),
        images: Default::default(),
        prices: Prices {
            cpu_hour: 0.04,
            memory_gib_hour: 0.005,
        },
    }
}

impl World {
    /// A cluster with one platform whose image is `tag`, with a test in Verify when it is `verified`.
    pub fn new(tag: &str, verified: bool) -> Self {
        let smoke = if verified { "Gate, Verify" } else { "Gate" };
        let spec = format!(
            "
image: registry.example/crm:{tag}
services:
- {{name: customer, args: [serve], migrate: {{args: [migrate]}}, seed: {{args: [seed]}}, resources: {{requests: {{cpu: 100m, memory: 64Mi}}}}}}
- {{name: sales, args: [serve], dependsOn: [customer], migrate: {{args: [migrate]}}}}
database: {{embedded: {{}}}}
tests:
- {{name: acceptance, when: [Gate], report: JUnit, minTests: 10}}
- {{name: smoke, when: [{smoke}]}}
release: {{soakSeconds: 20, progressDeadlineSeconds: 60}}
"
        );
        let mut platform = CrmPlatform::new("acme", serde_saphyr::from_str(&spec).unwrap());
        platform.metadata.namespace = Some("crm".into());
        platform.metadata.uid = Some("0a1b2c3d-platform".into());
        platform.metadata.generation = Some(1);
        Self {
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
            platform,
            jobs: BTreeMap::new(),
            deployments: BTreeMap::new(),
            services: BTreeMap::new(),
            config_maps: BTreeMap::new(),
            secrets: BTreeSet::new(),
            foreign_secret: false,
            users_secrets: Some(BTreeMap::new()),
            revisions: BTreeMap::new(),
            known: BTreeMap::new(),
            served: BTreeSet::new(),
            database: None,
            database_view: None,
            database_ready: false,
            stamps: BTreeMap::new(),
            schemas: BTreeMap::new(),
            tested: BTreeSet::new(),
            compared: BTreeSet::new(),
            to_compare: BTreeSet::new(),
            live_runs: Vec::new(),
            transcript: Vec::new(),
            next_uid: 0,
            forgotten: false,
            wordless: false,
            contested: None,
            registry_away: false,
            full_server: false,
            refusals: 0,
            denies: None,
            denied: None,
            denied_for: (None, None),
            tags: BTreeMap::new(),
            nameless: false,
            skipped: BTreeSet::new(),
            approved: BTreeSet::new(),
            lag: Lag::default(),
            unsaved: None,
            saves: 0,
            volume: Volume::default(),
            reports: Reports::new(),
            tampered: false,
            two_operators: false,
            around: Around::default(),
        }
    }

    pub fn memory(&self) -> Memory {
        self.remembered().clone()
    }

    /// The memory as it is written, without a copy: what is asserted after every write must cost little.
    pub fn remembered(&self) -> &Memory {
        static NOTHING: LazyLock<Memory> = LazyLock::new(Memory::default);
        let status = self.platform.status.as_ref();
        status.map_or(&NOTHING, |status| &status.memory)
    }

    /// What the operator's process goes on from: what is written, and what it has found since.
    pub fn found(&self) -> Memory {
        let saved = self.remembered();
        let found = self.unsaved.as_ref().and_then(|kept| kept.after(saved));
        found.unwrap_or(saved).clone()
    }

    /// A user changes the image.
    pub fn set_image(&mut self, tag: &str) {
        self.platform.spec.image = Some(format!("registry.example/crm:{tag}"));
        self.new_spec();
        self.say(format!("user: sets image {tag}"));
    }

    pub fn new_spec(&mut self) {
        let generation = &mut self.platform.metadata.generation;
        *generation = generation.map(|generation| generation + 1);
    }

    /// What people ask of the platform, as `backoff::asked` tells it apart.
    pub fn asks(&self) -> (Option<i64>, Option<BTreeMap<String, String>>) {
        let metadata = &self.platform.metadata;
        (metadata.generation, metadata.annotations.clone())
    }

    pub fn say(&mut self, line: String) {
        self.transcript.push(line);
    }

    pub fn pass_time(&mut self, seconds: i64) {
        self.now = self
            .now
            .saturating_add(SignedDuration::from_secs(seconds))
            .unwrap();
    }

    fn uid(&mut self) -> String {
        self.next_uid += 1;
        format!("uid-{}", self.next_uid)
    }

    /// What the operator's watches hold.
    pub fn observe(&self) -> Observed {
        self.lag.behind(self.present())
    }

    /// What they would hold if they were up to date.
    pub fn present(&self) -> Observed {
        let tags = self.tags.keys();
        let tags = tags.map(|tag| format!("registry.example/crm:{tag}"));
        let mut references: Vec<_> = tags.collect();
        references.extend(self.platform.spec.image.clone());
        let resolve = |reference: &String| {
            let tag = reference.rsplit(':').next().unwrap();
            let tag = self.tags.get(tag).unwrap_or(&tag);
            (
                reference.clone(),
                Ok(Resolution {
                    image: format!("registry.example/crm@sha256:{tag}"),
                    signed_by: None,
                }),
            )
        };
        let others = self.services.keys().map(|name| format!("Service/{name}"));
        let maps = self.config_maps.keys();
        let others = others.chain(maps.map(|name| format!("ConfigMap/{name}")));
        let others = others.map(|object| {
            let hash = self.stamps[&object].hash.clone();
            (object, hash)
        });
        let others = others.chain(self.around.hashes()).collect();
        let stamps = self.stamps.iter();
        let drifted = stamps.filter_map(|(object, stamp)| {
            let by = stamp.drift.as_ref()?.by.clone();
            Some((object.clone(), by))
        });
        let drifted = drifted.collect();
        let mut pods: Vec<PodView> = self
            .deployments
            .values()
            .flat_map(|deployment| deployment.pods.clone())
            .collect();
        pods.extend(self.jobs.values().filter_map(|job| job.pod.clone()));
        Observed {
            memory: self.found(),
            resolutions: references
                .iter()
                .filter(|_| !self.registry_away)
                .map(resolve)
                .collect(),
            tags: self.listing(),
            releases: self.revisions.clone(),
            record_uids: self
                .revisions
                .keys()
                .map(|id| (id.clone(), format!("record-{id}")))
                .collect(),
            logs: BTreeMap::new(),
            deployments: self
                .deployments
                .iter()
                .map(|(name, deployment)| (name.clone(), self.workload(deployment)))
                .collect(),
            jobs: self
                .jobs
                .iter()
                .map(|(name, job)| (name.clone(), job.view.clone()))
                .collect(),
            pods,
            database: self.database_view.clone().map(|view| WorkloadView {
                complete: self.database_ready,
                ..view
            }),
            others,
            knows_routes: self.around.gateway_api,
            drifted,
            secrets: self.users_secrets.clone(),
            own_secrets: Some(self.secrets.clone()),
            denied: self
                .denied
                .clone()
                .filter(|_| self.denied_for == self.asks()),
        }
    }

    /// What the registry lists, if it is asked.
    fn listing(&self) -> Option<Listing> {
        let update = self.platform.spec.image_update.as_ref()?;
        let tags = Tags::of(self.tags.keys().map(ToString::to_string));
        Some(Listing {
            answer: (!self.registry_away).then(|| Ok(tags.into())),
            again_in: Duration::from_secs(u64::try_from(update.interval_seconds).unwrap()),
        })
    }

    fn workload(&self, deployment: &ModelDeployment) -> WorkloadView {
        let wanted = deployment.object.spec.replicas.unwrap_or(1);
        let release = label(&deployment.object.metadata, labels::RELEASE);
        let ready = deployment
            .pods
            .iter()
            .filter(|pod| pod.phase == "Running")
            .count();
        let all_new = deployment
            .pods
            .iter()
            .all(|pod| pod.release == release && pod.phase == "Running");
        WorkloadView {
            complete: deployment.stale == 0
                && all_new
                && deployment.pods.len() == usize::try_from(wanted).unwrap(),
            available: i32::try_from(ready).unwrap(),
            deadline_exceeded: deployment.overdue,
            contested: self.contested.clone(),
            ..deployment.view.clone()
        }
    }

    /// One write, as the API server would take it.
    pub fn write(&mut self, write: &Write) {
        self.lag.written(write);
        match write {
            Write::Apply(Object::Deployment(object)) => self.apply_deployment(object),
            Write::Apply(Object::StatefulSet(set)) => {
                self.set_database(applied(self.database.as_ref(), &**set));
            }
            Write::Apply(Object::Service(service)) => {
                if !self.two_operators {
                    self.assert_may_select(service);
                }
                let name = name(&service.metadata);
                let stored = applied(self.services.get(&name), &**service);
                self.set_service(&name, stored);
            }
            Write::Apply(Object::ConfigMap(map)) => {
                let name = name(&map.metadata);
                let stored = applied(self.config_maps.get(&name), &**map);
                self.set_config_map(&name, stored);
            }
            Write::Apply(object) => self.apply_around(object),
            Write::KeepReplicas(kept) => self.keep_replicas(kept),
            Write::Create(Created::Job(job)) => self.create_job(job),
            Write::Create(Created::Claim(_)) => self.make_volume(),
            Write::Create(Created::Revision(revision)) => {
                let id = label(&revision.metadata, labels::RELEASE);
                let release =
                    serde_json::from_value(serde_json::to_value(&revision.data).unwrap()).unwrap();
                self.known.insert(id.clone(), release);
                let release = self.known[&id].clone();
                self.revisions.entry(id).or_insert(release);
            }
            Write::CreateSecret(_) if self.foreign_secret => {
                let why = Finding::new(conditions::SECRET_NOT_USABLE, "it is somebody else's");
                self.around.refused = Some(why);
            }
            Write::CreateSecret(recipe) => {
                self.secrets.insert(recipe.name.clone());
            }
            Write::Delete(target) => self.delete(target),
        }
    }

    fn apply_deployment(&mut self, object: &Deployment) {
        let name = name(&object.metadata);
        if labels::is_tried(&label(&object.metadata, labels::TRACK)) {
            self.assert_tried(object);
        }
        let uid = self.uid();
        let scaled = self.is_scaled(&name);
        let key = name.clone();
        let known = self.deployments.get(&name).map(|known| &known.object);
        let is_known = known.is_some();
        let mut stored = applied(known, object);
        let entry = self
            .deployments
            .entry(name.clone())
            .or_insert_with(|| ModelDeployment {
                view: (&stored).into(),
                object: stored.clone(),
                uid,
                pods: Vec::new(),
                progressed: self.now,
                overdue: false,
                stale: 0,
            });
        let before = entry.object.spec.replicas.unwrap_or(1);
        let replicas = stored.spec.replicas.unwrap_or(1);
        assert!(
            !(is_known && scaled) || replicas == before || before == 0,
            "the operator scales Deployment {name} from {before} to {replicas}, which is its autoscaler's"
        );
        stored.spec.replicas = Some(replicas);
        let annotations = |object: &Deployment| {
            let template = object.spec.template.metadata.clone();
            template.and_then(|template| template.annotations)
        };
        let release = |object: &Deployment| label(&object.metadata, labels::RELEASE);
        if annotations(&entry.object) != annotations(&stored)
            && release(&entry.object) == release(&stored)
        {
            entry.stale = entry.pods.len();
        }
        stored.metadata.uid = Some(entry.uid.clone());
        entry.progressed = self.now;
        entry.overdue = false;
        self.set_deployment(&key, stored);
    }

    /// The operator sees an object anew.
    pub fn set_deployment(&mut self, name: &str, object: Deployment) {
        self.stamp("Deployment", &object);
        let seen = self.deployments.get_mut(name).unwrap();
        seen.view = (&object).into();
        seen.object = object;
    }

    pub fn set_service(&mut self, name: &str, object: Service) {
        self.stamp("Service", &object);
        self.services.insert(name.to_owned(), object);
    }

    pub fn set_config_map(&mut self, name: &str, object: ConfigMap) {
        self.stamp("ConfigMap", &object);
        self.config_maps.insert(name.to_owned(), object);
    }

    pub fn set_database(&mut self, object: StatefulSet) {
        self.stamp("StatefulSet", &object);
        self.database_view = Some((&object).into());
        self.database = Some(object);
    }

    fn stamp<K: kube::Resource + serde::Serialize>(&mut self, kind: &str, object: &K) {
        let object_key = format!("{kind}/{}", name(object.meta()));
        self.stamps.insert(object_key, owned::stamp(object));
    }

    fn create_job(&mut self, job: &Job) {
        let name = name(&job.metadata);
        if self.jobs.contains_key(&name) {
            return;
        }
        let uid = self.uid();
        let mut job = stored(job);
        job.metadata.uid = Some(uid.clone());
        job.metadata.creation_timestamp = Some(Time(self.now));
        self.jobs.insert(
            name,
            ModelJob {
                view: (&job).into(),
                job,
                uid,
                moves: 0,
                pod: None,
            },
        );
    }

    fn delete(&mut self, target: &Target) {
        match target.kind {
            TargetKind::Deployment => {
                self.deployments
                    .retain(|name, seen| *name != target.name || seen.uid != target.uid);
            }
            TargetKind::Service => {
                self.services.remove(&target.name);
            }
            kind @ (TargetKind::Autoscaler
            | TargetKind::Budget
            | TargetKind::Policy
            | TargetKind::Ingress
            | TargetKind::Route) => self.around.remove(kind, &target.name),
            TargetKind::Job => {
                if let Some(seen) = self
                    .jobs
                    .get(&target.name)
                    .filter(|seen| seen.uid == target.uid)
                {
                    let live = label(&seen.job.metadata, labels::TRACK) == labels::LIVE_MIGRATION;
                    let ended = seen.job.status.is_some();
                    assert!(
                        !live || ended,
                        "a running migration of the live database was stopped: {}",
                        target.name
                    );
                    self.jobs.remove(&target.name);
                }
            }
            TargetKind::Revision => {
                self.revisions.retain(|id, _| {
                    crm_operator::desired::names::revision("acme", id) != target.name
                });
                // The garbage collector: they belong to the record.
                self.reports.retain(|id, _| self.revisions.contains_key(id));
            }
        }
    }

    /// Whether a release has exactly the code of another: nothing but environment, Secrets and resources of services differ.
    pub fn has_code_of(&self, release: &str, other: &str) -> bool {
        let code = |id: &str| {
            let mut release = serde_json::to_value(self.known.get(id)?).unwrap();
            for service in release["services"].as_array_mut().unwrap() {
                for field in ["env", "secrets", "resources"] {
                    service.as_object_mut().unwrap().remove(field).unwrap();
                }
            }
            Some(release)
        };
        code(release).is_some() && code(release) == code(other)
    }

    pub fn save(&mut self, status: CrmPlatformStatus) {
        let stable = status.memory.stable.iter();
        let stable = stable.map(|stable| stable.release.clone());
        self.served.extend(stable);
        self.platform.status = Some(status);
        self.saves += 1;
    }
}

/// An object after a server-side apply of ours.
fn applied<K: serde::Serialize + serde::de::DeserializeOwned>(live: Option<&K>, object: &K) -> K {
    let live = live.map(|live| serde_json::to_value(live).unwrap());
    let object = serde_json::to_value(object).unwrap();
    let manager = labels::field_manager("acme");
    serde_json::from_value(api_server::apply(live.as_ref(), &object, &manager)).unwrap()
}

/// A Job as the API server gives it back: lists and maps that are empty are not stored.
fn stored(job: &Job) -> Job {
    fn prune(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Object(map) => {
                map.values_mut().for_each(prune);
                map.retain(|_, value| value.as_array().is_none_or(|all| !all.is_empty()));
            }
            serde_json::Value::Array(all) => all.iter_mut().for_each(prune),
            _ => {}
        }
    }
    let mut value = serde_json::to_value(job).unwrap();
    prune(&mut value);
    serde_json::from_value(value).unwrap()
}

pub fn name(metadata: &ObjectMeta) -> String {
    metadata.name.clone().unwrap_or_default()
}

pub fn label(metadata: &ObjectMeta, key: &str) -> String {
    crm_operator::observed::label(metadata, key)
}

impl Drop for World {
    /// A broken promise is told with the story that led to it.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let start = self.transcript.len().saturating_sub(40);
            eprintln!("the story so far:\n{}", self.transcript[start..].join("\n"));
        }
    }
}
