//! What could not be found out is no verdict, wherever it happens; and what the spec leaves out of the pipeline is left out, and nothing else.

use crm_operator::api::spec::{BackupPolicy, GatePolicy, RehearsalData};
use crm_operator::api::status::{Stage, Verdict};
use crm_operator::desired::labels;
use crm_operator::observed::ContainerState;
use k8s_openapi::jiff::SignedDuration;

use crate::stories::Act::Image;
use crate::world::{ModelDeployment, World, label};
use crate::{Run, STORIES, Story, end, tail};

/// Long enough for every deadline of the model.
pub const LONG: u32 = 400;

/// A cluster in which v1 serves.
pub fn serving() -> Run {
    Run::installed(Story {
        acts: &[Image("v1")],
        ..STORIES[0]
    })
}

/// Status and reason of a condition.
pub fn condition(world: &World, which: &str) -> (String, String) {
    let status = world.platform.status.clone().unwrap();
    let mut all = status.conditions.into_iter();
    let found = all.find(|condition| condition.type_ == which).unwrap();
    (found.status, found.reason)
}

/// Why the candidate is held.
pub fn held(world: &World) -> Option<(String, String)> {
    let held = world.memory().candidate?.held?;
    Some((held.reason, held.message))
}

/// The Jobs of a step, by their attempts.
pub fn attempts(world: &World, step: &str) -> usize {
    let of_step = |name: &&String| name.contains(step);
    world.jobs.keys().filter(of_step).count()
}

/// Goes on in order until this is so; what is denied never comes to rest.
pub fn until(run: &mut Run, mut is_so: impl FnMut(&World) -> bool) {
    for _ in 0..LONG {
        if is_so(&run.world) {
            return;
        }
        run.turn(None);
    }
    panic!("it does not come so far:\n{}", tail(&run.world));
}

/// Goes on until the candidate is held, and disturbs the pods that are tried before each look of the operator.
fn disturbed(image: &str, disturb: impl Fn(&mut ModelDeployment)) -> Run {
    let mut run = serving();
    run.world.set_image(image);
    for _ in 0..LONG {
        let all = run.world.deployments.values_mut();
        all.filter(|seen| labels::is_tried(&label(&seen.object.metadata, labels::TRACK)))
            .for_each(&disturb);
        run.turn(None);
        if held(&run.world).is_some() {
            return run;
        }
    }
    panic!("it is not held:\n{}", tail(&run.world));
}

/// What is held is not rejected, and stable serves on.
pub fn assert_held(run: &Run, reason: &str, words: &str) {
    let (why, message) = held(&run.world).unwrap();
    assert_eq!(why, reason, "{message}");
    assert!(message.contains(words), "{message}");
    assert!(run.world.memory().rejected.is_empty());
    assert!(end(&run.world)["stable"].ends_with(":v1"));
}

#[test]
fn candidate_pods_whose_image_cannot_be_pulled_hold_the_release() {
    let run = disturbed("v2", |seen| {
        seen.overdue = true;
        for pod in &mut seen.pods {
            pod.phase = "Pending".into();
            pod.state = ContainerState::Waiting {
                reason: "ImagePullBackOff".into(),
                message: "the registry is away".into(),
            };
        }
    });
    assert_held(&run, "GateInconclusive", "the registry is away");
}

#[test]
fn candidate_pods_that_a_quota_forbids_hold_the_release() {
    let run = disturbed("v2", |seen| {
        seen.overdue = true;
        seen.pods.clear();
        seen.view.message = Some("exceeded quota: pods".into());
    });
    assert_held(&run, "GateInconclusive", "exceeded quota");
}

/// Its pods took another's place while the tests ran: what failed may have been the one that went.
#[test]
fn a_test_that_met_a_pod_on_its_way_out_says_nothing_about_the_image() {
    let later = SignedDuration::from_secs(3600);
    let run = disturbed("bad", |seen| {
        for pod in &mut seen.pods {
            pod.created = pod
                .created
                .map(|created| created.max(pod.started.unwrap() + later));
        }
    });
    assert_held(&run, "GateInconclusive", "was replaced meanwhile");
}

#[test]
fn a_test_that_finds_nothing_out_is_tried_as_often_as_the_spec_says() {
    let mut run = serving();
    let spec = &mut run.world.platform.spec;
    for test in &mut spec.tests {
        test.attempts = 3;
    }
    run.world.set_image("unclear");
    run.rest();
    assert_held(&run, "GateInconclusive", "exit code 2");
    let steps = ["-gate-smoke-", "-gate-acceptance-"];
    let tried = steps.map(|step| attempts(&run.world, step) - 1);
    assert!(tried.contains(&3), "{tried:?}");
}

/// Beyond its roll-out a release that cannot be judged does not serve on.
#[test]
fn a_verification_that_finds_nothing_out_takes_the_release_back() {
    let mut run = serving();
    run.world.set_image("doubtful");
    run.rest();
    assert!(end(&run.world)["stable"].ends_with(":v1"));
    let rejected = run.world.memory().rejected;
    assert!(rejected[0].message.contains("exit code 2"), "{rejected:?}");
    assert_eq!(rejected[0].reason, "VerifyInconclusive");
    let told = ("True".to_owned(), "VerifyInconclusive".to_owned());
    assert_eq!(condition(&run.world, "Stalled"), told);
    let record = &run.world.memory().releases[0];
    assert_eq!(record.verdict, Some(Verdict::Inconclusive));
    let verify = record.stages.last().unwrap();
    assert_eq!(
        (verify.name, verify.verdict),
        (Stage::Verify, record.verdict)
    );
}

#[test]
fn a_scratch_database_that_cannot_be_made_holds_the_release() {
    let mut run = serving();
    run.world.full_server = true;
    run.world.set_image("v2");
    run.rest();
    assert_held(&run, "RehearsalInconclusive", "no space left");
    run.world.full_server = false;
    run.world.set_image("v1b");
    run.rest();
    assert!(end(&run.world)["stable"].ends_with(":v1b"));
}

#[test]
fn without_a_gate_nothing_is_tested_and_the_release_serves() {
    let mut run = serving();
    let tests = attempts(&run.world, "-gate-");
    run.world.platform.spec.gate = GatePolicy::None;
    run.world.set_image("bad");
    let wanted = run.world.wanted();
    run.world.skipped.insert(wanted);
    run.rest();
    assert!(end(&run.world)["stable"].ends_with(":bad"));
    assert_eq!(attempts(&run.world, "-gate-"), tests);
}

#[test]
fn without_rows_a_release_is_rehearsed_on_empty_tables() {
    let mut run = serving();
    let [seeds, expands] = ["-seed-", "-rehearse-expand-"].map(|step| attempts(&run.world, step));
    run.world.platform.spec.database.rehearsal.data = RehearsalData::None;
    run.world.set_image("v2");
    run.rest();
    assert!(end(&run.world)["stable"].ends_with(":v2"));
    assert_eq!(attempts(&run.world, "-seed-"), seeds);
    assert!(attempts(&run.world, "-rehearse-expand-") > expands);
}

#[test]
fn a_backup_that_is_configured_and_not_asked_for_is_not_made() {
    let mut run = serving();
    run.world.ask_for_backups(RehearsalData::Synthetic);
    let backup = run.world.platform.spec.database.backup.as_mut().unwrap();
    backup.policy = BackupPolicy::Never;
    run.world.set_image("v2");
    run.rest();
    assert!(end(&run.world)["stable"].ends_with(":v2"));
    assert_eq!(attempts(&run.world, "-backup-"), 0);
    assert!(run.world.memory().backups.is_empty());
}

#[test]
fn it_is_told_whether_the_schema_is_what_the_release_needs() {
    let mut run = serving();
    let migrated = |run: &Run| condition(&run.world, "Migrated");
    let up_to_date = ("True".to_owned(), "UpToDate".to_owned());
    assert_eq!(migrated(&run), up_to_date);
    run.world.set_image("v2");
    while !run.world.is_in(Stage::Migrate) {
        assert!(!run.turn(None), "{}", tail(&run.world));
    }
    assert_eq!(migrated(&run), up_to_date, "of what serves");
    while !run.world.serves() {
        assert!(!run.turn(None), "{}", tail(&run.world));
    }
    assert_eq!(migrated(&run), ("Unknown".into(), "Optimising".into()));
    run.rest();
    assert_eq!(migrated(&run), up_to_date);
}
