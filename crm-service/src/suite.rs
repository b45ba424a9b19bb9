//! What the in-cluster test Job runs: the suites `smoke` and `acceptance` against the services whose addresses it is
//! given, and `performance` against two releases side by side, with tokens of a run of its own. The suite for `when:
//! [Compat]` is `acceptance`: that of an older release must pass on the schema of a newer one.
//!
//! *Guarantees.* The run sees and leaves only synthetic rows of its own id, and removes them also after failures.
//! A target that cannot be reached is told apart from one that answers wrongly. Nothing is tried twice.

mod acceptance;
mod case;
mod performance;
mod report;
mod session;
mod smoke;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use uuid::Uuid;

use self::case::{Case, Failure};
use self::report::{Report, Verdict};
use self::session::Session;
use crate::auth::mint::Mint;
use crate::client::Client;
use crate::service::Service;

/// How long a target may take to answer for the first time.
const REACH: Duration = Duration::from_secs(10);

/// `crm-service test`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// What to run.
    #[arg(long, value_enum)]
    suite: Suite,
}

/// A set of cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Suite {
    /// Is it up, and does it do what it is for? Seconds; also against live services.
    Smoke,
    /// Does it keep every promise of its interface?
    Acceptance,
    /// Is it slower than the release at `CRM_STABLE_<SERVICE>_URL`, by more percent than `CRM_MAX_REGRESSION_PERCENT`?
    /// Half a minute.
    Performance,
}

impl Suite {
    fn name(self) -> &'static str {
        match self {
            Suite::Smoke => "smoke",
            Suite::Acceptance => "acceptance",
            Suite::Performance => "performance",
        }
    }

    fn cases(self, service: Service) -> Vec<Case> {
        match self {
            Suite::Smoke => smoke::cases(service),
            Suite::Acceptance => acceptance::cases(service),
            // It has no cases: it measures all services at the same time.
            Suite::Performance => Vec::new(),
        }
    }
}

/// Runs a suite; the exit code is that of the delivery contract.
pub async fn run(arguments: &Arguments) -> ExitCode {
    let mut report = match arguments.suite {
        Suite::Performance => performance::perform().await,
        suite => perform(suite).await,
    };
    report.finish();
    report.leave();
    println!("{}", report.summary());
    ExitCode::from(report.exit_code())
}

async fn perform(suite: Suite) -> Report {
    let run = Uuid::now_v7();
    let mut report = Report::new(suite.name(), run);
    let targets = match targets(run) {
        Ok(targets) => targets,
        Err(reason) => {
            report.could_not_run(reason);
            return report;
        }
    };
    for session in &targets {
        if let Err(reason) = session.reach(REACH).await {
            report.could_not_run(reason);
            return report;
        }
    }
    for session in &targets {
        for case in suite.cases(session.service) {
            execute(&mut report, session, case).await;
            if report.is_broken_off() {
                break;
            }
        }
    }
    clean_up(&mut report, &targets).await;
    report
}

async fn execute(report: &mut Report, session: &Session, case: Case) {
    let started = Instant::now();
    let outcome = (case.run)(session.clone()).await;
    let name = format!("{}: {}", session.service, case.name);
    let verdict = match outcome {
        Ok(()) => Verdict::Passed,
        Err(Failure::Failed(message)) => Verdict::Failed(message),
        // A service that answers again has dropped this request, which is its failure; one that does not is gone.
        Err(Failure::Unreachable(message)) => match session.reach(REACH).await {
            Ok(()) => Verdict::Failed(message),
            Err(_) => Verdict::Errored(message),
        },
    };
    match &verdict {
        Verdict::Passed => tracing::info!(case = name, "passed"),
        Verdict::Failed(message) => tracing::error!(case = name, message, "failed"),
        Verdict::Errored(message) => tracing::error!(case = name, message, "could not run"),
    }
    report.add(session.service, name, verdict, started.elapsed());
}

async fn clean_up(report: &mut Report, targets: &[Session]) {
    for session in targets {
        let case = Case::new("removes its synthetic rows", |session| async move {
            session.remove_rows().await
        });
        execute(report, session, case).await;
    }
}

/// The services whose addresses are given.
fn targets(run: Uuid) -> Result<Vec<Session>, String> {
    let addresses: Vec<_> = Service::ALL
        .into_iter()
        .filter_map(|service| Some((service, address(service)?)))
        .collect();
    if addresses.is_empty() {
        return Err("no target: set CRM_CUSTOMER_URL or CRM_SALES_URL".to_owned());
    }
    let mint = Mint::from_environment().map_err(|error| told(&error))?;
    let client = Client::new(true);
    let session =
        |(service, address)| Session::new(service, address, client.clone(), mint.clone(), run);
    Ok(addresses.into_iter().map(session).collect())
}

/// The address of a service as the operator gives it.
pub fn address(service: Service) -> Option<String> {
    named(&format!("CRM_{}_URL", service.name().to_uppercase()))
}

/// The address in a variable; none when it is absent or empty.
fn named(name: &str) -> Option<String> {
    let address = std::env::var(name).ok()?;
    let address = address.trim().trim_end_matches('/');
    (!address.is_empty()).then(|| address.to_owned())
}

fn told(error: &dyn std::error::Error) -> String {
    let cause = error
        .source()
        .map(|cause| format!(": {}", told(cause)))
        .unwrap_or_default();
    format!("{error}{cause}")
}
