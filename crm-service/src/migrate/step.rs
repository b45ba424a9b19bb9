//! Applies one file in one transaction: its statements, its ledger row and the new level stay together or not at all.
//! A lock that is not to be had is no failure but a reason to step back and try again.

use std::time::Instant;

use super::contract;
use super::error::{Error, doing};
use super::ledger;
use super::phase::Phase;
use super::retry::Tries;
use super::session::Session;
use super::set::File;
use super::settings::Settings;

/// Applies a file of phase expand or contract; `false` when it turns out to be applied already.
///
/// # Errors
/// The database's, after the tries are used up; nothing of the step is kept.
pub async fn apply(session: &mut Session, file: &File, settings: &Settings) -> Result<bool, Error> {
    let mut tries = Tries::default();
    loop {
        let error = match attempt(session, file, settings).await {
            Ok(applied) => return Ok(applied),
            Err(error) => error,
        };
        session.rollback().await;
        tries.again(error, &file.label()).await?;
    }
}

async fn attempt(session: &mut Session, file: &File, settings: &Settings) -> Result<bool, Error> {
    let limits = file.header.limits;
    session.begin(limits).await?;
    if ledger::is_done(session, file).await? {
        session.rollback().await;
        return Ok(false);
    }
    if file.phase == Phase::Contract && !settings.rehearsal {
        contract::keep_instances_out(session, file).await?;
    }
    let begun = Instant::now();
    for statement in &file.statements {
        session
            .run_in_step(&statement.text, limits, begun)
            .await
            .map_err(doing(format!(
                "apply {}, line {}",
                file.label(),
                statement.line
            )))?;
    }
    ledger::record(session, (file, "done"), settings, begun).await?;
    match &file.header.conditions {
        Some(conditions) => ledger::raise_floor(session, conditions.min_app_level).await?,
        None => ledger::raise_level(session, file.number).await?,
    }
    session.commit().await?;
    Ok(true)
}
