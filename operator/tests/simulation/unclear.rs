//! What could not be found out is no verdict, wherever it happens; and what the spec leaves out of the pipeline is left out, and nothing else.

use crm_operator::api::spec::{BackupPolicy, GatePolicy, RehearsalData, StrategyType};
use crm_operator::api::status::{Stage, Token, Verdict};
use crm_operator::desired::labels;
use crm_operator::observed::{ContainerState, JobEnd};
use k8s_openapi::jiff::SignedDuration;
use serde_json::json;

use crate::stories::Act::{self, Image};
use crate::world::{ModelDeployment, World, label};
use crate::{Run, STORIES, Story, condition_message, end, tail};

/// Long enough for every deadline of the model.
const LONG: u32 = 400;

/// A cluster in which v1 serves.
fn serving() -> Run {
    Run::installed(Story {
        acts: &[Image("v1")],
        ..STORIES[0]
    })
}

/// Status and reason of a condition.
fn condition(world: &World, which: &str) -> (String, String) {
    let status = world.platform.status.clone().unwrap();
    let mut all = status.conditions.into_iter();
    let found = all.find(|condition| condition.type_ == which).unwrap();
    (found.status, found.reason)
}

fn stalled(world: &World) -> Option<(String, String)> {
    let status = world.platform.status.clone().unwrap();
    let mut all = status.conditions.into_iter();
    let found = all.find(|condition| condition.type_ == "Stalled")?;
    Some((found.status, found.reason))
}

/// Why the candidate is held.
fn held(world: &World) -> Option<(String, String)> {
    let held = world.memory().candidate?.held?;
    Some((held.reason, held.message))
}

/// The Jobs of a step, by their attempts.
fn attempts(world: &World, step: &str) -> usize {
    let of_step = |name: &&String| name.contains(step);
    world.jobs.keys().filter(of_step).count()
}

/// Goes on in order until this is so; what is denied never comes to rest.
fn until(run: &mut Run, mut is_so: impl FnMut(&World) -> bool) {
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
fn assert_held(run: &Run, reason: &str, words: &str) {
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
fn what_the_api_server_denies_a_roll_out_brings_all_services_back() {
    for strategy in [
        StrategyType::RollingUpdate,
        StrategyType::BlueGreen,
        StrategyType::Canary,
    ] {
        for denied in ["Deployment acme-sales", "Service acme-sales"] {
            let mut run = serving();
            run.world.act(Act::Strategy(strategy));
            run.rest();
            // Its Service is another one in place, too.
            run.world.platform.spec.services[1].port = 9090;
            run.world.set_image("v2");
            while !run.world.is_in(Stage::Rollout) {
                assert!(!run.turn(None), "{}", tail(&run.world));
            }
            run.world.denies = Some(denied);
            run.rest();
            let rejected = &run.world.memory().rejected;
            assert_eq!(rejected[0].reason, "RolloutInconclusive", "{rejected:?}");
            let told = &rejected[0].message;
            assert!(told.contains(&format!("says no to {denied}")), "{told}");
            assert!(end(&run.world)["stable"].ends_with(":v1"));
            assert_eq!(
                run.world.platform.status.as_ref().unwrap().stage.as_deref(),
                Some("Rejected"),
                "all are back, and none is tried again"
            );
        }
    }
}

/// The first Service has gone over when the second is denied: both are of stable in the end.
#[test]
fn a_switch_that_is_denied_half_way_is_taken_back() {
    let mut run = serving();
    run.world.act(Act::Strategy(StrategyType::BlueGreen));
    run.rest();
    run.world.platform.spec.services[1].port = 9090;
    run.world.set_image("v2");
    let is_reached = |world: &World| {
        let candidate = world.memory().candidate;
        let shift = candidate.and_then(|candidate| candidate.shift);
        shift.is_some_and(|shift| shift.ready_at.is_some())
    };
    let slots = |world: &World| {
        ["acme-customer", "acme-sales"].map(|name| {
            let spec = world.services[name].spec.clone().unwrap();
            spec.selector.unwrap()[labels::SLOT].clone()
        })
    };
    until(&mut run, is_reached);
    run.world.denies = Some("Service acme-sales");
    let mut half = false;
    until(&mut run, |world| {
        half |= slots(world)[0] != slots(world)[1];
        !world.memory().rejected.is_empty()
    });
    assert!(half, "the first of them had gone over");
    let rejected = &run.world.memory().rejected;
    assert_eq!(rejected[0].reason, "RolloutInconclusive", "{rejected:?}");
    assert_eq!(slots(&run.world), ["blue", "blue"]);
    run.world.denies = None;
    run.rest();
    assert!(end(&run.world)["stable"].ends_with(":v1"));
}

/// Clearing up is no part of a stage: its refusal is told, and the release goes on; what was to be dropped is dropped later.
#[test]
fn a_denied_clean_up_takes_no_release_back() {
    let mut run = serving();
    run.world.act(Act::Strategy(StrategyType::Canary));
    run.rest();
    run.world.set_image("v2");
    until(&mut run, |world| world.is_in(Stage::Migrate));
    for step in &mut run.world.platform.spec.release.strategy.steps {
        step.seconds = 600;
    }
    run.world.denies = Some("-remove-scratch-");
    until(&mut run, World::serves);
    assert!(!run.world.memory().scratch.is_empty());
    // Its Job has ended, and cannot be removed: the database counts as there until it is.
    run.world.denies = Some("deletes Job");
    for _ in 0..50 {
        run.turn(None);
    }
    assert!(!run.world.memory().scratch.is_empty());
    run.world.denies = None;
    run.rest();
    assert!(run.world.memory().scratch.is_empty());
}

/// The pods of before stay where they are, and a newer release does not wait for that.
#[test]
fn a_newer_release_does_not_wait_for_pods_that_cannot_be_removed() {
    let mut run = serving();
    run.world.act(Act::Strategy(StrategyType::BlueGreen));
    run.rest();
    run.world.denies = Some("deletes Deployment acme-");
    run.world.set_image("v1b");
    until(&mut run, World::serves);
    let release = run.world.wanted();
    for _ in 0..50 {
        run.turn(None);
    }
    let scratch = run.world.memory().scratch;
    assert!(
        scratch.is_empty(),
        "it is dropped all the same: {scratch:?}"
    );
    let drops = format!("creates Job acme-{release}-rehearse-remove-scratch-");
    let told = run.world.transcript.iter();
    assert_eq!(told.filter(|line| line.contains(&drops)).count(), 1);
    run.world.set_image("v2");
    until(&mut run, |world| world.is_in(Stage::Gate));
    run.world.denies = None;
    run.rest();
    assert!(end(&run.world)["stable"].ends_with(":v2"));
}

/// Its Deployment, which leads to its Service, stays until that is gone.
#[test]
fn an_address_that_cannot_be_removed_is_removed_once_it_can() {
    let mut run = serving();
    run.world.act(Act::Strategy(StrategyType::BlueGreen));
    run.rest();
    run.world.set_image("v1b");
    run.rest();
    let stands = |world: &World| world.deployments.contains_key("acme-sales-green");
    assert!(stands(&run.world), "{:?}", run.world.deployments.keys());
    run.world.denies = Some("deletes Service");
    run.world.platform.spec.services.truncate(1);
    run.world.new_spec();
    until(&mut run, World::serves);
    for _ in 0..50 {
        run.turn(None);
    }
    let told = condition_message(&run.world, "Ready");
    assert!(
        told.contains("serves; beside that: Service acme-sales is not removed: ")
            && told.contains("says no to"),
        "{told}"
    );
    run.world.denies = None;
    run.rest();
    assert!(!run.world.services.contains_key("acme-sales"));
    assert!(!stands(&run.world));
}

/// What stands around the pods follows the spec although nothing can be optimised.
#[test]
fn an_optimisation_that_is_denied_holds_nothing_else_up() {
    let mut run = serving();
    run.world.set_image("v2");
    run.world.denies = Some("-optimise-");
    until(&mut run, World::serves);
    let budget = "PodDisruptionBudget/acme-customer";
    let has = |world: &World| world.around.hashes().any(|(object, _)| object == budget);
    until(&mut run, has);
    run.world.platform.spec.services[0].replicas = 1;
    run.world.new_spec();
    until(&mut run, |world| !has(world));
    assert!(!run.world.memory().stable.unwrap().optimised);
    until(&mut run, |world| {
        let told = condition_message(world, "Ready");
        let is_told = told.contains("-1 is not made: ") && told.contains("says no to -optimise-");
        is_told && told.contains("serves; waiting for Job acme-")
    });
    run.world.denies = None;
    run.rest();
    assert!(run.world.memory().stable.unwrap().optimised);
}

/// The pods of a rejected candidate stay, and people read why.
#[test]
fn what_cannot_be_cleared_up_is_told_beside_a_rejection() {
    let mut run = serving();
    run.world.denies = Some("deletes Deployment acme-");
    run.world.set_image("bad");
    until(&mut run, |world| !world.memory().rejected.is_empty());
    for _ in 0..20 {
        run.turn(None);
    }
    let told = condition_message(&run.world, "Stalled");
    assert!(told.contains(" was rejected: "), "{told}");
    let beside = "beside that: Deployment acme-customer-";
    assert!(
        told.contains(beside) && told.contains("and 1 more"),
        "{told}"
    );
    run.world.denies = None;
    run.rest();
    assert!(!condition_message(&run.world, "Stalled").contains("beside"));
}

/// Its Job was made and nobody remembers it: a newer release waits for it, and the ledger has it.
#[test]
fn a_contract_that_nobody_remembers_is_in_the_ledger_before_a_newer_release() {
    let mut run = serving();
    run.world.set_image("v2");
    until(&mut run, |world| attempts(world, "-optimise-contract-") > 0);
    let memory = &mut run.world.platform.status.as_mut().unwrap().memory;
    let stages = memory.releases.iter_mut().flat_map(|it| &mut it.stages);
    for stage in stages.filter(|stage| stage.name == Stage::Optimise) {
        stage.jobs.retain(|job| !job.step.starts_with("contract-"));
    }
    run.world.unsaved = None;
    assert!(!contracts(&run.world));
    run.world.set_image("bad");
    until(&mut run, |world| world.memory().candidate.is_some());
    assert!(contracts(&run.world), "{:?}", run.world.memory().schema);
    run.rest();
}

/// What the spec asks for since comes too late for a contract that runs.
#[test]
fn a_contract_that_runs_is_in_the_ledger_whatever_soak_is_asked_for_since() {
    let mut run = serving();
    run.world.set_image("v2");
    until(&mut run, |world| attempts(world, "-optimise-contract-") > 0);
    run.world.unsaved = None;
    assert!(!contracts(&run.world));
    run.world.platform.spec.release.soak_seconds = 86_400;
    run.world.set_image("bad");
    until(&mut run, |world| world.memory().candidate.is_some());
    assert!(contracts(&run.world), "{:?}", run.world.memory().schema);
    run.rest();
}

/// Its pod is gone, or not seen yet: for a while its end says nothing, and a newer release must not begin in between.
#[test]
fn a_contract_whose_end_is_not_read_yet_is_awaited() {
    let mut run = serving();
    run.world.set_image("v2");
    until(&mut run, |world| attempts(world, "-optimise-contract-") > 0);
    let now = run.world.now;
    let mut jobs = run.world.jobs.values_mut();
    let job = jobs.find(|job| job.view.name.contains("-optimise-contract-"));
    let job = job.unwrap();
    (job.pod, job.moves) = (None, 9);
    (job.view.end, job.view.ended) = (Some(JobEnd::Complete), Some(now));
    run.world.set_image("bad");
    until(&mut run, |world| world.memory().candidate.is_some());
    let releases = run.world.memory().releases;
    let stages = releases.iter().flat_map(|release| &release.stages);
    let optimise = stages.filter(|stage| stage.name == Stage::Optimise);
    let mut jobs = optimise.flat_map(|stage| &stage.jobs);
    let contract = jobs.find(|job| job.step.starts_with("contract-")).unwrap();
    assert!(contract.verdict.is_some(), "{contract:?}");
}

fn contracts(world: &World) -> bool {
    let memory = world.memory();
    let mut ledger = memory.schema.into_iter();
    ledger.any(|step| step.phase == "contract")
}

/// A contract that was denied has not begun: a pause comes before it.
#[test]
fn an_optimisation_that_is_allowed_in_a_pause_waits_for_its_end() {
    let mut run = serving();
    run.world.set_image("v2");
    run.world.denies = Some("-optimise-");
    until(&mut run, World::serves);
    for _ in 0..20 {
        run.turn(None);
    }
    run.world.act(Act::Paused(true));
    run.turn(None);
    run.world.denies = None;
    run.rest();
    assert_eq!(attempts(&run.world, "-optimise-"), 0);
    run.world.act(Act::Paused(false));
    run.rest();
    assert!(run.world.memory().stable.unwrap().optimised);
}

/// What was denied too long was mended: that is tried before it is judged.
#[test]
fn a_spec_that_mends_a_denial_is_tried_first() {
    let mut run = serving();
    run.world.set_image("v2");
    until(&mut run, |world| world.is_in(Stage::Rollout));
    run.world.denies = Some("Deployment acme-sales");
    let limit = i64::from(run.world.platform.spec.release.progress_deadline_seconds);
    let is_over = |world: &World| {
        let row = world.denied.as_ref();
        row.is_some_and(|row| row.last.duration_since(row.since).as_secs() > limit)
    };
    until(&mut run, is_over);
    run.world.denies = None;
    run.world.platform.spec.services[1].replicas = 1;
    run.world.new_spec();
    run.rest();
    assert!(run.world.memory().rejected.is_empty());
    assert!(end(&run.world)["stable"].ends_with(":v2"));
}

/// Nothing goes on without the policies that isolate pods; but that they are denied says nothing about a release that only waits for its time.
#[test]
fn a_denied_policy_stalls_the_platform_and_ends_no_canary() {
    let mut run = serving();
    run.world.act(Act::Strategy(StrategyType::Canary));
    run.rest();
    for step in &mut run.world.platform.spec.release.strategy.steps {
        step.seconds = 600;
    }
    run.world.set_image("v2");
    until(&mut run, |world| world.is_in(Stage::Rollout));
    run.world.denies = Some("NetworkPolicy");
    let egress = json!([{ "cidr": "203.0.113.7/32", "ports": [587] }]);
    let service = &mut run.world.platform.spec.services[0];
    service.egress = serde_json::from_value(egress).unwrap();
    run.world.new_spec();
    let told = ("True".to_owned(), "ApplyFailed".to_owned());
    until(&mut run, |world| stalled(world) == Some(told.clone()));
    let candidate = run.world.memory().candidate.unwrap();
    assert!(candidate.returning.is_none() && candidate.held.is_none());
    run.world.denies = None;
    run.rest();
    assert!(end(&run.world)["stable"].ends_with(":v2"));
}

/// Each is denied for a while, and then the next one: none is met beyond the deadline.
#[test]
fn one_denied_write_after_the_other_ends_nothing() {
    let mut run = serving();
    run.world.set_image("v2");
    until(&mut run, |world| world.is_in(Stage::Gate));
    for denied in [
        "Service acme-customer-r",
        "Deployment acme-customer-r",
        "Service acme-sales-r",
        "creates Job",
    ] {
        run.world.denies = Some(denied);
        let from = run.world.now;
        until(&mut run, |world| {
            world.now.duration_since(from).as_secs() >= 50
        });
    }
    assert_eq!(held(&run.world), None);
    run.world.denies = None;
    run.rest();
    assert!(end(&run.world)["stable"].ends_with(":v2"));
}

/// What was migrated before that is in the ledger.
#[test]
fn a_denied_migration_leaves_the_ledger_of_those_before_it() {
    let mut run = serving();
    run.world.set_image("v2");
    until(&mut run, |world| world.is_in(Stage::Migrate));
    run.world.denies = Some("-migrate-expand-sales-");
    until(&mut run, |world| held(world).is_some());
    assert_held(
        &run,
        "MigrationInconclusive",
        "says no to -migrate-expand-sales-",
    );
    let memory = run.world.memory();
    let candidate = memory.candidate.unwrap().release;
    let mut ledger = memory.schema.iter();
    assert!(
        ledger.any(|step| step.release == candidate && step.service == "customer"),
        "{:?}",
        memory.schema
    );
}

/// The person who lets it go on has seen for how long it was denied: that does not count again.
#[test]
fn a_gate_that_is_skipped_after_a_long_denial_is_not_held_at_once() {
    let mut run = serving();
    run.world.set_image("bad");
    until(&mut run, |world| world.is_in(Stage::Rehearse));
    run.world.denies = Some("creates Job");
    until(&mut run, |world| held(world).is_some());
    run.world.denies = Some("Deployment acme-sales");
    run.world.platform.spec.services[1].replicas = 3;
    run.world.new_spec();
    for _ in 0..20 {
        run.turn(None);
    }
    let release = run.world.wanted();
    run.world.skipped.insert(release);
    run.world.act(Act::Annotate(Token::SkipGate, "ops: known"));
    run.turn(None);
    assert_eq!(held(&run.world), None);
    run.world.denies = None;
    run.rest();
    assert!(end(&run.world)["stable"].ends_with(":bad"));
}

/// A quota of Jobs, say: nothing live is the candidate's yet, so it waits for a person.
#[test]
fn what_the_api_server_denies_before_the_roll_out_holds_the_release() {
    for (stage, reason) in [
        (Stage::Rehearse, "RehearsalInconclusive"),
        (Stage::Gate, "GateInconclusive"),
        (Stage::Migrate, "MigrationInconclusive"),
    ] {
        let mut run = serving();
        run.world.set_image("v2");
        until(&mut run, |world| world.is_in(stage));
        run.world.denies = Some("creates Job");
        until(&mut run, |world| held(world).is_some());
        assert_held(&run, reason, "says no to creates Job; that was so for ");
        run.world.denies = None;
        run.world.act(Act::Annotate(Token::Retry, "1"));
        run.rest();
        assert!(end(&run.world)["stable"].ends_with(":v2"));
    }
}

/// What serves is put back as the spec says, or people are told that it cannot be.
#[test]
fn what_the_api_server_denies_stable_stalls_the_platform() {
    let mut run = serving();
    run.world.denies = Some("Deployment acme-sales");
    run.world.platform.spec.services[1].replicas = 3;
    run.world.new_spec();
    for _ in 0..LONG {
        run.turn(None);
    }
    let told = ("True".to_owned(), "ApplyFailed".to_owned());
    assert_eq!(condition(&run.world, "Stalled"), told);
    run.world.denies = None;
    run.rest();
    assert_eq!(condition(&run.world, "Ready").0, "True");
}

#[test]
fn a_verification_whose_jobs_the_api_server_denies_takes_the_release_back() {
    let mut run = serving();
    run.world.set_image("v2");
    until(&mut run, |world| world.is_in(Stage::Verify));
    run.world.denies = Some("creates Job");
    run.rest();
    let rejected = run.world.memory().rejected;
    assert_eq!(rejected[0].reason, "VerifyInconclusive", "{rejected:?}");
    assert!(end(&run.world)["stable"].ends_with(":v1"));
}

/// What is denied for a moment, again and again, is only tried again.
#[test]
fn what_the_api_server_denies_for_a_while_holds_nothing() {
    let mut run = serving();
    run.world.set_image("v2");
    let mut looks = 0;
    while !run.world.serves() {
        looks += 1;
        run.world.denies = (looks % 4 != 0).then_some("creates Job");
        assert!(!run.turn(None), "{}", tail(&run.world));
    }
    assert!(held(&run.world).is_none());
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

#[test]
fn a_contract_that_comes_too_early_is_tried_again() {
    let optimised = |refusals| {
        let mut run = serving();
        run.world.refusals = refusals;
        run.world.set_image("v2");
        run.rest();
        let stable = run.world.memory().stable.unwrap();
        assert!(run.world.serves(), "{}", tail(&run.world));
        (stable.optimised, condition(&run.world, "Migrated"))
    };
    assert_eq!(optimised(4), (true, ("True".into(), "UpToDate".into())));
    let given_up = ("False".into(), "ContractRefused".into());
    assert_eq!(optimised(5), (false, given_up));
}

#[test]
fn a_pause_right_after_a_refused_contract_only_puts_it_off() {
    let mut run = serving();
    run.world.refusals = 1;
    run.world.set_image("v2");
    while run.world.refusals > 0 {
        assert!(!run.turn(None), "{}", tail(&run.world));
    }
    run.world.platform.spec.paused = true;
    run.world.new_spec();
    run.rest();
    let optimised = |run: &Run| run.world.memory().stable.unwrap().optimised;
    assert!(!optimised(&run));
    run.world.platform.spec.paused = false;
    run.world.new_spec();
    run.rest();
    assert!(optimised(&run), "{}", tail(&run.world));
}
