//! The user's Secrets: which of them a platform may use, and which version its pods have.
//!
//! In: the release, and names and versions of the Secrets that carry the label for this platform; never their content. Out: why a release cannot begin, or what
//! its pods carry so that a changed Secret starts them again. Secrets that the operator made itself need no label.

use super::draft::Draft;
use crate::api::conditions::SECRET_NOT_USABLE;
use crate::api::status::Finding;
use crate::desired::{content_hash, labels};
use crate::platform::release::{DatabaseUse, Release, ReleaseService};

/// Seconds after which a watch that has shown nothing yet is looked at again.
const WATCH_AGAIN: f64 = 2.0;

/// Whether nothing of a release may be made for want of its Secrets; says why.
pub(super) fn hinders(draft: &mut Draft<'_>, release: &Release) -> bool {
    let needed = needed(release);
    if needed.is_empty() {
        return false;
    }
    let Some(usable) = &draft.observed.secrets else {
        match draft.wants_stable() {
            true => draft.wake_in(WATCH_AGAIN),
            false => draft.wait("the watch of Secrets", WATCH_AGAIN),
        }
        return true;
    };
    let missing = needed.iter().filter(|(name, _)| !usable.contains_key(name));
    let missing: Vec<_> = missing.collect();
    if let Some(finding) = unusable(draft, &missing) {
        draft.problem.get_or_insert(finding);
    }
    !missing.is_empty()
}

/// Why an earlier release cannot be gone back to.
pub(super) fn refusal(draft: &Draft<'_>, release: &Release) -> Option<String> {
    let needed = needed(release);
    let Some(usable) = &draft.observed.secrets else {
        let why = "the operator has just started and does not know its Secrets yet: ask again";
        return (!needed.is_empty()).then(|| why.to_owned());
    };
    let missing = needed.iter().filter(|(name, _)| !usable.contains_key(name));
    let missing: Vec<_> = missing.collect();
    unusable(draft, &missing).map(|finding| finding.message)
}

fn unusable(draft: &Draft<'_>, missing: &[&(String, String)]) -> Option<Finding> {
    if missing.is_empty() {
        return None;
    }
    let said = missing
        .iter()
        .map(|(name, field)| format!("Secret {name} ({field})"));
    let mut names: Vec<_> = missing.iter().map(|(name, _)| name.as_str()).collect();
    names.dedup();
    let (namespace, platform) = (&draft.platform.namespace, &draft.platform.name);
    let message = format!(
        "not there, or not labelled for this platform: {}; make it, or: kubectl -n {namespace} label secret {} {}={platform}",
        said.collect::<Vec<_>>().join(", "),
        names.join(" "),
        labels::USABLE_BY
    );
    Some(Finding::new(SECRET_NOT_USABLE, message))
}

/// The user's Secrets of a release, each with the field that names it, by name.
fn needed(release: &Release) -> Vec<(String, String)> {
    let services = release.services.iter();
    let of_services = services.flat_map(|own| {
        let field = format!("spec.services[{}].secrets", own.name);
        let secrets = own.secrets.iter();
        secrets.map(move |name| (name.clone(), field.clone()))
    });
    let mut all: Vec<_> = of_services.collect();
    if let DatabaseUse::Secret { secret, app_secret } = &release.database {
        all.push((secret.clone(), "spec.database.secret".to_owned()));
        if app_secret != secret {
            all.push((app_secret.clone(), "spec.database.appSecret".to_owned()));
        }
    }
    all.sort();
    all
}

/// What stands for the versions of the user's Secrets that pods of a service read; empty when they read none, nothing when that is not known.
pub(super) fn version(
    draft: &Draft<'_>,
    release: &Release,
    service: &ReleaseService,
) -> Option<String> {
    let mut names = service.secrets.clone();
    if let DatabaseUse::Secret { app_secret, .. } = &release.database {
        names.push(app_secret.clone());
    }
    if names.is_empty() {
        return Some(String::new());
    }
    let usable = draft.observed.secrets.as_ref()?;
    let versions = names.into_iter().map(|name| {
        let version = usable.get(&name)?.clone();
        Some((name, version))
    });
    let versions: Vec<_> = versions.collect::<Option<_>>()?;
    Some(content_hash(&versions))
}
