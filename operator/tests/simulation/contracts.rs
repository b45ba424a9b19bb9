//! Contracts: none begins when people hold it back, and one that has begun is in the ledger before a newer release begins.

use crm_operator::api::status::Stage;
use crm_operator::observed::JobEnd;

use crate::stories::Act;
use crate::unclear::{attempts, condition, serving, until};
use crate::world::World;
use crate::{Run, tail};

/// A contract runs, and nothing of it is saved yet.
fn contracting() -> Run {
    let mut run = serving();
    run.world.set_image("v2");
    until(&mut run, |world| attempts(world, "-optimise-contract-") > 0);
    assert!(!contracts(&run.world));
    run
}

/// It is entered before a newer release begins, which would never hear of it.
fn assert_entered_first(mut run: Run) {
    run.world.set_image("bad");
    until(&mut run, |world| world.memory().candidate.is_some());
    assert!(contracts(&run.world), "{:?}", run.world.memory().schema);
    run.rest();
}

/// Its Job was made and nobody remembers it.
#[test]
fn a_contract_that_nobody_remembers_is_in_the_ledger_before_a_newer_release() {
    let mut run = contracting();
    let memory = &mut run.world.platform.status.as_mut().unwrap().memory;
    let stages = memory.releases.iter_mut().flat_map(|it| &mut it.stages);
    for stage in stages.filter(|stage| stage.name == Stage::Optimise) {
        stage.jobs.retain(|job| !job.step.starts_with("contract-"));
    }
    run.world.unsaved = None;
    assert_entered_first(run);
}

/// What the spec asks for since comes too late for a contract that runs.
#[test]
fn a_contract_that_runs_is_in_the_ledger_whatever_soak_is_asked_for_since() {
    let mut run = contracting();
    run.world.unsaved = None;
    run.world.platform.spec.release.soak_seconds = 86_400;
    assert_entered_first(run);
}

/// Its pod is gone, or not seen yet: for a while its end says nothing, and a newer release must not begin in between.
#[test]
fn a_contract_whose_end_is_not_read_yet_is_awaited() {
    let mut run = contracting();
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
