//! Jobs of our names that are not ours: each claims to have passed, none is believed, and nothing is rolled out.

use crm_operator::api::status::Stage;
use crm_operator::desired::labels;
use k8s_openapi::api::batch::v1::{Job, JobCondition, JobSpec, JobStatus};
use k8s_openapi::api::core::v1::{Container, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use crate::world::{ModelJob, World, label};
use crate::{Run, STORIES};

type Forgery = (&'static str, fn(&mut Job));

/// What a stranger, an older release or a restored backup could leave under a name that we need.
const FORGERIES: [Forgery; 13] = [
    ("belongs to nobody", |job| {
        job.metadata.owner_references = None
    }),
    ("belongs to another platform", |job| {
        job.metadata.owner_references.as_mut().unwrap()[0].uid = "another".into();
    }),
    ("says it is of another release", |job| {
        let labels = job.metadata.labels.as_mut().unwrap();
        labels.insert(labels::RELEASE.to_owned(), "rzzzzzzzzzz".into());
    }),
    ("runs another image", |job| {
        container(job).image = Some("registry.example/crm@sha256:bad".into())
    }),
    ("runs another command", |job| {
        container(job).command = Some(vec!["true".into()])
    }),
    ("looks at another address", |job| {
        let env = container(job).env.as_mut().unwrap();
        let address = env
            .iter_mut()
            .find(|variable| variable.name == "CRM_CUSTOMER_URL");
        address.unwrap().value = Some("http://elsewhere:8080".into());
    }),
    ("has another program laid over its image", |job| {
        let volume = json!({ "name": "over", "configMap": { "name": "over" } });
        let mount = json!({ "name": "over", "mountPath": "/crm-service", "subPath": "true" });
        pod(job)
            .volumes
            .get_or_insert_default()
            .push(serde_json::from_value(volume).unwrap());
        let mounts = container(job).volume_mounts.get_or_insert_default();
        mounts.push(serde_json::from_value(mount).unwrap());
    }),
    ("finds another host by the name", |job| {
        let alias = json!({ "ip": "10.0.0.1", "hostnames": ["acme-customer"] });
        pod(job).host_aliases = Some(vec![serde_json::from_value(alias).unwrap()]);
    }),
    ("takes its environment from elsewhere, too", |job| {
        let from = json!({ "configMapRef": { "name": "other" } });
        container(job).env_from = Some(vec![serde_json::from_value(from).unwrap()]);
    }),
    ("is complete without a pod", |job| {
        spec(job).completions = Some(0)
    }),
    ("is complete when somebody else says so", |job| {
        spec(job).managed_by = Some("elsewhere.example/controller".into())
    }),
    ("is complete by one pod of many", |job| {
        let policy = json!({ "rules": [{ "succeededCount": 1 }] });
        spec(job).success_policy = Some(serde_json::from_value(policy).unwrap());
    }),
    ("tries until it passes", |job| {
        spec(job).backoff_limit = Some(100)
    }),
];

fn spec(job: &mut Job) -> &mut JobSpec {
    job.spec.as_mut().unwrap()
}

fn pod(job: &mut Job) -> &mut PodSpec {
    let template = &mut spec(job).template;
    template.spec.as_mut().unwrap()
}

fn container(job: &mut Job) -> &mut Container {
    &mut pod(job).containers[0]
}

/// A cluster in which the release of the first story is installed, and the id of that release.
fn honest() -> (World, String) {
    let world = Run::new(STORIES[0]).finish(None);
    let release = world.memory().stable.unwrap().release;
    (world, release)
}

/// The Job as the operator would make it, complete, changed by `forge`.
fn forged(honest: &World, name: &str, forge: fn(&mut Job)) -> ModelJob {
    let mut job = honest.jobs[name].job.clone();
    job.metadata.uid = Some("uid-forged".into());
    let complete = JobCondition {
        type_: "Complete".into(),
        status: "True".into(),
        last_transition_time: Some(Time("2025-12-31T00:00:00Z".parse().unwrap())),
        ..JobCondition::default()
    };
    job.status = Some(JobStatus {
        conditions: Some(vec![complete]),
        ..JobStatus::default()
    });
    forge(&mut job);
    ModelJob {
        view: (&job).into(),
        job,
        uid: "uid-forged".into(),
        moves: 3,
        pod: None,
    }
}

/// Nothing of a forged Job is recorded; one that stays in the way holds the release, one that an older release left behind is removed.
fn assert_not_believed(world: &World, what: &str) {
    let releases = world.memory().releases;
    let stages = releases.iter().flat_map(|record| &record.stages);
    let mut passed = stages
        .flat_map(|stage| &stage.jobs)
        .filter(|job| job.uid.as_deref() == Some("uid-forged"));
    assert!(passed.next().is_none(), "{what}");
    if world.jobs.values().all(|job| job.uid != "uid-forged") {
        return;
    }
    let held = world
        .memory()
        .candidate
        .and_then(|candidate| candidate.held);
    let reason = held.as_ref().map(|held| held.reason.as_str());
    assert_eq!(reason, Some("JobNotOurs"), "{what}: {held:?}");
    let live = world.deployments.values();
    let live = live.filter(|seen| label(&seen.object.metadata, labels::TRACK) == labels::STABLE);
    assert_eq!(live.count(), 0, "{what}");
}

#[test]
fn no_forged_job_is_believed() {
    let (honest, release) = honest();
    for (stage, step) in [
        (Stage::Gate, "gate-smoke"),
        (Stage::Gate, "gate-acceptance"),
        (Stage::Migrate, "migrate-expand-customer"),
    ] {
        let name = format!("acme-{release}-{step}-1");
        for (what, forge) in FORGERIES {
            // A migration has no address to forge; its environment is covered by the others.
            if stage == Stage::Migrate && what == "looks at another address" {
                continue;
            }
            let mut run = Run::new(STORIES[0]);
            let stands_in = |run: &Run| {
                run.world
                    .memory()
                    .candidate
                    .map(|candidate| candidate.stage)
            };
            while stands_in(&run) != Some(stage) {
                assert!(!run.turn(None), "{stage:?} was never reached");
            }
            let forged = forged(&honest, &name, forge);
            run.world.jobs.insert(name.clone(), forged);
            assert_not_believed(&run.finish(None), &format!("{name} {what}"));
        }
    }
}

#[test]
fn a_job_that_took_the_place_of_ours_is_not_believed() {
    let (honest, release) = honest();
    let name = format!("acme-{release}-gate-smoke-1");
    let mut run = Run::new(STORIES[0]);
    let recorded = |run: &Run| {
        let releases = run.world.found().releases;
        let mut jobs = releases
            .iter()
            .flat_map(|record| &record.stages)
            .flat_map(|stage| &stage.jobs);
        jobs.any(|job| job.job == name && job.uid.is_some())
    };
    while !recorded(&run) {
        assert!(!run.turn(None), "{name} was never recorded");
    }
    run.world
        .jobs
        .insert(name.clone(), forged(&honest, &name, |_| {}));
    assert_not_believed(&run.finish(None), "the same Job with another UID");
}

/// A database with what a rehearsal left on it is forgotten only when our own Job has dropped it.
#[test]
fn no_foreign_job_has_dropped_a_scratch_database() {
    let (honest, release) = honest();
    let name = format!("acme-{release}-rehearse-remove-scratch-1");
    let strangers: [fn(&mut Job); 2] = [
        |job| job.metadata.owner_references = None,
        |job| container(job).command = Some(vec!["true".into()]),
    ];
    for (stranger, is_owned) in strangers.into_iter().zip([false, true]) {
        let mut run = Run::new(STORIES[0]);
        while run
            .world
            .memory()
            .candidate
            .is_none_or(|tried| tried.stage != Stage::Gate)
        {
            assert!(!run.turn(None), "it never came to its gate");
        }
        let mut forged = forged(&honest, &format!("acme-{release}-gate-smoke-1"), stranger);
        forged.job.metadata.name = Some(name.clone());
        forged.view = (&forged.job).into();
        run.world.jobs.insert(name.clone(), forged);
        // One that stays in the way is looked at again and again.
        for _ in 0..crate::LIMIT {
            if run.turn(None) {
                break;
            }
        }
        let world = run.world;
        let is_listed = world.memory().scratch.contains(&release);
        assert_eq!(
            is_listed, !is_owned,
            "one that is not owned stays in the way"
        );
        let stands = world
            .jobs
            .get(&name)
            .is_some_and(|job| job.uid == "uid-forged");
        assert_eq!(stands, !is_owned, "and is not deleted");
        let dropped = world
            .transcript
            .iter()
            .filter(|line| line.contains("creates Job") && line.contains("remove-scratch"));
        assert_eq!(dropped.count(), usize::from(is_owned));
    }
}
