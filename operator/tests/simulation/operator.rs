//! The operator against the model: one reconcile, with a crash at a chosen write, and what must hold after every single one of them.

use std::time::Duration;

use crm_operator::api::spec::Approval;
use crm_operator::api::status::{
    DeliveryDay, Finding, Memory, ReleaseRecord, STATUS_LIMIT, Stage, Verdict, fits,
};
use crm_operator::desired::labels;
use crm_operator::observed::{Denial, Denied};
use crm_operator::plan::action::{Action, Created, Object, Origin, Write};
use crm_operator::platform::Platform;
use crm_operator::status::{self, Failure, Save};

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
    let again = look(world, writes);
    if again.is_none() {
        world.unsaved = None;
        world.denied = None;
    }
    again
}

fn look(world: &mut World, writes: &mut Writes) -> Option<i64> {
    let mut observed = world.observe();
    let kept = world.unsaved.take();
    let mut settings = settings();
    settings.operator_image = settings.operator_image.filter(|_| !world.nameless);
    let mut parsed = Platform::parse(&world.platform, &settings)
        .map(|platform| world.decide(&platform, &mut observed));
    for keep in parsed.clone().iter().flat_map(|plan| &plan.keeps) {
        let fault = writes.next();
        if fault != Some(Fault::CrashBefore) {
            world.keep(keep);
        }
        match (fault, &mut parsed) {
            (Some(Fault::LostAnswer), Ok(plan)) => {
                keep.step.is_lost(&mut plan.memory, "no answer");
            }
            (Some(_), _) => return None,
            (None, _) => {}
        }
    }
    let actions = parsed.as_ref().map(|plan| plan.actions.clone());
    let applied = apply(world, writes, &actions.unwrap_or_default())?;
    let failure = applied.failure;
    // As `Backoff` has it.
    let before = world.denied.take().filter(|_| failure.is_some());
    let denied = applied
        .denial
        .map(|denial| Denied::after(before.as_ref(), denial, world.now));
    world.denied = denied.or(before);
    world.denied_for = world.asks();
    for (write, why) in applied.refused {
        if let Ok(plan) = &mut parsed {
            plan.refused(&write, why);
        }
    }
    if failure.is_none() {
        // What was denied half way stays so until it is taken back.
        if world.denies.is_none() {
            world.assert_together();
        }
        for (plan, correction) in parsed
            .iter()
            .flat_map(|plan| plan.corrections.iter().map(move |it| (plan, it)))
        {
            assert!(
                plan.actions
                    .iter()
                    .any(|action| puts_back(&action.write, &correction.object)),
                "people are told of {}, which is not written",
                correction.object
            );
            world.say(format!(
                "event: {} {}",
                correction.note.reason, correction.note.message
            ));
        }
    }
    let next = status::next(
        &world.platform,
        &observed,
        &parsed,
        failure.as_ref(),
        world.now,
    );
    let requeue = parsed.as_ref().map_or(600, |plan| whole(plan.requeue));
    // What failed is tried again after a while.
    let requeue = failure.as_ref().map_or(requeue, |_| requeue.min(30));
    let hindered = parsed.as_ref().is_ok_and(|plan| plan.hindered);
    let before = world.platform.status.as_ref();
    match status::save(before, kept.as_ref(), &next, (hindered, world.now)) {
        Save::Nothing => {}
        Save::Later(unsaved, left) => {
            world.unsaved = Some(*unsaved);
            return Some(requeue.min(whole(left)));
        }
        Save::Now => {
            let fault = writes.next();
            if fault == Some(Fault::CrashBefore) {
                return None;
            }
            tell(world, &parsed, failure.is_none());
            assert_counted(&observed.memory, &next.memory);
            assert!(fits(&next, STATUS_LIMIT), "too large: {next:?}");
            world.save(next);
            check(world);
            fault.is_none().then_some(())?;
        }
    }
    Some(requeue)
}

/// What came of the writes of a plan.
#[derive(Default)]
struct Applied {
    /// What failed and was aside, and why.
    refused: Vec<(Write, Finding)>,
    failure: Option<Failure>,
    denial: Option<Denial>,
}

/// As `apply` makes the writes of a plan; nothing when the operator died.
fn apply(world: &mut World, writes: &mut Writes, actions: &[Action]) -> Option<Applied> {
    let mut applied = Applied::default();
    // Verbs and kinds of writes that are aside, and whose answers were lost.
    let mut vain = Vec::new();
    for action in actions {
        let fault = writes.next();
        if fault == Some(Fault::CrashBefore) {
            return None;
        }
        let stays = |first: &String| {
            applied
                .refused
                .iter()
                .any(|(write, _)| write.key() == *first)
        };
        if action.after.iter().any(stays) {
            continue;
        }
        let kind = action.write.key();
        let kind = kind.split('/').next().unwrap().to_owned();
        let verb = (std::mem::discriminant(&action.write), kind);
        let is_way_in = matches!(
            &action.write,
            Write::Apply(Object::Route(_) | Object::Ingress(_))
        );
        if action.origin == Origin::Aside && vain.contains(&verb) && !is_way_in {
            let finding = Finding::new("ApplyFailed", "it was not tried");
            applied.refused.push((action.write.clone(), finding));
            continue;
        }
        let denial = denial_of(world, action).filter(|_| fault.is_none());
        if denial.is_none() {
            make(world, action);
        }
        let why = match (fault, &denial) {
            (Some(Fault::LostAnswer), _) => "the answer was lost".to_owned(),
            (Some(_), _) => return None,
            (None, Some(denial)) => denial.why.clone(),
            (None, None) => match std::mem::take(&mut world.around.refused) {
                None => continue,
                Some(why) => {
                    assert_eq!(action.origin, Origin::Aside, "nothing could go on");
                    applied.refused.push((action.write.clone(), why));
                    continue;
                }
            },
        };
        let finding = Finding::new("ApplyFailed", format!("{why}; it is tried again"));
        if action.origin == Origin::Aside {
            vain.extend(denial.is_none().then_some(verb));
            applied.refused.push((action.write.clone(), finding));
            continue;
        }
        let denied = denial.as_ref().map(|denial| denial.write.clone());
        applied.failure = Some(Failure { finding, denied });
        applied.denial = denial;
        break;
    }
    Some(applied)
}

/// Whole seconds, at least one.
pub fn whole(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap().max(1)
}

/// What the figures of delivery are made of is saved together with what it counts: once, whatever was lost or done again.
fn assert_counted(before: &Memory, after: &Memory) {
    let more = |of: fn(&DeliveryDay) -> i64| {
        // A day that is too old is not counted any more.
        let kept =
            |day: &&DeliveryDay| after.delivery_days.iter().any(|other| other.day == day.day);
        let before: i64 = before.delivery_days.iter().filter(kept).map(of).sum();
        after.delivery_days.iter().map(of).sum::<i64>() - before
    };
    let was_open = |record: &&ReleaseRecord| {
        let is_same = |old: &&ReleaseRecord| {
            (&old.release, old.round, old.verdict)
                == (&record.release, record.round, record.verdict)
        };
        record.verdict.is_some() && !before.releases.iter().any(|old| is_same(&old))
    };
    let (mut deployments, mut rolled_back, mut taken_back, mut restored) = (0, 0, 0, 0);
    for record in after.releases.iter().filter(was_open) {
        let candidate = before.candidate.as_ref();
        let candidate = candidate.filter(|candidate| candidate.release == record.release);
        let is_back = candidate.is_some_and(|candidate| candidate.rollback.is_some());
        let was_live = record
            .stages
            .iter()
            .any(|stage| stage.name == Stage::Rollout);
        match record.verdict {
            Some(Verdict::Passed | Verdict::Skipped) if is_back => {
                rolled_back += 1;
                restored += 1;
            }
            Some(Verdict::Passed | Verdict::Skipped) => deployments += 1,
            Some(Verdict::Failed | Verdict::Aborted | Verdict::Inconclusive)
                if was_live && !is_back =>
            {
                taken_back += 1;
                restored += i64::from(before.stable.is_some());
            }
            _ => {}
        }
    }
    assert_eq!(more(|day| day.deployments), deployments);
    assert_eq!(more(|day| day.rolled_back), rolled_back);
    assert_eq!(more(|day| day.taken_back), taken_back);
    assert_eq!(more(|day| day.restored), restored);
}

fn puts_back(write: &Write, object: &str) -> bool {
    match write {
        Write::Apply(applied) => applied.key() == object,
        Write::CreateSecret(recipe) => recipe.key() == object,
        _ => false,
    }
}

/// Why the API server does not make a write.
fn denial_of(world: &World, action: &Action) -> Option<Denial> {
    let write = describe(&action.write);
    let denies = world.denies.filter(|denied| write.contains(denied))?;
    Some(Denial {
        why: format!("{write}: a policy of the cluster says no to {denies}"),
        write,
        origin: action.origin,
    })
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
    world.assert_apart();
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
        Write::Apply(object) => {
            format!("applies {} {}", object.kind(), name(object.metadata()))
        }
        Write::KeepReplicas(kept) => format!(
            "keeps {} pods of Deployment {}",
            kept.replicas, kept.deployment
        ),
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

/// The release whose tests count for this one too: it was stable, it has the same code, its tests have really passed, and the status says so.
fn proven_by(world: &World, release: &str) -> Option<String> {
    let tested = |id: &String| {
        let of_test = |test: &str| world.tested.contains(&(id.clone(), test.to_owned()));
        of_test("acceptance") && of_test("smoke")
    };
    let memory = world.memory();
    let records = memory.releases.into_iter();
    let mut records = records.filter(|record| record.release == release);
    let of = records.find_map(|record| record.code_of)?;
    let is_stable = world.served.contains(&of) && world.has_code_of(release, &of);
    let mut all = world.known.keys();
    let has_passed = all.any(|id| tested(id) && world.has_code_of(&of, id));
    (is_stable && has_passed).then_some(of)
}

/// Safety: what must hold after every write, whatever happened before.
pub fn check(world: &World) {
    world.assert_kept();
    for (name, seen) in &world.deployments {
        let metadata = &seen.object.metadata;
        if label(metadata, labels::TRACK) != labels::STABLE {
            continue;
        }
        let release = label(metadata, labels::RELEASE);
        let of = proven_by(world, &release);
        for test in ["acceptance", "smoke"] {
            assert!(
                world.skipped.contains(&release)
                    || of.is_some()
                    || world.tested.contains(&(release.clone(), test.into())),
                "Deployment {name} carries release {release}, whose test {test} has not passed"
            );
        }
        world.assert_compared(name, &release);
        let memory = world.remembered();
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
                        || ((world.skipped.contains(&release) || of.is_some())
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
