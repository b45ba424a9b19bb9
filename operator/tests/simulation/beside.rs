//! Stable and candidate side by side in the model: the copy of the scratch database, the tests that run there, and what is promised of their pods.

use crm_operator::api::spec::{TestPhase, TestSpec};
use crm_operator::api::status::{Memory, Stage, StageRecord};
use crm_operator::desired::{labels, names};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use serde_json::json;

use crate::Run;
use crate::stories::STORIES;
use crate::world::{Schema, World, app, label, name};

const UID: &str = "0a1b2c3d-platform";

/// The step of a Job that runs a test of stable's.
pub fn compat_step(job: &str) -> Option<&str> {
    let start = job.find("stable-after-")?;
    Some(&job[start..job.rfind('-')?])
}

/// Whether an address leads to the pods of a Deployment.
fn selects(address: &Service, pods: &Deployment) -> bool {
    let selector = address.spec.as_ref().and_then(|spec| spec.selector.clone());
    let template = pods.spec.template.metadata.as_ref();
    let labels = template.unwrap().labels.clone().unwrap_or_default();
    let mut selector = selector.iter().flatten();
    selector.all(|(key, value)| labels.get(key) == Some(value))
}

/// The database of a Deployment's pods; nothing where a Secret names it, which is the live one.
fn database(pods: &Deployment) -> Option<String> {
    let pod = pods.spec.template.spec.as_ref().unwrap();
    let mut env = pod.containers[0].env.iter().flatten();
    let found = env.find(|variable| variable.name == "PGDATABASE");
    found.and_then(|variable| variable.value.clone())
}

impl World {
    /// A user asks for stable's acceptance test on each new schema, and for a comparison of speed.
    pub fn ask_for_comparisons(&mut self) {
        let tests = &mut self.platform.spec.tests;
        tests[0].when.push(TestPhase::Compat);
        let load = r#"{"name": "load", "when": ["Performance"], "maxRegressionPercent": 20}"#;
        tests.push(serde_json::from_str::<TestSpec>(load).unwrap());
    }

    /// Whether stable stands beside the candidate.
    pub fn is_comparing(&self) -> bool {
        let mut all = self.deployments.values();
        all.any(|seen| label(&seen.object.metadata, labels::TRACK) == labels::BESIDE_STABLE)
    }

    /// A script of psql on the server.
    pub fn on_server(&mut self, release: &str, script: &str) {
        let scratch = names::scratch_database(UID, release);
        let copy = names::scratch_copy(UID, release);
        assert!(script.contains(&scratch), "{script}");
        let makes_copy = script.contains(" template ");
        self.schemas
            .retain(|(database, _), _| *database != copy && (makes_copy || *database != scratch));
        self.volume.masked.retain(|(database, _)| *database != copy);
        if !makes_copy {
            return;
        }
        let of_scratch: Vec<_> = self.schemas.clone().into_iter().collect();
        for ((database, service), schema) in of_scratch {
            if database == scratch {
                self.schemas.insert((copy.clone(), service), schema);
            }
        }
    }

    /// Before pods are tried: no live database, no real row, and a schema that lets their release serve.
    pub fn assert_tried(&mut self, object: &Deployment) {
        let metadata = &object.metadata;
        let (release, track) = (
            label(metadata, labels::RELEASE),
            label(metadata, labels::TRACK),
        );
        let database = database(object).expect("pods that are tried on the live database");
        let expected = match track.as_str() {
            labels::CANDIDATE => names::scratch_database(UID, &release),
            _ => names::scratch_copy(UID, &release),
        };
        assert_eq!(database, expected, "{}", name(metadata));
        self.assert_masked(&release, &database);
        let pod = object.spec.template.spec.as_ref();
        let level = app(pod.unwrap().containers[0].image.as_deref().unwrap()).level;
        // Where no service migrates, somebody else sees to the schema.
        let migrates = self.platform.spec.services[0].migrate.is_some();
        let none = Schema {
            level,
            floor: level,
            backfilled: level,
        };
        let schema = match migrates {
            true => &self.schemas[&(database, "customer".to_owned())],
            false => &none,
        };
        assert!(
            schema.floor <= level && level <= schema.level,
            "{} has level {level} on schema {schema:?}",
            name(metadata)
        );
        if track == labels::CANDIDATE {
            self.expect_comparisons(&release);
        }
    }

    /// What must have ended well before this release may be live.
    fn expect_comparisons(&mut self, release: &str) {
        let Some(stable) = self.memory().stable else {
            return;
        };
        let has = |id: &str, phase| {
            let known = self.revisions.get(id);
            known.is_some_and(|known| known.tests_in(phase).next().is_some())
        };
        let mut steps = Vec::new();
        if has(&stable.release, TestPhase::Compat) {
            steps.push("stable-after-expand-acceptance");
        }
        if has(release, TestPhase::Performance) {
            steps.push("load");
        }
        let steps = steps.into_iter();
        self.to_compare
            .extend(steps.map(|step| (release.to_owned(), step.to_owned())));
    }

    pub fn assert_compared(&self, name: &str, release: &str) {
        let mut left = self.to_compare.difference(&self.compared);
        let left = left.find(|(of, _)| of == release && !self.skipped.contains(release));
        assert!(
            left.is_none(),
            "Deployment {name} carries a release that was not compared: {left:?}"
        );
    }

    /// Whether the schema of a candidate breaks the release that serves.
    pub fn is_broken(&self, release: &str) -> bool {
        app(&self.revisions[release].services[0].image).breaks
    }

    /// A test of stable's, on the candidate's schema.
    pub fn run_stables_test(&mut self, release: &str, step: &str) -> (i32, String) {
        let copy = (names::scratch_copy(UID, release), "customer".to_owned());
        let schema = &self.schemas[&copy];
        let own = app(&self.revisions[release].services[0].image).level;
        assert_eq!(schema.level, own, "stable is tested on another schema");
        let is_backfilled = schema.backfilled == own;
        assert!(step.contains("backfill") <= is_backfilled, "{step}");
        let code = i32::from(self.is_broken(release));
        (code, json!({ "message": "ended" }).to_string())
    }

    /// A test of the speed of both. It finds nothing wrong itself.
    pub fn measure(&mut self, release: &str, budget: &str) -> (i32, String) {
        assert_eq!(budget, "20");
        let slow = app(&self.revisions[release].services[0].image).slow;
        if !slow {
            self.compared.insert((release.to_owned(), "load".into()));
        }
        let candidate = if slow { 30.0 } else { 10.5 };
        let told = json!({ "performance": { "stableP95Milliseconds": 10.0, "candidateP95Milliseconds": candidate } });
        (0, told.to_string())
    }

    /// No address of users leads to pods that are tried, and none of theirs to any but their own.
    pub fn assert_apart(&self) {
        for (address, service) in &self.services {
            let tried = labels::is_tried(&label(&service.metadata, labels::TRACK));
            for (pods, seen) in &self.deployments {
                let is_own = tried && address == pods;
                let is_live = label(&seen.object.metadata, labels::TRACK) == labels::STABLE;
                assert!(
                    !selects(service, &seen.object) || is_own || (!tried && is_live),
                    "Service {address} leads to Deployment {pods}"
                );
            }
        }
    }
}

fn told(name: &str) -> Memory {
    let mut stories = STORIES.into_iter();
    let story = stories.find(|story| story.name == name).unwrap();
    Run::new(story).finish(None).memory()
}

fn gate(memory: &Memory) -> &StageRecord {
    let mut stages = memory.releases[0].stages.iter();
    stages.find(|stage| stage.name == Stage::Gate).unwrap()
}

#[test]
fn the_stage_says_what_was_skipped() {
    let memory = told("has_nothing_to_compare_with_at_first");
    let words = gate(&memory).message.clone().unwrap();
    assert!(words.contains("no release serves yet"), "{words}");
    assert_eq!(gate(&memory).jobs.len(), 2, "only the tests of the gate");
}

#[test]
fn the_status_keeps_the_p95s_of_both() {
    let memory = told("compares_the_candidate_with_stable");
    let steps: Vec<_> = gate(&memory).jobs.iter().map(|job| &job.step).collect();
    assert_eq!(
        steps,
        [
            "acceptance",
            "smoke",
            "stable-after-expand-acceptance",
            "backfill-on-the-copy-customer",
            "stable-after-backfill-acceptance",
            "load"
        ]
    );
    let report = gate(&memory).jobs[5].report.clone().unwrap();
    let performance = report.performance.unwrap();
    assert_eq!(performance.stable_p95_milliseconds, "10");
    assert_eq!(performance.candidate_p95_milliseconds, "10.5");
    let before = memory.releases[1].stages.iter();
    let mut before = before.filter(|stage| stage.name == Stage::Gate);
    let words = before.next().unwrap().message.clone();
    assert_eq!(
        words, None,
        "its speed was compared, and its own tests will be"
    );
}
