//! Runs the workspace's tests with everything they need: a cluster, the images, a database, and the programs on PATH. A run that ran no test is an error.

mod failures;
mod run;

use std::process::ExitCode;

use anyhow::{Result, ensure};

use crate::postgres::Server;
use crate::{images, lock, progress};
use run::{Outcome, Setting};

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

/// Runs all tests whose name contains `filter`, with the long campaigns if that is wanted. Without a filter these are all runs; with one it is the first run that has such a test, and with the campaigns the simulation.
///
/// # Errors
/// When the cluster, an image or the database cannot be made, then no test has run; when no test has `filter` in its name; when the tests take too long.
pub fn run(filter: &[String], campaign: bool) -> Result<ExitCode> {
    let (cluster, server) = {
        let _lock = lock::take()?;
        (images::bring_up()?, Server::start()?)
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
    for line in outcomes.iter().flat_map(|outcome| &outcome.failures) {
        println!("{line}");
    }
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

/// Every test. The simulation only computes, and those on the cluster wait most of their time: it runs beside them.
fn all(setting: Setting<'_>) -> Result<Vec<Outcome>> {
    let mut workspace = setting.start(&WORKSPACE, &[])?;
    // Cargo builds for one run at a time.
    workspace.wait_until_built()?;
    let simulation = setting.start_beside(&SIMULATION)?;
    let outcomes = vec![
        workspace.finish(),
        simulation.finish(),
        setting.start(&FAULT, &["faulty"])?.finish(),
    ];
    Ok(outcomes.into_iter().map(Outcome::with_tests).collect())
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
