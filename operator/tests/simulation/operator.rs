//! The operator against the model: one reconcile, with a crash at a chosen write, and what must hold after every single one of them.

use crm_operator::api::spec::Approval;
use crm_operator::api::status::{Stage, Verdict};
use crm_operator::desired::labels;
use crm_operator::plan::action::{Action, Created, Object, Write};
use crm_operator::plan::plan;
use crm_operator::platform::Platform;
use crm_operator::status;

use crate::world::{World, label, name, settings};

/// How a write goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The operator dies before the write is made.
    CrashBefore,
    /// The operator dies after the write was made.
    CrashAfter,
    /// The write is made, but the operator is told that it failed.
    LostAnswer,
}

/// Counts writes over a whole run and fails the chosen one.
#[derive(Clone, Debug, Default)]
pub struct Writes {
    pub made: usize,
    pub fault: Option<(usize, Fault)>,
}

impl Writes {
    fn next(&mut self) -> Option<Fault> {
        let fault = self
            .fault
            .filter(|(at, _)| *at == self.made)
            .map(|(_, fault)| fault);
        self.made += 1;
        fault
    }
}

/// One reconcile; answers in how many seconds the operator wants to look again, or nothing when it died.
pub fn reconcile(world: &mut World, writes: &mut Writes) -> Option<i64> {
    let observed = world.observe();
    let mut settings = settings();
    settings.operator_image = settings.operator_image.filter(|_| !world.nameless);
    let parsed = Platform::parse(&world.platform, &settings)
        .map(|platform| plan(&platform, &observed, world.now));
    let mut error = None;
    for action in parsed.iter().flat_map(|plan| &plan.actions) {
        match writes.next() {
            Some(Fault::CrashBefore) => return None,
            Some(Fault::CrashAfter) => {
                make(world, action);
                return None;
            }
            Some(Fault::LostAnswer) => {
                make(world, action);
                error = Some("the answer was lost".to_owned());
                break;
            }
            None => make(world, action),
        }
    }
    if error.is_none() {
        world.assert_together();
    }
    let next = status::next(
        &world.platform,
        &observed,
        &parsed,
        error.as_deref(),
        world.now,
    );
    if world.platform.status.as_ref() != Some(&next) {
        match writes.next() {
            Some(Fault::CrashBefore) => return None,
            fault => {
                tell(world, &parsed, error.is_none());
                world.save(next);
                check(world);
                fault.is_none().then_some(())?;
            }
        }
    }
    Some(parsed.map_or(600, |plan| {
        i64::try_from(plan.requeue.as_secs()).unwrap().max(1)
    }))
}

fn make(world: &mut World, action: &Action) {
    world.say(format!(
        "operator: {}, because {}",
        describe(&action.write),
        action.because
    ));
    world.write(&action.write);
    check(world);
    world.assert_traffic();
}

fn tell(
    world: &mut World,
    parsed: &Result<crm_operator::plan::Plan, crm_operator::platform::Invalid>,
    saved: bool,
) {
    if let Ok(plan) = parsed
        && saved
    {
        for note in &plan.notes {
            world.say(format!("event: {} {}", note.reason, note.message));
        }
    }
}

/// A write in words.
pub fn describe(write: &Write) -> String {
    match write {
        Write::Apply(Object::Deployment(object)) => {
            format!("applies Deployment {}", name(&object.metadata))
        }
        Write::Apply(Object::StatefulSet(object)) => {
            format!("applies StatefulSet {}", name(&object.metadata))
        }
        Write::Apply(Object::Service(object)) => {
            format!("applies Service {}", name(&object.metadata))
        }
        Write::Apply(Object::ConfigMap(object)) => {
            format!("applies ConfigMap {}", name(&object.metadata))
        }
        Write::Create(Created::Job(job)) => format!("creates Job {}", name(&job.metadata)),
        Write::Create(Created::Claim(claim)) => {
            format!("creates PersistentVolumeClaim {}", name(&claim.metadata))
        }
        Write::Create(Created::Revision(revision)) => {
            format!("creates ControllerRevision {}", name(&revision.metadata))
        }
        Write::CreateSecret(recipe) => format!("creates Secret {}", recipe.name),
        Write::Delete(target) => format!("deletes {:?} {}", target.kind, target.name),
    }
}

/// Safety: what must hold after every write, whatever happened before.
pub fn check(world: &World) {
    for (name, seen) in &world.deployments {
        let metadata = &seen.object.metadata;
        if label(metadata, labels::TRACK) != labels::STABLE {
            continue;
        }
        let release = label(metadata, labels::RELEASE);
        for test in ["acceptance", "smoke"] {
            assert!(
                world.skipped.contains(&release)
                    || world.tested.contains(&(release.clone(), test.into())),
                "Deployment {name} carries release {release}, whose test {test} has not passed"
            );
        }
        let memory = world.memory();
        let saved = memory
            .releases
            .iter()
            .filter(|record| record.release == release)
            .flat_map(|record| &record.stages);
        let mut gates = saved.filter(|stage| stage.name == Stage::Gate);
        assert!(
            world.forgotten
                || gates.any(|stage| {
                    stage.verdict == Some(Verdict::Passed)
                        || (world.skipped.contains(&release)
                            && stage.verdict == Some(Verdict::Skipped))
                }),
            "Deployment {name} carries release {release}, whose verdict is not saved"
        );
        let served = memory.stable.as_ref().map(|stable| &stable.release);
        assert!(
            world.platform.spec.release.approval == Approval::Automatic
                || served == Some(&release)
                || world.approved.contains(&release),
            "Deployment {name} carries release {release}, which nobody approved"
        );
        let level = crate::world::app(
            &seen.object.spec.template.spec.as_ref().unwrap().containers[0]
                .image
                .clone()
                .unwrap(),
        )
        .level;
        let schema = world
            .schemas
            .get(&("live".to_owned(), "customer".to_owned()));
        assert!(
            schema.is_some_and(|schema| schema.level >= level && schema.floor <= level),
            "Deployment {name} has level {level} on schema {schema:?}"
        );
    }
    let running = world.jobs.values().filter(|job| {
        label(&job.job.metadata, labels::TRACK) == labels::LIVE_MIGRATION && job.moves < 2
    });
    assert!(
        running.count() <= 1,
        "two migrations of the live database at once"
    );
    let mut runs: Vec<_> = world
        .live_runs
        .iter()
        .map(|(what, _, level)| (what, level))
        .collect();
    let all = runs.len();
    runs.sort();
    runs.dedup();
    assert_eq!(
        all,
        runs.len(),
        "a migration was applied twice: {:?}",
        world.live_runs
    );
}
