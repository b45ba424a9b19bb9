//! What people are told of a look beside the status: events, and what is counted of them. In: what was decided, refused or put back. Out: events; one that is
//! lost is no reason to decide anything again.

use crate::api::status::Memory;
use crate::api::{CrmPlatform, conditions};
use crate::apply::{Error as Unapplied, Refused};
use crate::context::{Context, PlatformKey};
use crate::events;
use crate::plan::action::{Correction, Note};

/// Counts and announces what was decided.
pub(super) async fn tell(
    ctx: &Context,
    object: &CrmPlatform,
    (before, after): (&Memory, &Memory),
    notes: &[Note],
) {
    ctx.metrics.releases().count(before, after);
    publish(ctx, object, notes).await;
}

/// Says what was refused of that for which nothing waits; it is tried again at the next look.
pub(super) async fn tell_refused(ctx: &Context, object: &CrmPlatform, refused: Vec<Refused>) {
    let key = PlatformKey::of(object);
    let tried = refused
        .into_iter()
        .filter_map(|refused| Some((refused.write, refused.error?)));
    for (write, error) in tried {
        ctx.metrics.refused();
        tracing::warn!(platform = %key, %error, "refused; the pipeline goes on without it");
        let note = Note {
            warning: true,
            reason: conditions::APPLY_FAILED.to_owned(),
            message: format!("{error}; everything else goes on, and it is tried again"),
        };
        if ctx.told.is_news(&key, &write.key(), &note.message) {
            publish(ctx, object, &[note]).await;
        }
    }
}

/// Says what the API server denies, if it is news.
pub(super) async fn tell_denied(ctx: &Context, object: &CrmPlatform, error: &Unapplied) {
    let Some(denial) = error.denial() else {
        return;
    };
    let key = PlatformKey::of(object);
    if !ctx.told.is_news(&key, &denial.write, &denial.why) {
        return;
    }
    let note = Note {
        warning: true,
        reason: conditions::APPLY_FAILED.to_owned(),
        message: format!(
            "{}; what comes after it waits, and it is tried again",
            denial.why
        ),
    };
    publish(ctx, object, &[note]).await;
}

/// Counts and announces what was put back. It changes no memory, so a status need not be written for it.
pub(super) async fn tell_corrections(
    ctx: &Context,
    object: &CrmPlatform,
    corrections: &[Correction],
) {
    let key = PlatformKey::of(object);
    for correction in corrections {
        ctx.metrics.corrected();
        let is_news = ctx.drift.is_news(&key, &correction.object);
        let notes = std::slice::from_ref(&correction.note);
        if is_news {
            publish(ctx, object, notes).await;
        }
    }
}

async fn publish(ctx: &Context, object: &CrmPlatform, notes: &[Note]) {
    if let Err(error) = events::publish(ctx, object, notes).await {
        tracing::warn!(%error, "an event was lost");
    }
}
