//! The migration runner: a service's SQL files and a phase in, a changed schema and a report out.
//!
//! ```text
//! arguments, environment -> settings, set -> lock -> session -> ledger::check -> expand | backfill | verify | contract | mask -> report
//! ```
//!
//! *Guarantees.* One runner works on a service's schema at a time. A file is applied once: its work and its ledger row
//! are one transaction, or (an index) its work can be repeated. A run that breaks off anywhere is repaired by running
//! again. *Assumptions.* A session of PostgreSQL stays on one server process: no pooler in transaction mode between.

mod backfill;
mod bootstrap;
mod contract;
pub mod error;
mod expand;
pub mod header;
mod index;
mod ledger;
#[cfg(test)]
mod lint;
mod lock;
mod mask;
pub mod phase;
mod plan;
pub mod report;
mod retry;
mod session;
pub mod set;
pub mod settings;
pub mod sql;
pub mod statement;
mod status;
mod step;
mod verify;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use self::error::{Error, Refusal};
use self::ledger::Known;
use self::lock::Lock;
use self::phase::Phase;
use self::report::{Outcome, Report};
use self::session::Session;
use self::set::Set;
use self::settings::Settings;
use crate::schema;
use crate::service::Service;

/// How often a run that takes its time says that it is alive.
const PROGRESS: Duration = Duration::from_secs(5);

/// What the command line says.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// The service whose schema is meant.
    #[arg(long)]
    pub service: Service,
    /// What to do.
    #[arg(long, env = "CRM_PHASE")]
    pub phase: Phase,
    /// Limit of the whole run in seconds [default: 600; a backfill 86400].
    #[arg(long)]
    pub deadline_seconds: Option<u64>,
    /// Limit of the wait for the database and for another run to end, in seconds.
    #[arg(long, default_value_t = 60)]
    pub lock_deadline_seconds: u64,
}

/// Runs a phase of the embedded files against the database of the environment; prints and leaves the report.
pub async fn run(arguments: Arguments) -> ExitCode {
    let schema = schema::of(arguments.service);
    let empty = Set {
        service: schema.service,
        app_level: schema.app_level,
        migrations: Vec::new(),
    };
    let prepared = Settings::from_environment().and_then(|settings| {
        let set = Set::embedded(&schema).map_err(Refusal::Files)?;
        Ok((settings, set))
    });
    let report = match prepared {
        Ok((mut settings, set)) => {
            let deadline = arguments.deadline_seconds.map(Duration::from_secs);
            settings.deadline = deadline.unwrap_or(Settings::default_deadline(arguments.phase));
            settings.lock_deadline = Duration::from_secs(arguments.lock_deadline_seconds);
            perform(&set, &settings, arguments.phase).await
        }
        Err(refusal) => {
            let mut report = Report::new(&empty, arguments.phase);
            conclude(&mut report, Err(Error::Refused(refusal)));
            report
        }
    };
    report.leave(&settings::termination_log());
    println!("{}", report.printed());
    ExitCode::from(report.outcome.exit_code())
}

/// Runs a phase of a set of files and says how it went.
pub async fn perform(set: &Set, settings: &Settings, phase: Phase) -> Report {
    let mut report = Report::new(set, phase);
    let result = match phase {
        Phase::Plan | Phase::Status => look(set, settings, &mut report).await,
        Phase::Expand | Phase::Backfill | Phase::Verify | Phase::Contract => {
            locked(set, settings, phase, &mut report).await
        }
        Phase::Mask => match mask::permit(settings) {
            Ok(()) => locked(set, settings, phase, &mut report).await,
            Err(refusal) => Err(Error::Refused(refusal)),
        },
    };
    conclude(&mut report, result);
    report
}

fn conclude(report: &mut Report, result: Result<(), Error>) {
    match result {
        Ok(()) => report.message = report.good_news(),
        Err(error) => {
            report.outcome = error.outcome();
            report.message = error.to_string();
            tracing::error!("{error}");
        }
    }
}

/// The phases that only look: no lock, nothing written.
async fn look(set: &Set, settings: &Settings, report: &mut Report) -> Result<(), Error> {
    let mut session = Session::open(settings, set.service).await?;
    let known = ledger::read(&mut session).await?;
    report.start(known.as_ref());
    if report.phase == Phase::Status.name() {
        report.detail = Some(status::describe(&mut session, set, known.as_ref()).await?);
        report.outcome = Outcome::Done;
    } else {
        let known = known.unwrap_or_default();
        ledger::check(set, &known)?;
        report.pending = known.pending(set);
        report.detail = Some(plan::describe(&mut session, set, &known).await?);
        if !report.pending.is_empty() {
            report.outcome = Outcome::Done;
        }
    }
    session.close().await;
    Ok(())
}

/// The phases that write: behind the lock, within the deadline, until a signal.
async fn locked(
    set: &Set,
    settings: &Settings,
    phase: Phase,
    report: &mut Report,
) -> Result<(), Error> {
    let mut terminate = signal(SignalKind::terminate()).expect("the runtime handles signals");
    let mut lock = tokio::select! {
        lock = Lock::acquire(settings, set.service) => lock?,
        _ = terminate.recv() => return Err(Error::Interrupted),
    };
    let (begun, limit) = (Instant::now(), settings.deadline);
    let work = work(set, settings, phase, report);
    tokio::pin!(work);
    let mut progress = tokio::time::interval(PROGRESS);
    // The first tick comes at once.
    progress.tick().await;
    loop {
        return tokio::select! {
            result = &mut work => result,
            () = lock.lost() => Err(Error::LockLost),
            () = tokio::time::sleep(limit.saturating_sub(begun.elapsed())) => {
                Err(Error::Deadline { doing: phase.name(), limit })
            }
            _ = terminate.recv() => Err(Error::Interrupted),
            _ = progress.tick() => {
                tracing::info!(phase = phase.name(), elapsed = ?begun.elapsed(), "still at work");
                continue;
            }
        };
    }
}

async fn work(
    set: &Set,
    settings: &Settings,
    phase: Phase,
    report: &mut Report,
) -> Result<(), Error> {
    let mut session = Session::open(settings, set.service).await?;
    let known = known(&mut session, set, (phase, settings), report).await?;
    ledger::check(set, &known)?;
    let result = match phase {
        Phase::Expand => expand::run(&mut session, (set, &known), settings, report).await,
        Phase::Backfill => backfill::run(&mut session, (set, &known), settings, report).await,
        Phase::Verify => verify::run(&mut session, (set, &known), settings, report).await,
        Phase::Contract => contract::run(&mut session, (set, &known), settings, report).await,
        Phase::Mask => mask::run(&mut session, set.service, settings, report).await,
        Phase::Plan | Phase::Status => Ok(()),
    };
    // Best knowledge, also after a failure: the connection may be gone.
    if let Ok(Some(known)) = ledger::read(&mut session).await {
        report.pending = known.pending(set);
    }
    session.close().await;
    result
}

/// The ledger; an expand makes it, a mask does without, every other phase needs it.
async fn known(
    session: &mut Session,
    set: &Set,
    (phase, settings): (Phase, &Settings),
    report: &mut Report,
) -> Result<Known, Error> {
    if phase == Phase::Expand {
        // An older build adds nothing of its own, not even to the runner's tables.
        if let Some(known) = ledger::read(session).await? {
            report.start(Some(&known));
            ledger::check(set, &known)?;
        }
        bootstrap::ensure(session, settings).await?;
    }
    match ledger::read(session).await? {
        Some(known) => {
            report.start(Some(&known));
            Ok(known)
        }
        // The tables say what there is to mask, whoever made them.
        None if phase == Phase::Mask => Ok(Known::default()),
        None => Err(Error::Refused(Refusal::Earlier {
            file: format!("schema {}", set.service),
            phase: Phase::Expand.name(),
        })),
    }
}
