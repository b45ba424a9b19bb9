//! Applies every expand of this build that the database does not have, in order. Each is a step of its own, so a run
//! that breaks off keeps the steps before it.

use super::error::Error;
use super::index;
use super::ledger::Known;
use super::phase::Phase;
use super::report::Report;
use super::session::Session;
use super::set::Set;
use super::settings::Settings;
use super::step;

/// Brings the schema to the level of this build; a newer schema is left as it is.
///
/// # Errors
/// The first step's that cannot be applied.
pub async fn run(
    session: &mut Session,
    (set, known): (&Set, &Known),
    settings: &Settings,
    report: &mut Report,
) -> Result<(), Error> {
    for file in set.files(Phase::Expand).filter(|file| !known.done(file)) {
        tracing::info!(file = file.label(), "applying");
        let applied = if file.header.transactional {
            step::apply(session, file, settings).await?
        } else {
            index::apply(session, file, settings).await?
        };
        report.schema.to = report.schema.to.max(file.number);
        if applied {
            report.applied(file.label());
        }
    }
    Ok(())
}
