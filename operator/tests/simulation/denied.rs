//! What the API server denies: it holds a release, takes it back or is told, by what it is for; and what nothing waits for stops nothing.

use crm_operator::api::spec::StrategyType;
use crm_operator::api::status::{Stage, Token};
use crm_operator::desired::labels;
use serde_json::json;

use crate::stories::Act;
use crate::unclear::{LONG, assert_held, condition, held, serving, until};
use crate::world::World;
use crate::{condition_message, end, tail};

fn stalled(world: &World) -> Option<(String, String)> {
    let status = world.platform.status.clone().unwrap();
    let mut all = status.conditions.into_iter();
    let found = all.find(|condition| condition.type_ == "Stalled")?;
    Some((found.status, found.reason))
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
