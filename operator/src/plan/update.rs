//! New tags of `spec.image` become releases by themselves, where `spec.imageUpdate` asks for that.
//!
//! In: the tags that a registry lists, and what it said of the newest ones. Out: which image stands for `spec.image`, saved before anything is made of it. An image
//! takes that place only when its digest is known, allowed and not that of a release that was rejected; else the next lower one is looked at, and in the end what
//! stood there stays, or that of the spec begins. It is never replaced by an older one. Must not begin a release: from the next plan on `admit` sees what the
//! spec asks for.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::draft::Draft;
use super::resolve::{ANSWER_AFTER, RESOLVE_AGAIN, ask_again, remember};
use crate::api::conditions;
use crate::api::status::{Finding, ImageUpdate, Rejected, ResolvedImage, ServiceImage};
use crate::observed::{Resolution, Unresolved};
use crate::platform::image_update::{Tags, Update};

/// Most seconds until the tags are looked at again; the registry is asked less often.
const LOOK_AGAIN: f64 = 600.0;

/// Keeps what the tags of `spec.image` say, and forgets it when they are not followed.
pub(super) fn update(draft: &mut Draft<'_>) {
    let (platform, observed) = (draft.platform, draft.observed);
    let Some(update) = &platform.image_update else {
        draft.memory.image_update = None;
        return;
    };
    // The policy forbids the repository: `resolve` has said so.
    let Some(listing) = &observed.tags else {
        return;
    };
    match &listing.answer {
        Some(Ok(tags)) => choose(draft, update, tags),
        Some(Err(problem)) => unlisted(draft, update, problem),
        None if platform.image_is_open => {
            let what = format!("the registry to list the tags of {}", update.repository);
            ask_again(draft, what, ANSWER_AFTER);
        }
        None => {}
    }
    draft.wake_in(listing.again_in.as_secs_f64().min(LOOK_AGAIN));
}

fn choose(draft: &mut Draft<'_>, update: &Update, tags: &Tags) {
    let is_open = draft.platform.image_is_open;
    let found = update.stands_for_it(draft.memory.image_update.as_ref());
    // The spec was read before it was found: the next look knows it.
    if is_open && found.is_some() {
        return;
    }
    let mut unused = None;
    for newer in draft.platform.newer_images(&draft.memory, tags) {
        match draft.observed.resolutions.get(&newer).cloned() {
            Some(Ok(resolution)) => {
                if take(draft, newer, resolution, &mut unused) {
                    return;
                }
            }
            Some(Err(Unresolved::Refused(why) | Unresolved::NotSigned(why))) => {
                unused.get_or_insert(format!("{newer} was found and is not used: {why}"));
            }
            Some(Err(Unresolved::OutOfReach(why))) => {
                return ask_about(draft, format!("the registry: {why}"), RESOLVE_AGAIN);
            }
            None => return ask_about(draft, format!("the registry to know {newer}"), ANSWER_AFTER),
        }
    }
    if unused.is_some() {
        draft.wake_in(RESOLVE_AGAIN);
    }
    if is_open {
        return stand_in(draft, update.begins_at.clone(), unused);
    }
    let hidden = || update.out_of_sight(draft.memory.image_update.as_ref(), tags);
    let why = unused.or_else(hidden);
    tell(draft, why);
}

/// Waits for what is not known of a newer image: what begins with it cannot begin, what serves goes on.
fn ask_about(draft: &mut Draft<'_>, what: String, seconds: f64) {
    match draft.platform.image_is_open {
        true => ask_again(draft, what, seconds),
        false => draft.wake_in(seconds),
    }
}

/// A newer image whose digest is known takes the place of `spec.image`, unless it was rejected under another tag. Whether no lower one is to be looked at.
fn take(
    draft: &mut Draft<'_>,
    reference: String,
    resolution: Resolution,
    unused: &mut Option<String>,
) -> bool {
    let known = ResolvedImage {
        reference: reference.clone(),
        image: resolution.image.clone(),
        signed_by: resolution.signed_by.clone(),
    };
    // An answer that does not say what the policy asks for is a defect.
    let Some(image) = draft.platform.image(&reference, &[known]) else {
        return false;
    };
    let Some(rejected) = rejection(draft, &image).cloned() else {
        remember(draft, &reference, resolution);
        stand_in(draft, reference, unused.take());
        return true;
    };
    let message = format!(
        "{reference} is passed over: it is the image of release {}, which was rejected ({}); push a new image under a higher version",
        rejected.release, rejected.reason
    );
    // Before there is one that stands for the image of the spec, nothing can remember it: it is passed over once there is.
    if draft.platform.image_is_open {
        unused.get_or_insert(message);
        return false;
    }
    draft.note(true, conditions::IMAGE_NOT_FOLLOWED, message);
    if let Some(found) = &mut draft.memory.image_update {
        let tag = reference.rsplit(':').next();
        found.passed_over = tag.map(str::to_owned);
        found.message = None;
    }
    true
}

/// Why an image is not tried again. What stands for `spec.image` already makes the same release under any tag, which `admit` knows.
fn rejection<'d>(draft: &'d Draft<'_>, image: &str) -> Option<&'d Rejected> {
    let mut references = draft.platform.references().into_iter();
    let stands = references.any(|own| {
        let known = draft.platform.image(&own, &draft.memory.images);
        known.as_deref() == Some(image)
    });
    let mut rejected = draft.memory.rejected.iter().filter(|_| !stands);
    // Where the status had no room, the beginning of its digest is left of an image.
    let is_same = |own: &ServiceImage| {
        own.image == image || (own.service.is_empty() && image.contains(&own.image))
    };
    rejected.find(|rejected| rejected.images.iter().any(is_same))
}

/// An image stands for `spec.image` from now on; perhaps there are newer ones that are not used.
fn stand_in(draft: &mut Draft<'_>, image: String, unused: Option<String>) {
    let message = format!("{image} stands for spec.image now, by spec.imageUpdate");
    draft.note(false, conditions::IMAGE_FOUND, message);
    draft.memory.image_update = Some(ImageUpdate {
        image,
        found_at: Time(draft.now),
        passed_over: None,
        message: None,
    });
    tell(draft, unused);
    // What was planned for is not what the spec asks for any more.
    draft.moved = true;
}

/// The tags are not known. What was found before stays; without that nothing can begin.
fn unlisted(draft: &mut Draft<'_>, update: &Update, problem: &Unresolved) {
    let is_open = draft.platform.image_is_open;
    match problem {
        Unresolved::OutOfReach(why) if is_open => {
            ask_again(draft, format!("the registry: {why}"), RESOLVE_AGAIN);
        }
        Unresolved::OutOfReach(_) => {}
        Unresolved::Refused(why) | Unresolved::NotSigned(why) => {
            let why = format!(
                "the tags of {}, which spec.imageUpdate follows, are not known: {why}",
                update.repository
            );
            match is_open {
                true => {
                    draft.problem = Some(Finding::new(conditions::IMAGE_NOT_RESOLVED, why));
                    draft.wake_in(RESOLVE_AGAIN);
                }
                false => tell(draft, Some(why)),
            }
        }
    }
}

/// Says in the status why a newer image is not used, and once as an event.
fn tell(draft: &mut Draft<'_>, why: Option<String>) {
    let finding = why.map(|why| Finding::new(conditions::IMAGE_NOT_FOLLOWED, why));
    let message = finding.map(|finding| finding.message);
    let Some(found) = &mut draft.memory.image_update else {
        return;
    };
    if found.message == message {
        return;
    }
    found.message.clone_from(&message);
    if let Some(message) = message {
        draft.note(true, conditions::IMAGE_NOT_FOLLOWED, message);
    }
}

#[cfg(test)]
mod tests;
