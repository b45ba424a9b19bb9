//! What is known of the images that the spec names: by digest, allowed by the operator's policy, and signed where it asks for that.
//!
//! In: the spec, the answers of the registry. Out: what is remembered of each image, and what stands against the release. An image that the policy forbids is
//! never resolved. Must not begin or end a release: `admit` does.

use super::draft::Draft;
use crate::api::conditions;
use crate::api::status::{Finding, ResolvedImage};
use crate::observed::{Resolution, Unresolved};

/// Seconds after which an image that could not be resolved is tried again.
pub(super) const RESOLVE_AGAIN: f64 = 10.0;
/// Seconds after which an answer that has not come yet is looked for.
pub(super) const ANSWER_AFTER: f64 = 1.0;

/// Keeps what the registry said about references of the spec, and forgets references that are gone.
pub(super) fn resolve(draft: &mut Draft<'_>) {
    let platform = draft.platform;
    let references = platform.references();
    draft
        .memory
        .images
        .retain(|image| references.contains(&image.reference));
    for (reference, field) in platform.image_fields() {
        if let Err(refusal) = platform.settings.images.permits(reference) {
            // Only a changed spec or a restarted operator can help: nothing to look for.
            let message = format!("{field} {reference:?} {refusal}");
            draft.problem = Some(Finding::new(conditions::IMAGE_NOT_ALLOWED, message));
            return;
        }
    }
    for (reference, field) in platform.image_fields() {
        let is_known = platform.image(reference, &draft.memory.images).is_some();
        if !is_known && !platform.is_open(reference) {
            take_answer(draft, reference, field);
        }
    }
}

fn take_answer(draft: &mut Draft<'_>, reference: &str, field: &str) {
    match draft.observed.resolutions.get(reference).cloned() {
        Some(Ok(resolution)) => remember(draft, reference, resolution),
        Some(Err(Unresolved::Refused(problem))) => {
            draft.problem = Some(Finding::new(conditions::IMAGE_NOT_RESOLVED, problem));
            draft.wake_in(RESOLVE_AGAIN);
        }
        Some(Err(Unresolved::NotSigned(problem))) => {
            let message = format!("{field}: {problem}");
            draft.problem = Some(Finding::new(conditions::IMAGE_NOT_SIGNED, message));
            draft.wake_in(RESOLVE_AGAIN);
        }
        Some(Err(Unresolved::OutOfReach(problem))) => {
            ask_again(draft, format!("the registry: {problem}"), RESOLVE_AGAIN);
        }
        None => {
            let what = format!("the registry to know {reference}");
            ask_again(draft, what, ANSWER_AFTER);
        }
    }
}

pub(super) fn remember(draft: &mut Draft<'_>, reference: &str, resolution: Resolution) {
    let images = &mut draft.memory.images;
    images.retain(|image| image.reference != reference);
    images.push(ResolvedImage {
        reference: reference.to_owned(),
        image: resolution.image,
        signed_by: resolution.signed_by,
    });
}

/// What a candidate waits for is of more use to people than what the next one will need.
pub(super) fn ask_again(draft: &mut Draft<'_>, what: String, seconds: f64) {
    match draft.memory.candidate {
        Some(_) => draft.wake_in(seconds),
        None => draft.wait(what, seconds),
    }
}

/// Who signed the images of the release that the spec asks for. Nobody where no signature is asked for: then only some of them may be known to be signed.
pub(super) fn signers(draft: &Draft<'_>) -> Vec<String> {
    if !draft.platform.settings.images.requires_signature() {
        return Vec::new();
    }
    let images = draft.memory.images.iter();
    let mut signers: Vec<_> = images.filter_map(|image| image.signed_by.clone()).collect();
    signers.sort();
    signers.dedup();
    signers
}

/// Why the policy of today does not let a recorded release become live, or go on towards that.
pub(super) fn forbids(draft: &Draft<'_>, id: &str) -> Option<String> {
    let policy = &draft.platform.settings.images;
    let release = draft.release(id)?;
    let mut images = release.images();
    let refused = images.find_map(|image| {
        let refusal = policy.permits(image).err()?;
        Some(format!("image {image:?} {refusal}"))
    });
    let mut records = draft.memory.releases.iter();
    let record = records.find(|record| record.release == id);
    let signers = record.map_or(&[][..], |record| &record.signed_by);
    let trusted = signers.iter().all(|signer| policy.trusts(Some(signer)));
    let is_signed = !policy.requires_signature() || (trusted && !signers.is_empty());
    refused.or_else(|| {
        (!is_signed).then(|| {
            "it was begun before its images were known to be signed with the operator's present key: ask for them in the spec, then they are checked"
                .to_owned()
        })
    })
}

#[cfg(test)]
mod tests;
