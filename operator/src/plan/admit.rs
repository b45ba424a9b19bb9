//! Which release the spec asks for, and what that means for the one at work.

use super::draft::{Draft, superseded};
use crate::api::conditions;
use crate::api::status::{Finding, ResolvedImage, Stage, Verdict};

/// Seconds after which an image that could not be resolved is tried again.
const RESOLVE_AGAIN: f64 = 10.0;

/// Records resolved images and admits, keeps or replaces the candidate.
pub(super) fn admit(draft: &mut Draft<'_>) {
    resolve(draft);
    let Some(release) = draft.platform.wanted(&draft.memory.images) else {
        return;
    };
    let id = release.id();
    draft.wanted = Some((id.clone(), release.clone()));
    let stable = draft
        .memory
        .stable
        .as_ref()
        .is_some_and(|stable| stable.release == id);
    match draft.memory.candidate.clone() {
        Some(candidate) if candidate.release == id => {}
        Some(candidate) => {
            draft.superseded = true;
            replace(
                draft,
                candidate.stage,
                candidate.returning.is_some(),
                candidate.held.is_some(),
            );
        }
        None if stable
            || draft
                .memory
                .rejected
                .iter()
                .any(|rejected| rejected.release == id) => {}
        None => {
            draft.superseded = draft.memory.stable.is_some();
            if draft.memory.scratch.contains(&id) {
                draft.wait(
                    format!("the scratch database of an earlier try of release {id} to be dropped"),
                    5.0,
                );
            } else if super::optimise::is_at_rest(draft) {
                draft.start(&id, &release);
            }
        }
    }
}

/// A running test is dropped at once, a running migration never, a roll-out is taken back.
fn replace(draft: &mut Draft<'_>, stage: Stage, returning: bool, held: bool) {
    match stage {
        _ if returning => {}
        _ if held => draft.conclude(Verdict::Superseded, superseded()),
        Stage::Resolve | Stage::Rehearse | Stage::Gate => {
            draft.conclude(Verdict::Superseded, superseded())
        }
        Stage::Migrate => {}
        Stage::Rollout | Stage::Verify | Stage::Optimise => draft.start_return(superseded()),
    }
}

/// Keeps what the registry said about references of the spec, and forgets references that are gone.
fn resolve(draft: &mut Draft<'_>) {
    let references = draft.platform.references();
    draft
        .memory
        .images
        .retain(|image| references.contains(&image.reference));
    for reference in references {
        if reference.contains("@sha256:")
            || draft
                .memory
                .images
                .iter()
                .any(|image| image.reference == reference)
        {
            continue;
        }
        match draft.observed.resolutions.get(&reference) {
            Some(Ok(image)) => draft.memory.images.push(ResolvedImage {
                reference,
                image: image.clone(),
            }),
            Some(Err(problem)) => {
                draft.problem = Some(Finding {
                    reason: conditions::IMAGE_NOT_RESOLVED.to_owned(),
                    message: problem.clone(),
                });
                draft.wait(format!("the registry to know {reference}"), RESOLVE_AGAIN);
            }
            None => draft.wait(format!("the registry to know {reference}"), RESOLVE_AGAIN),
        }
    }
}
