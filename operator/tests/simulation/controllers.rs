//! The other controllers of the cluster as models: Jobs run and end, Deployments replace pod by pod, the database starts. One small move at a time, so
//! that a seed can put the operator between any two of them.

use crm_operator::desired::{labels, report};
use crm_operator::observed::{ContainerState, PodView};
use crm_operator::report::{Collected, FailedCase};
use k8s_openapi::api::batch::v1::{Job, JobCondition, JobStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use crate::backups::Dump;
use crate::lag;
use crate::world::{ModelDeployment, Schema, World, app, label};

/// Something that can happen next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    Database,
    Job(String),
    Deployment(String),
}

/// All that can happen now.
pub fn moves(world: &World) -> Vec<Move> {
    let mut all = Vec::new();
    if world.database.is_some() && !world.database_ready {
        all.push(Move::Database);
    }
    all.extend(
        world
            .jobs
            .iter()
            .filter(|(_, job)| job.job.status.is_none())
            .map(|(name, _)| Move::Job(name.clone())),
    );
    all.extend(
        world
            .deployments
            .iter()
            .filter(|(_, deployment)| unsettled(deployment))
            .map(|(name, _)| Move::Deployment(name.clone())),
    );
    all
}

fn unsettled(deployment: &ModelDeployment) -> bool {
    let release = label(&deployment.object.metadata, labels::RELEASE);
    let wanted = usize::try_from(deployment.object.spec.replicas.unwrap_or(1)).unwrap();
    let settled = deployment.stale == 0
        && deployment.pods.len() == wanted
        && deployment
            .pods
            .iter()
            .all(|pod| pod.release == release && pod.phase == "Running");
    !settled && !deployment.overdue
}

/// Lets one thing happen.
pub fn step(world: &mut World, what: &Move) {
    match what {
        Move::Database => world.database_ready = true,
        Move::Job(name) => job(world, name),
        Move::Deployment(name) => deployment(world, name),
    }
}

fn deployment(world: &mut World, name: &str) {
    let now = world.now;
    let Some(seen) = world.deployments.get_mut(name) else {
        return;
    };
    let metadata = &seen.object.metadata;
    let (release, track, service) = (
        label(metadata, labels::RELEASE),
        label(metadata, labels::TRACK),
        label(metadata, labels::SERVICE),
    );
    let image = seen.object.spec.template.spec.as_ref().unwrap().containers[0]
        .image
        .clone()
        .unwrap();
    let wanted = usize::try_from(seen.object.spec.replicas.unwrap_or(1)).unwrap();
    let fresh = seen
        .pods
        .iter()
        .filter(|pod| pod.release == release)
        .count();
    if let Some(pending) = seen.pods.iter_mut().find(|pod| pod.phase == "Pending") {
        let tried = labels::is_tried(&track);
        if app(&image).starts || tried {
            pending.phase = "Running".into();
            pending.restarts = i32::from(app(&image).restless && !tried);
            pending.state = ContainerState::Running;
        } else {
            // The shortest deadline is ten seconds, and no watch lags longer here: what comes of unseen pods `unclear` tells.
            let waited = now.duration_since(seen.progressed).as_secs();
            seen.overdue = waited > lag::LONGEST as i64;
        }
        return;
    }
    if seen.stale > 0 {
        // A pod of the same release takes the place of one with an older template.
        seen.stale -= 1;
    } else if fresh < wanted {
        seen.progressed = now;
        seen.pods.push(PodView {
            name: format!("{name}-{}", seen.pods.len()),
            controller: format!("replicas-of-{}", seen.uid),
            release,
            service,
            track,
            phase: "Pending".into(),
            created: Some(now),
            started: Some(now),
            cpu: 0.1,
            ..PodView::default()
        });
    } else if let Some(old) = seen.pods.iter().position(|pod| pod.release != release) {
        seen.pods.remove(old);
    } else {
        seen.pods.truncate(wanted);
    }
}

fn job(world: &mut World, name: &str) {
    let Some(mut seen) = world.jobs.get(name).cloned() else {
        return;
    };
    seen.moves += 1;
    let collects = collects(&seen.job);
    if seen.moves == 1 {
        seen.pod = Some(PodView {
            collector: match collects {
                true => ContainerState::Running,
                false => ContainerState::Unknown,
            },
            name: format!("{name}-pod"),
            controller: seen.uid.clone(),
            release: label(&seen.job.metadata, labels::RELEASE),
            track: label(&seen.job.metadata, labels::TRACK),
            phase: "Running".into(),
            created: Some(world.now),
            started: Some(world.now),
            state: ContainerState::Running,
            cpu: 0.1,
            ..PodView::default()
        });
    } else if seen.moves == 2 {
        // The pod ends a moment before its Job: the operator may look in between.
        let (code, message) = run(world, name);
        let began = seen.pod.as_ref().and_then(|pod| pod.started);
        if let Some(pod) = &mut seen.pod {
            pod.phase = if code == 0 {
                "Succeeded".into()
            } else {
                "Failed".into()
            };
            pod.state = ContainerState::Terminated {
                exit_code: code,
                reason: String::new(),
                message,
                started: began,
                finished: Some(world.now),
            };
        }
        world.say(format!("cluster: Job {name} ends with exit code {code}"));
    } else if seen.moves == 3 && collects {
        // Its phase is that of the test already: no verdict may rest on it before this one has ended too.
        let summary = collect(world, name);
        if let Some(pod) = &mut seen.pod {
            pod.collector = ContainerState::Terminated {
                exit_code: 0,
                reason: String::new(),
                message: summary.words(),
                started: pod.started,
                finished: Some(world.now),
            };
        }
    } else {
        let ended = seen.pod.as_ref().map(|pod| pod.phase == "Succeeded");
        let kind = if ended == Some(true) {
            "Complete"
        } else {
            "Failed"
        };
        let condition = JobCondition {
            type_: kind.into(),
            status: "True".into(),
            reason: Some("Ended".into()),
            last_transition_time: Some(Time(world.now)),
            ..JobCondition::default()
        };
        seen.job.status = Some(JobStatus {
            conditions: Some(vec![condition]),
            ..JobStatus::default()
        });
        seen.view = (&seen.job).into();
    }
    world.jobs.insert(name.to_owned(), seen);
}

/// Whether a container beside the test reads its report.
fn collects(job: &Job) -> bool {
    let pod = job.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
    let beside = pod.init_containers.iter().flatten();
    beside
        .map(|container| container.name.as_str())
        .eq([report::CONTAINER])
}

/// What the JUnit files of a test say.
fn collect(world: &mut World, name: &str) -> Collected {
    let seen = &world.jobs[name];
    let pod = seen
        .job
        .spec
        .as_ref()
        .unwrap()
        .template
        .spec
        .as_ref()
        .unwrap();
    let app = app(pod.containers[0].image.as_deref().unwrap());
    let release = label(&seen.job.metadata, labels::RELEASE);
    let step = crate::beside::compat_step(name);
    let failed = match step {
        Some(_) => i32::from(world.is_broken(&release)),
        None => i32::from(app.gate == 1 || app.silent),
    };
    if app.gate == 0 && failed == 0 {
        match step {
            Some(step) => world.compared.insert((release, step.to_owned())),
            None => world.tested.insert((release, "acceptance".into())),
        };
    }
    let failure = FailedCase {
        name: "logs in".into(),
        message: "401".into(),
    };
    Collected {
        files: 1,
        tests: 20,
        passed: 20 - failed,
        failed,
        duration_milliseconds: 1234,
        first_failures: vec![failure; usize::try_from(failed).unwrap()],
        ..Collected::default()
    }
}

/// What the container of a Job does, and how it ends.
fn run(world: &mut World, name: &str) -> (i32, String) {
    let job = &world.jobs[name].job;
    let container = &job
        .spec
        .as_ref()
        .unwrap()
        .template
        .spec
        .as_ref()
        .unwrap()
        .containers[0];
    let variable = |key: &str| {
        container
            .env
            .iter()
            .flatten()
            .find(|variable| variable.name == key)
            .and_then(|variable| variable.value.clone())
    };
    let image = container.image.clone().unwrap();
    let release = label(&job.metadata, labels::RELEASE);
    let stage = label(&job.metadata, labels::STAGE);
    if let Some(phase) = variable("CRM_PHASE") {
        let database = variable("PGDATABASE").unwrap_or_else(|| "live".into());
        let service = variable("CRM_SERVICE").unwrap();
        if phase == "mask" {
            world.mask(&database, &service);
            return (0, r#"{"message":"masked"}"#.to_owned());
        }
        if database == "live" && phase == "expand" {
            world.assert_backed_up(&release);
        }
        let (code, words) = migrate(world, (&database, &service), (&image, &phase), name);
        return match world.wordless {
            true => (code, String::new()),
            false => (code, words),
        };
    }
    if let Some(id) = variable("CRM_BACKUP_ID") {
        let Some(kept) = variable("CRM_BACKUPS_KEPT") else {
            return world.restore(&id, &release);
        };
        return world.dump(&Dump {
            id: &id,
            own: &variable("CRM_BACKUPS_OWN").unwrap(),
            kept: &kept,
            keep: variable("CRM_BACKUPS_KEEP").unwrap().parse().unwrap(),
            stable: &variable("CRM_STABLE_RELEASE").unwrap(),
        });
    }
    if image == "postgres:15" {
        let script = container.command.clone().unwrap().join(" ");
        if world.full_server && script.contains("create database") {
            return (3, "no space left on device".to_owned());
        }
        world.on_server(&release, &script);
        return (0, String::new());
    }
    let known = world.known.get(&release).into_iter();
    let services = known.flat_map(|release| &release.services);
    let mut configured = services.flat_map(|service| &service.env);
    let is_broken = configured.any(|variable| variable.value == "broken");
    if let Some(budget) = variable("CRM_MAX_REGRESSION_PERCENT") {
        return world.measure(&release, &budget);
    }
    if let Some(step) = crate::beside::compat_step(name) {
        return world.run_stables_test(&release, step);
    }
    let code = match (stage.as_str(), name.contains("seed")) {
        (_, true) => 0,
        ("Verify", _) if is_broken => 1,
        ("Gate", _) => app(&image).gate,
        _ => app(&image).verify,
    };
    // The other test of the gate has ended well only when its report has been read.
    if stage == "Gate" && code == 0 && name.contains("smoke") {
        world.tested.insert((release, "smoke".into()));
    }
    let failed = i32::from(code == 1);
    (
        code,
        json!({ "tests": 20, "passed": 20 - failed, "failed": failed, "firstFailures": [] })
            .to_string(),
    )
}

/// The migration runner: idempotent, with level and floor in the database itself. Level 2 of customer has something to backfill and to contract.
fn migrate(
    world: &mut World,
    (database, service): (&str, &str),
    (image, phase): (&str, &str),
    job: &str,
) -> (i32, String) {
    let level = if service == "customer" {
        app(image).level
    } else {
        1
    };
    let oldest = world
        .deployments
        .values()
        .filter(|seen| label(&seen.object.metadata, labels::SERVICE) == service);
    let oldest = oldest
        .flat_map(|seen| &seen.pods)
        .filter(|pod| pod.track == labels::STABLE)
        .map(|pod| world.revisions.get(&pod.release));
    let oldest = oldest
        .flatten()
        .map(|release| app(&release.services[0].image).level)
        .min();
    let schema = world
        .schemas
        .entry((database.to_owned(), service.to_owned()))
        .or_insert(Schema {
            level: 0,
            floor: 1,
            backfilled: 1,
        });
    let from = schema.level;
    let answer = |code: i32, schema: &Schema| {
        let pending: &[&str] = if schema.level == 2 && schema.floor < 2 && level == 2 {
            &["backfill", "contract"]
        } else {
            &[]
        };
        let summary = json!({ "schema": { "from": from, "to": schema.level, "floor": schema.floor }, "appLevel": level, "pending": pending, "offers": ["mask"] });
        (code, summary.to_string())
    };
    if level < schema.floor {
        return answer(30, schema);
    }
    match phase {
        "expand" if app(image).expand.is_some() => {
            return answer(app(image).expand.unwrap(), schema);
        }
        "expand" if schema.level < level => schema.level = level,
        "backfill" if schema.backfilled < level => schema.backfilled = level,
        "contract" if database == "live" && schema.floor < level && world.refusals > 0 => {
            world.refusals -= 1;
            return answer(30, schema);
        }
        "contract" if schema.floor < level && schema.level == level => {
            assert!(
                schema.backfilled == level,
                "contract before backfill in {database}"
            );
            if database == "live" {
                assert!(
                    service != "customer" || oldest.is_none_or(|oldest| oldest >= level),
                    "contract while a pod below the new floor lives"
                );
            }
            schema.floor = level;
        }
        _ => return answer(10, schema),
    }
    let schema = schema.clone();
    if database == "live" {
        world
            .live_runs
            .push((format!("{service} {phase}"), job.to_owned(), level));
    }
    answer(0, &schema)
}
