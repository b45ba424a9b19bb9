//! The images of a platform: what its spec names, and what is known of them.
//!
//! In: image references, what is remembered of them, the operator's policy. Out: which image a reference stands for, if the policy lets it; and what a registry
//! has to be asked. An image that the policy forbids has no digest, so it has no release. Must not ask anybody.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

use std::collections::BTreeMap;

use super::Platform;
use super::release::Release;
use crate::api::spec::CrmPlatformSpec;
use crate::api::status::ResolvedImage;

/// The first field that names it, by image reference.
pub(super) fn fields(spec: &CrmPlatformSpec) -> BTreeMap<String, String> {
    let services = spec.services.iter();
    let services = services.map(|own| ("services", &own.name, &own.image));
    let tests = spec.tests.iter();
    let tests = tests.map(|own| ("tests", &own.name, &own.image));
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

    /// The release that the spec asks for, once every reference is known by digest.
    pub fn wanted(&self, images: &[ResolvedImage]) -> Option<Release> {
        self.wanted
            .with_images(|reference| self.image(reference, images))
    }
}

fn find<'a>(reference: &str, known: &'a [ResolvedImage]) -> Option<&'a ResolvedImage> {
    known.iter().find(|image| image.reference == reference)
}

#[cfg(test)]
mod tests;
