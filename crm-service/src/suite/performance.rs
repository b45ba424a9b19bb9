//! The suite `performance`: is this release slower than the one that serves? The same reads and writes go to both in turn,
//! so that whatever else the machines do meets both alike; the p95s of each service, and of all, are compared.
//!
//! In: `CRM_<SERVICE>_URL`, `CRM_STABLE_<SERVICE>_URL`, `CRM_MAX_REGRESSION_PERCENT`. Out: a report with the p95s. What
//! goes wrong at stable says nothing about this release: then the suite could not run.

mod figures;
mod rounds;

use std::time::{Duration, Instant};

use uuid::Uuid;

use self::figures::{Figures, Pair};
use self::rounds::Opponents;
use super::report::{Report, Verdict};
use super::session::Session;
use super::{Suite, address, told};
use crate::auth::mint::Mint;
use crate::client::Client;
use crate::service::Service;

/// Percent by which the candidate may be slower when nobody says.
const BUDGET: u32 = 20;

/// How long a suite measures.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// Requests before that count for nothing: connections, plans and caches are made.
    warm_up: Duration,
    /// Requests count for that long.
    measure: Duration,
    /// And until each service has so many of each release.
    samples: usize,
    /// But not longer than this, in all.
    limit: Duration,
}

/// Half a minute at the most, without the time until somebody answers.
const PACE: Pace = Pace {
    warm_up: Duration::from_secs(3),
    measure: Duration::from_secs(18),
    samples: 200,
    limit: Duration::from_secs(30),
};

/// One of the two releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Stable,
    Candidate,
}

/// Why there are no figures.
#[derive(Debug)]
enum Trouble {
    /// The candidate answers wrongly.
    Failed(Service, String),
    /// Nothing could be found out.
    CouldNotRun(String),
}

/// Measures both releases that the environment names.
pub async fn perform() -> Report {
    let run = Uuid::now_v7();
    let mut report = Report::new(Suite::Performance.name(), run);
    let prepared = budget().and_then(|budget| Ok((budget, opponents(run)?)));
    match prepared {
        Ok((budget, mut all)) => compare(&mut report, &mut all, (PACE, budget)).await,
        Err(reason) => report.could_not_run(reason),
    }
    report
}

async fn compare(report: &mut Report, all: &mut [Opponents], (pace, budget): (Pace, u32)) {
    let started = Instant::now();
    let measured = measure(all, pace).await;
    clean_up(all).await;
    match measured {
        Ok(figures) => enter(report, &figures, (budget, started.elapsed())),
        Err(Trouble::Failed(service, message)) => report.add(
            service,
            format!("{service}: answers while it is measured"),
            Verdict::Failed(message),
            started.elapsed(),
        ),
        Err(Trouble::CouldNotRun(reason)) => report.could_not_run(reason),
    }
}

async fn measure(all: &mut [Opponents], pace: Pace) -> Result<Figures, Trouble> {
    for opponents in &mut *all {
        opponents.prepare().await?;
    }
    let started = Instant::now();
    let mut figures = Figures::default();
    let mut number = 0;
    while started.elapsed() < pace.warm_up {
        round(all, number, &mut Figures::default()).await?;
        number += 1;
    }
    let measuring = Instant::now();
    while measuring.elapsed() < pace.measure || figures.fewest(all) < pace.samples {
        if started.elapsed() > pace.limit {
            break;
        }
        round(all, number, &mut figures).await?;
        number += 1;
    }
    match figures.fewest(all) {
        enough if enough >= pace.samples => Ok(figures),
        few => Err(Trouble::CouldNotRun(format!(
            "only {few} requests of a service were answered in {:?}, {} are needed: is the cluster overloaded?",
            pace.limit, pace.samples
        ))),
    }
}

async fn round(all: &[Opponents], number: u64, figures: &mut Figures) -> Result<(), Trouble> {
    for opponents in all {
        opponents.round(number, figures).await?;
    }
    Ok(())
}

/// One case for each service and one for all of them.
fn enter(report: &mut Report, figures: &Figures, (budget, elapsed): (u32, Duration)) {
    let within = |pair: Pair| match pair.exceeds(budget) {
        true => Verdict::Failed(pair.words()),
        false => Verdict::Passed,
    };
    let named = |of: &str| format!("{of}: is not slower than stable by more than {budget} percent");
    let mut first = None;
    for (service, pair) in figures.services() {
        first.get_or_insert(service);
        report.add(service, named(service.name()), within(pair), elapsed);
    }
    if let Some(service) = first {
        report.add(
            service,
            named("all services"),
            within(figures.all()),
            elapsed,
        );
    }
    report.measured(figures.summary());
}

/// The database is a copy that goes away; what is left of the rows is no failure.
async fn clean_up(all: &[Opponents]) {
    for session in all.iter().flat_map(Opponents::sessions) {
        if let Err(failure) = session.remove_rows().await {
            tracing::warn!(service = %session.service, %failure, "synthetic rows are left");
        }
    }
}

fn budget() -> Result<u32, String> {
    let Ok(text) = std::env::var("CRM_MAX_REGRESSION_PERCENT") else {
        return Ok(BUDGET);
    };
    let read = text.trim().parse().ok();
    read.filter(|percent| (1..=1000).contains(percent))
        .ok_or_else(|| format!("CRM_MAX_REGRESSION_PERCENT is {text}: give 1 to 1000"))
}

/// The services of which both releases have an address.
fn opponents(run: Uuid) -> Result<Vec<Opponents>, String> {
    let both = |service: Service| {
        let name = format!("CRM_STABLE_{}_URL", service.name().to_uppercase());
        Some((service, super::named(&name)?, address(service)?))
    };
    let all: Vec<_> = Service::ALL.into_iter().filter_map(both).collect();
    if all.is_empty() {
        return Err("there is nothing to compare: set CRM_CUSTOMER_URL and CRM_STABLE_CUSTOMER_URL, or those of another service; the operator does so for a test with when: [Performance]".to_owned());
    }
    let mint = Mint::from_environment().map_err(|error| told(&error))?;
    let client = Client::new(true);
    let opponents = |(service, stable, candidate)| {
        let session = |root| Session::new(service, root, client.clone(), mint.clone(), run);
        Opponents::new(session(stable), session(candidate))
    };
    Ok(all.into_iter().map(opponents).collect())
}

#[cfg(test)]
mod tests;
