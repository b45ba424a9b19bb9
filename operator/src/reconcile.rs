//! One look at one platform: observe -> parse -> plan -> apply -> status.
//!
//! ```text
//!  watch            observe           plan (pure)               apply            status
//!  controller.rs -> observe.rs -> platform.rs + plan/ + desired/ -> apply.rs -> status.rs -> apply::write_status
//!     ^  IO            IO in            no client, no clock          IO out        pure           |
//!     '------------- owned objects change, or their time has come -------------------------------'
//! ```
//! # Guarantees
//! A platform is never acted on from a cache that has not seen this process's own last writes. The status is written last, also when an action failed; the
//! plan never changes the stage and acts for the new stage at once, so what an action rests on is always written before.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::controller::Action;

use crate::api::CrmPlatform;
use crate::api::status::{CrmPlatformStatus, Memory};
use crate::apply::{Error as Unapplied, StatusWrite, apply, keep, write_status};
use crate::context::{Context, PlatformKey};
use crate::controller::Watched;
use crate::error::Error;
use crate::metrics::Outcome;
use crate::observe::{Questions, logs, observe};
use crate::observed::Observed;
use crate::plan::action::Note;
use crate::plan::{Plan, plan};
use crate::platform::{Invalid, Platform};
use crate::status::Save;
use crate::{backoff, status};

mod tell;

use tell::{tell, tell_corrections, tell_denied, tell_refused};

/// A look without any reason, in case an event was lost.
const SAFETY_NET: Duration = Duration::from_secs(900);
/// A look at what the API server refused, and for which nothing waits.
const REFUSED: Duration = Duration::from_secs(60);
/// A look in case the watch does not show an own write soon.
const CATCH_UP: Duration = Duration::from_secs(1);

/// Looks at one platform and does what is to be done now.
///
/// # Errors
/// When an API call fails; the platform is tried again after a growing delay.
pub async fn reconcile(object: Arc<Watched>, ctx: Arc<Context>) -> Result<Action, Error> {
    let key = PlatformKey::of(&*object);
    let started = Instant::now();
    let _working = ctx.metrics.working();
    let result = match &object.0 {
        Ok(platform) => guarded(look(platform, &key, &ctx)).await,
        Err(unreadable) => {
            tracing::error!(platform = %key, error = %unreadable, "this CrmPlatform cannot be read and is left alone: correct it, or upgrade the operator");
            ctx.metrics.unreadable();
            Ok(Next::Wait(SAFETY_NET))
        }
    };
    if matches!(result, Err(Error::Panicked(_))) {
        ctx.metrics.panicked();
    }
    let (outcome, action) = match result {
        Ok(Next::Wait(time)) => (Outcome::Success, Ok(Action::requeue(time))),
        Ok(Next::LookAgain) => (Outcome::Requeue, Ok(Action::requeue(CATCH_UP))),
        Err(error) => (Outcome::Error, Err(error)),
    };
    ctx.metrics.reconciled(outcome, started.elapsed());
    action
}

/// What follows a look.
#[derive(Debug)]
enum Next {
    /// All that could be done was done; the next look is at a change, or then.
    Wait(Duration),
    /// What was looked at was outdated; the watch will show it soon.
    LookAgain,
}

async fn look(object: &CrmPlatform, key: &PlatformKey, ctx: &Context) -> Result<Next, Error> {
    // A platform that is going away owns its children: the garbage collector takes them.
    if object.metadata.deletion_timestamp.is_some() {
        return Ok(Next::Wait(SAFETY_NET));
    }
    if ctx
        .written
        .unseen(key, |kind, name| ctx.stores.seen(object, kind, name))
    {
        return Ok(Next::LookAgain);
    }
    if let Some(left) = ctx.backoff.left(key, backoff::asked(&object.metadata)) {
        return Ok(Next::Wait(left));
    }
    let next = act(object, key, ctx).await?;
    ctx.backoff.reset(key);
    ctx.told.is_over(key);
    Ok(next)
}

/// Plans, makes the writes of the plan, and saves what is to be remembered of it.
async fn act(object: &CrmPlatform, key: &PlatformKey, ctx: &Context) -> Result<Next, Error> {
    let now = Timestamp::now();
    let parsed = Platform::parse(object, &ctx.settings);
    let questions = parsed.as_ref().map(|it| Questions::of(ctx, it, object));
    let mut observed = observe(ctx, object, questions.unwrap_or_default()).await?;
    let status = object.status.as_ref();
    let kept = ctx.unsaved.of(key);
    if let Some(found) = kept.as_ref().and_then(|kept| kept.after(&observed.memory)) {
        observed.memory = found.clone();
    }
    let mut planned = match parsed {
        Ok(platform) => Ok(decide(ctx, (key, &platform), &mut observed, now).await),
        Err(invalid) => Err(invalid),
    };
    let actions = planned
        .as_ref()
        .map(|plan| plan.actions.as_slice())
        .unwrap_or_default();
    let applied = apply(ctx, object, actions).await;
    if let Ok(plan) = &mut planned {
        for refused in applied.iter().flatten() {
            plan.refused(&refused.write, refused.finding());
        }
    }
    if let Err(error) = &applied {
        tell_denied(ctx, object, error).await;
    }
    let failure = applied.as_ref().err().map(Unapplied::failure);
    let next = status::next(object, &observed, &planned, failure.as_ref(), now);
    let hindered = planned.as_ref().is_ok_and(|plan| plan.hindered);
    let worth = status::save(status, kept.as_ref(), &next, (hindered, now));
    let again = save(ctx, (object, key), worth, (&planned, next)).await;
    // Why nothing goes on is more to know than that the status could not be written.
    let refused = applied?;
    let again = again?;
    if let Ok(plan) = &planned {
        tell_corrections(ctx, object, &plan.corrections).await;
    }
    let rest = planned.map_or(SAFETY_NET, |plan| plan.requeue);
    let rest = ctx
        .drift
        .truce_ends(key)
        .map_or(rest, |left| left.min(rest));
    let rest = if refused.is_empty() {
        rest
    } else {
        rest.min(REFUSED)
    };
    tell_refused(ctx, object, refused).await;
    Ok(match again {
        Some(Next::LookAgain) => Next::LookAgain,
        Some(Next::Wait(left)) => Next::Wait(left.min(rest)),
        None => Next::Wait(rest),
    })
}

/// Plans, reads the logs that a verdict is explained by, and keeps what is to be kept. Each log is asked for once: what cannot be read is an answer too.
async fn decide(
    ctx: &Context,
    (key, platform): (&PlatformKey, &Platform),
    observed: &mut Observed,
    now: Timestamp,
) -> Plan {
    let mut planned = plan(platform, observed, now);
    while !planned.asks.is_empty() {
        let read = logs::read(ctx, key, &planned.asks).await;
        observed.logs.extend(read);
        planned = plan(platform, observed, now);
    }
    let owner = (key.clone(), platform.uid.clone());
    for (step, why) in keep(ctx, owner, &planned.keeps).await {
        step.is_lost(&mut planned.memory, &why);
    }
    planned
}

/// Writes the status and tells of it, or keeps what may wait; answers when to look again for that.
async fn save(
    ctx: &Context,
    (object, key): (&CrmPlatform, &PlatformKey),
    worth: Save,
    (planned, next): (&Result<Plan, Invalid>, CrmPlatformStatus),
) -> Result<Option<Next>, Error> {
    match worth {
        Save::Nothing => {
            ctx.unsaved.keep(key, None);
            return Ok(None);
        }
        Save::Later(unsaved, left) => {
            ctx.unsaved.keep(key, Some(*unsaved));
            return Ok(Some(Next::Wait(left)));
        }
        Save::Now => {}
    }
    // As written: what was found since is counted with this write.
    let before = object.status.as_ref().map(|status| status.memory.clone());
    let before = before.unwrap_or_default();
    let after = next.memory.clone();
    let notes = notes(object, (&before, planned), &next);
    match write_status(ctx, object, next).await? {
        StatusWrite::Outdated => return Ok(Some(Next::LookAgain)),
        StatusWrite::Unchanged => {}
        StatusWrite::Written => {
            ctx.unsaved.keep(key, None);
            tell(ctx, object, (&before, &after), &notes).await;
        }
    }
    Ok(None)
}

/// What there is to tell once the status is written: the notes of a plan whose memory it holds, and a problem that was not known.
fn notes(
    object: &CrmPlatform,
    (before, planned): (&Memory, &Result<Plan, Invalid>),
    next: &CrmPlatformStatus,
) -> Vec<Note> {
    let saved = planned.as_ref().ok().filter(|_| *before != next.memory);
    let mut notes = saved.map_or_else(Vec::new, |plan| plan.notes.clone());
    if !notes.iter().any(|note| note.warning) {
        notes.extend(status::new_problem(object, planned, next));
    }
    notes
}

/// Turns a panic into an error: a bug that one platform meets must not stop the others.
async fn guarded(work: impl Future<Output = Result<Next, Error>>) -> Result<Next, Error> {
    AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .unwrap_or_else(|panic| {
            let said = panic.downcast_ref::<&str>().map(ToString::to_string);
            let said = said.or_else(|| panic.downcast_ref::<String>().cloned());
            Err(Error::Panicked(
                said.unwrap_or_else(|| "no words".to_owned()),
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_bug_that_one_platform_meets_is_an_error_of_that_platform() {
        let error = guarded(async { panic!("no such {}", "service") })
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Panicked(said) if said == "no such service"));
    }
}
