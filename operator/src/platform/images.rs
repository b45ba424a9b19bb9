//! The images of a platform: what its spec names, and what is known of them.
//!
//! In: image references, what is remembered of them, the operator's policy. Out: which image a reference stands for, if the policy lets it; and what a registry
//! has to be asked. An image that the policy forbids has no digest, so it has no release. Must not ask anybody.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

use std::collections::BTreeMap;

use super::release::Release;
use super::{Invalid, Platform, Settings, invalid};
use crate::api::spec::{CrmPlatformSpec, TestSpec};
use crate::api::status::ResolvedImage;

/// Most characters of all image references of a spec that the status has to remember, each counted once.
pub(crate) const REFERENCES_LIMIT: usize = 1024;

/// The first field that names it, by image reference.
///
/// # Errors
/// [`Invalid`] when the status would have no room for what is known of them.
pub(super) fn bounded(
    spec: &CrmPlatformSpec,
    settings: &Settings,
) -> Result<BTreeMap<String, String>, Invalid> {
    let fields = fields(spec);
    let is_remembered = |reference: &&String| {
        settings.images.requires_signature() || !reference.contains("@sha256:")
    };
    let remembered = fields.keys().filter(is_remembered);
    let all: usize = remembered.map(String::len).sum();
    if all <= REFERENCES_LIMIT {
        return Ok(fields);
    }
    Err(invalid(
        "spec.services[].image",
        &format!(
            "and the other images have {all} characters together, of at most {REFERENCES_LIMIT} that the status has room for"
        ),
        "use one image for several services, shorter names, or images by digest",
    ))
}

/// The image of a test that is not that of all: its own, or that of its service.
pub(super) fn own_image<'a>(spec: &'a CrmPlatformSpec, test: &'a TestSpec) -> Option<&'a String> {
    let of_service = || {
        let mut services = spec.services.iter();
        services.find(|own| Some(&own.name) == test.service.as_ref())
    };
    test.image.as_ref().or_else(|| of_service()?.image.as_ref())
}

/// The first field that names it, by image reference.
fn fields(spec: &CrmPlatformSpec) -> BTreeMap<String, String> {
    let services = spec.services.iter();
    let services = services.map(|own| ("services", &own.name, own.image.as_ref()));
    let tests = spec.tests.iter();
    let tests = tests.map(|own| ("tests", &own.name, own_image(spec, own)));
    let mut fields = BTreeMap::new();
    for (list, name, image) in services.chain(tests) {
        let (field, image) = match image {
            Some(image) => (format!("spec.{list}[{name}].image"), Some(image)),
            None => ("spec.image".to_owned(), spec.image.as_ref()),
        };
        if let Some(image) = image {
            fields.entry(image.clone()).or_insert(field);
        }
    }
    fields
}

impl Platform {
    /// Every image reference of the spec, sorted, once each.
    pub fn references(&self) -> Vec<String> {
        self.image_fields.keys().cloned().collect()
    }

    /// The same, each with the first field that names it.
    pub fn image_fields(&self) -> impl Iterator<Item = (&String, &String)> {
        self.image_fields.iter()
    }

    /// The image by digest that a reference stands for. Nothing as long as that is not known, or not known to be what the policy asks for today.
    pub fn image(&self, reference: &str, known: &[ResolvedImage]) -> Option<String> {
        let policy = &self.settings.images;
        policy.permits(reference).ok()?;
        let known = find(reference, known);
        if !policy.trusts(known.and_then(|known| known.signed_by.as_deref())) {
            return None;
        }
        let image = match reference.contains("@sha256:") {
            true => reference,
            false => known?.image.as_str(),
        };
        policy.permits(image).is_ok().then(|| image.to_owned())
    }

    /// What a registry has to be asked, by reference: nothing about what is known or forbidden. A tag whose digest is known keeps it, so that a stricter
    /// policy starts no release; then only the signer of that digest is asked for.
    pub fn questions(&self, known: &[ResolvedImage]) -> BTreeMap<String, String> {
        let references = self.image_fields.keys();
        let references = references.filter(|reference| !self.is_open(reference));
        let open = references.filter(|reference| {
            let permitted = self.settings.images.permits(reference).is_ok();
            permitted && self.image(reference, known).is_none()
        });
        let question = |reference: &String| {
            find(reference, known).map_or_else(|| reference.clone(), |known| known.image.clone())
        };
        open.map(|reference| (reference.clone(), question(reference)))
            .collect()
    }

    /// Whether another tag may have to stand in the place of this one, which is therefore not asked about.
    pub fn is_open(&self, reference: &str) -> bool {
        let update = self.image_update.as_ref().filter(|_| self.image_is_open);
        update.is_some_and(|update| update.begins_at == reference)
    }

    /// The release that the spec asks for, once every reference is known by digest.
    pub fn wanted(&self, images: &[ResolvedImage]) -> Option<Release> {
        let wanted = Some(&self.wanted).filter(|_| !self.image_is_open)?;
        wanted.with_images(|reference| self.image(reference, images))
    }
}

fn find<'a>(reference: &str, known: &'a [ResolvedImage]) -> Option<&'a ResolvedImage> {
    known.iter().find(|image| image.reference == reference)
}

#[cfg(test)]
mod tests;
