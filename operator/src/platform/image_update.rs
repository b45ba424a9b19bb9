//! Which tag of its repository stands for `spec.image`: the newest version in the range of `spec.imageUpdate`.
//!
//! In: the spec, what is remembered, the tags of a registry. Out: a tag. Versions are compared as Semantic Versioning says. Ranges are read as Flux and npm read
//! them (a bare `1.2` is `1.2.x`, a space is *and*, `||` is *or*), with the rule of npm and cargo for pre-releases. Must not ask anybody, and must not judge an image.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

use std::collections::BTreeMap;

use semver::{Version, VersionReq};

use super::{Invalid, Platform, invalid};
use crate::api::spec::CrmPlatformSpec;
use crate::api::status::{ImageUpdate, Memory};

/// How many versions of a repository are kept: whoever pushes to it decides how many there are.
pub const KEPT: usize = 1000;

/// The newest versions among the tags of a repository, as tags, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    newest: Box<[Box<str>]>,
    /// There are older ones that were not kept.
    are_cut: bool,
}

impl Tags {
    /// Reads what a registry lists.
    pub fn of(tags: impl IntoIterator<Item = String>) -> Self {
        let mut all = Gathered::default();
        tags.into_iter().for_each(|tag| all.add(tag));
        all.tags()
    }

    /// Versions above another one, the newest first.
    fn above(&self, floor: &Version) -> impl Iterator<Item = (Version, &str)> {
        let newest = self.newest.iter();
        let newest = newest.filter_map(|tag| Some((version(tag)?, &**tag)));
        newest.take_while(move |(version, _)| version > floor)
    }

    /// Whether there may be versions above another one that were not kept.
    fn hide_some_above(&self, floor: &Version) -> bool {
        let oldest = self.newest.last().and_then(|tag| version(tag));
        self.are_cut && oldest.is_some_and(|oldest| oldest > *floor)
    }
}

/// Tags as they come, page by page, and never many of them. What is no version is left out. Of two tags of one version the shorter one counts, so the one
/// without `v`.
#[derive(Debug, Default)]
pub struct Gathered {
    all: BTreeMap<Version, String>,
    are_cut: bool,
}

impl Gathered {
    /// One more tag.
    pub fn add(&mut self, tag: String) {
        let Some(version) = version(&tag) else {
            return;
        };
        let known = self.all.entry(version).or_insert_with(|| tag.clone());
        if (tag.len(), &tag) < (known.len(), known) {
            *known = tag;
        }
        if self.all.len() > KEPT {
            self.all.pop_first();
            self.are_cut = true;
        }
    }

    /// What is kept of them.
    pub fn tags(self) -> Tags {
        let newest = self.all.into_values().rev();
        Tags {
            newest: newest.map(String::into_boxed_str).collect(),
            are_cut: self.are_cut,
        }
    }
}

/// The version that a tag names: three numbers, perhaps with a `v` before and a pre-release behind.
fn version(tag: &str) -> Option<Version> {
    let is_tag = tag.len() <= 128
        && tag
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    let version = Version::parse(tag.strip_prefix('v').unwrap_or(tag)).ok();
    version.filter(|_| is_tag)
}

/// Most images that are looked at, from the newest one on: a registry has to be asked about each.
const LOOKED_AT: usize = 5;

/// `spec.imageUpdate`, and the tag where it begins.
#[derive(Clone, Debug)]
pub struct Update {
    /// `spec.image` as it is written.
    pub begins_at: String,
    /// The same without its tag.
    pub repository: String,
    /// Seconds from one look at the registry to the next.
    pub interval_seconds: u32,
    tag: String,
    floor: Version,
    range: Vec<VersionReq>,
}

impl Update {
    /// Reads `spec.imageUpdate`.
    ///
    /// # Errors
    /// [`Invalid`] when the range or the tag of `spec.image` cannot be followed.
    pub(super) fn parse(spec: &CrmPlatformSpec) -> Result<Option<Self>, Invalid> {
        let Some(update) = &spec.image_update else {
            return Ok(None);
        };
        let image = spec.image.clone().unwrap_or_default();
        let (repository, tag) = image.rsplit_once(':').unwrap_or((&image, ""));
        let floor = version(tag).filter(|_| !image.contains('@'));
        let floor = floor.ok_or_else(|| {
            invalid(
                "spec.image",
                "has no tag that is a version of three numbers, where spec.imageUpdate could begin",
                "write it as repository:1.4.0 and without a digest, or remove spec.imageUpdate",
            )
        })?;
        Ok(Some(Self {
            repository: repository.to_owned(),
            interval_seconds: u32::try_from(update.interval_seconds).unwrap_or(300),
            tag: tag.to_owned(),
            floor,
            range: range(&update.semver)?,
            begins_at: image,
        }))
    }

    fn covers(&self, version: &Version) -> bool {
        self.range.iter().any(|range| range.matches(version))
    }

    fn reference(&self, tag: &str) -> String {
        format!("{}:{tag}", self.repository)
    }

    /// The image that was found before, with its version, as long as the spec still lets it stand for `spec.image`.
    fn found(&self, known: Option<&ImageUpdate>) -> Option<(String, Version)> {
        let image = &known?.image;
        let tag = image.strip_prefix(&self.repository)?.strip_prefix(':')?;
        let version = version(tag)?;
        let fits = tag == self.tag || (version >= self.floor && self.covers(&version));
        fits.then(|| (image.clone(), version))
    }

    /// As [`Update::found`], the reference only.
    pub fn stands_for_it(&self, known: Option<&ImageUpdate>) -> Option<String> {
        self.found(known).map(|(image, _)| image)
    }

    /// Newer images than any that was found or passed over before, the newest one first; without one, than that of the spec.
    pub fn newer(&self, known: Option<&ImageUpdate>, tags: &Tags) -> Vec<String> {
        let done = self.done(known);
        let newer = tags.above(done.as_ref().unwrap_or(&self.floor));
        let newest = newer.filter(|(version, _)| self.covers(version));
        let newest = newest.map(|(_, tag)| self.reference(tag));
        newest.take(LOOKED_AT).collect()
    }

    /// Why it is not known whether there is a newer image, where none of the versions that were kept is one.
    pub fn out_of_sight(&self, known: Option<&ImageUpdate>, tags: &Tags) -> Option<String> {
        let hidden = tags.hide_some_above(&self.done(known)?);
        hidden.then(|| {
            format!(
                "{} has more than {KEPT} versions above the one that is followed, and none of the newest {KEPT} is in spec.imageUpdate.semver: widen the range, or remove tags from the repository",
                self.repository
            )
        })
    }

    /// The highest version that was found or passed over.
    fn done(&self, known: Option<&ImageUpdate>) -> Option<Version> {
        let (_, found) = self.found(known)?;
        let passed = known.and_then(|known| version(known.passed_over.as_ref()?));
        Some(passed.map_or(found.clone(), |passed| passed.max(found)))
    }
}

impl Platform {
    /// Newer images than the one that stands for `spec.image`, which a registry has to be asked about.
    pub fn newer_images(&self, memory: &Memory, tags: &Tags) -> Vec<String> {
        let update = self.image_update.iter();
        let newer = update.map(|update| update.newer(memory.image_update.as_ref(), tags));
        newer.flatten().collect()
    }
}

fn range(text: &str) -> Result<Vec<VersionReq>, Invalid> {
    let read = |part: &str| {
        VersionReq::parse(&comparators(part)).map_err(|error| {
            let problem = format!("{text:?} is not a range of versions ({error})");
            let remedy = "write comparisons such as >=1.4.0 <2.0.0, ~1.4 or 1.x, and || between alternatives";
            invalid("spec.imageUpdate.semver", &problem, remedy)
        })
    };
    text.split("||").map(read).collect()
}

/// Comparisons with commas between them, as the library reads them. A bare version stands for itself, and not, as in Cargo.toml, for all that is compatible.
fn comparators(part: &str) -> String {
    let mut all = Vec::<String>::new();
    let mut operator = String::new();
    for word in part.split([' ', ',']).filter(|word| !word.is_empty()) {
        let begin = word.find(|letter| !"<>=~^!".contains(letter));
        let (sign, version) = word.split_at(begin.unwrap_or(word.len()));
        operator.push_str(sign);
        if version.is_empty() {
            continue;
        }
        let version = version.strip_prefix('v').unwrap_or(version);
        let numbers = version.split('-').next().unwrap_or_default();
        let is_bare =
            operator.is_empty() && numbers.starts_with(|first: char| first.is_ascii_digit());
        if is_bare && !numbers.contains(['x', 'X', '*']) {
            operator.push('=');
        }
        all.push(std::mem::take(&mut operator) + version);
    }
    all.push(operator);
    all.retain(|comparator| !comparator.is_empty());
    all.join(", ")
}

#[cfg(test)]
mod tests;
