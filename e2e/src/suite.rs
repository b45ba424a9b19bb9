//! Runs the workspace's tests with everything they need: a cluster, the images, a database, and the programs on PATH. A run that ran no test is an error.

mod failures;
mod run;
mod targets;

use std::panic::resume_unwind;
use std::process::ExitCode;

use anyhow::{Result, ensure};

use crate::images::Purpose;
use crate::postgres::Server;
use crate::{images, lock, progress};
use run::{Outcome, Setting, Share};
use targets::CLUSTER;

/// The test of the service's cargo feature, with the whole workspace, so that the dependencies are those of the other tests.
const FAULT: [&str; 6] = [
    "test",
    "--workspace",
    "--features",
    "crm-service/fault",
    "--test",
    "api",
];
/// Optimised, so it is a build of its own; an alias of the project.
const SIMULATION: [&str; 1] = ["simulation"];
const WORKSPACE: [&str; 2] = ["test", "--workspace"];
const BUILD: [&str; 3] = ["test", "--workspace", "--no-run"];

/// Runs all tests whose name contains `filter`, with the long campaigns if that is wanted. Without a filter these are all runs; with one it is the first run that has such a test, and with the campaigns the simulation.
///
/// # Errors
/// When the cluster, an image or the database cannot be made, then no test has run; when no test has `filter` in its name; when the tests take too long.
pub fn run(filter: &[String], campaign: bool) -> Result<ExitCode> {
    let (cluster, server) = {
        let _lock = lock::take()?;
        (images::bring_up(Purpose::Tests)?, Server::start()?)
    };
    let setting = Setting {
        cluster: &cluster,
        server: &server,
        campaign,
    };
    let outcomes = match filter {
        [] => all(setting)?,
        filter => some(setting, filter)?,
    };
    let is_green = outcomes.iter().all(|outcome| outcome.success);
    let whole = outcomes.iter().flat_map(|outcome| &outcome.failures);
    let in_short = outcomes.iter().flat_map(|outcome| &outcome.in_short);
    whole.chain(in_short).for_each(|line| println!("{line}"));
    progress::note(if is_green {
        "all tests passed"
    } else {
        "tests FAILED"
    });
    Ok(if is_green {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Every test. Those on the cluster wait for it, above all the first of them, beside which no other may use it: what does not need it runs meanwhile.
fn all(setting: Setting<'_>) -> Result<Vec<Outcome>> {
    let built = setting.start(&BUILD, &[])?.finish();
    if !built.success {
        return Ok(vec![built]);
    }
    let outcomes = std::thread::scope(|scope| {
        let others = scope.spawn(|| beside_the_cluster(setting));
        let cluster = setting.start(&CLUSTER, &[])?.finish();
        let mut outcomes = others.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        outcomes.push(cluster);
        anyhow::Ok(outcomes)
    })?;
    Ok(outcomes.into_iter().map(Outcome::with_tests).collect())
}

/// One run after the other: cargo builds for one at a time.
fn beside_the_cluster(setting: Setting<'_>) -> Result<Vec<Outcome>> {
    let others = targets::others()?;
    let others: Vec<_> = others.iter().map(String::as_str).collect();
    let runs: [(&[&str], &[&str], _); 3] = [
        // Some of them have deadlines.
        (&others, &[], Share::Fair),
        (&FAULT, &["faulty"], Share::Rest),
        (&SIMULATION, &[], Share::Rest),
    ];
    let ended = runs.map(|(options, filter, share)| {
        let run = setting.start_beside(options, filter, share)?;
        Ok(run.finish())
    });
    ended.into_iter().collect()
}

/// The tests of the first run that has one; with the campaigns also those of the simulation, because they are what people ask for.
fn some(setting: Setting<'_>, filter: &[String]) -> Result<Vec<Outcome>> {
    let names: Vec<_> = filter.iter().map(String::as_str).collect();
    let mut outcomes: Vec<Outcome> = Vec::new();
    let found = |outcomes: &[Outcome]| outcomes.iter().any(|it| !it.success || it.tests > 0);
    for options in [&WORKSPACE[..], &SIMULATION, &FAULT] {
        let is_asked = setting.campaign && options == SIMULATION;
        if is_asked || !found(&outcomes) {
            outcomes.push(setting.start(options, &names)?.finish());
        }
    }
    ensure!(
        found(&outcomes),
        "no test has {} in its name: nothing has run",
        names.join(" ")
    );
    Ok(outcomes)
}
