//! Names of all objects. A name that would be longer than Kubernetes allows is cut and ends in a hash of the whole, so that two names stay two names.

use sha2::{Digest, Sha256};

use super::Scope;
use super::job::Step;
use crate::api::status::{Slot, Stage};

/// Longest name of a Service, and of a Job whose name becomes a label.
const LIMIT: usize = 63;

/// Service of a live service.
pub fn live(platform: &str, service: &str) -> String {
    bounded(format!("{platform}-{service}"))
}

/// Deployment of a live service.
pub fn pods(platform: &str, service: &str, slot: Slot) -> String {
    match slot {
        Slot::Blue => live(platform, service),
        Slot::Green => bounded(format!("{platform}-{service}-green")),
    }
}

/// Service by which tests reach the pods of a canary, and those only.
pub fn preview(platform: &str, service: &str) -> String {
    bounded(format!("{platform}-{service}-preview"))
}

/// Deployment and Service of a service of a candidate.
pub fn candidate(platform: &str, service: &str, release: &str) -> String {
    bounded(format!("{platform}-{service}-{release}"))
}

/// Deployment and Service of a service that is tried beside another release; `side` says which of the two it is of.
pub fn beside(platform: &str, service: &str, (release, side): (&str, &str)) -> String {
    bounded(format!("{platform}-{service}-{release}-{side}"))
}

/// A Job of a release: stage and step keep the same phase on the scratch and on the live database apart; the attempt comes last.
pub fn job(scope: Scope<'_>, step: &Step) -> String {
    let stage = step.stage.name().to_lowercase();
    bounded(format!(
        "{}-{}-{stage}-{}-{}",
        scope.platform.name, scope.id, step.name, step.attempt
    ))
}

/// Recorded inputs of a release.
pub fn revision(platform: &str, release: &str) -> String {
    bounded(format!("{platform}-{release}"))
}

/// ConfigMap with the whole reports and logs of a release.
pub fn reports(platform: &str, release: &str) -> String {
    bounded(format!("{platform}-{release}-reports"))
}

/// Begins the keys in it of one step of a release, and its field manager.
pub fn kept(stage: Stage, step: &str, attempt: Option<i32>) -> String {
    let stage = stage.name().to_lowercase();
    match attempt {
        Some(attempt) => format!("{stage}-{step}-{attempt}"),
        None => format!("{stage}-{step}"),
    }
}

/// Embedded database: StatefulSet, Service and ConfigMap.
pub fn postgres(platform: &str) -> String {
    format!("{platform}-postgres")
}

/// Secret of the role that migrates the embedded database.
pub fn database_secret(platform: &str) -> String {
    format!("{platform}-db")
}

/// Secret of the role that serves from the embedded database.
pub fn app_database_secret(platform: &str) -> String {
    format!("{platform}-db-app")
}

/// Secret of the platform's signing key.
pub fn identity_secret(platform: &str) -> String {
    format!("{platform}-identity")
}

/// NetworkPolicy of a platform by what it is about.
pub fn policy(platform: &str, about: &str) -> String {
    bounded(format!("{platform}-{about}"))
}

/// NetworkPolicy of what a service may call.
pub fn egress_policy(platform: &str, service: &str) -> String {
    bounded(format!("{platform}-{service}-egress"))
}

/// HTTPRoute or Ingress of a platform.
pub fn exposure(platform: &str) -> String {
    platform.to_owned()
}

/// Volume of the dumps of the live database.
pub fn backup_claim(platform: &str) -> String {
    format!("{platform}-backup")
}

/// What all dumps of a platform are called by: the volume outlives the platform, and a later one of the same name must know its own.
pub fn own_dumps(platform_uid: &str) -> String {
    short(platform_uid)
}

/// Dump that a Job makes, and its file but for the ending.
pub fn dump(platform_uid: &str, release: &str, attempt: i32) -> String {
    format!("{}-{release}-{attempt}", own_dumps(platform_uid))
}

/// Scratch database of a release. The platform's UID keeps two platforms on one server apart.
pub fn scratch_database(platform_uid: &str, release: &str) -> String {
    format!("scratch_{}_{release}", short(platform_uid))
}

fn short(uid: &str) -> String {
    let letters = uid.chars().filter(char::is_ascii_alphanumeric);
    letters.take(8).collect()
}

/// Copy of a scratch database, on which stable and the candidate serve side by side.
pub fn scratch_copy(platform_uid: &str, release: &str) -> String {
    format!("{}_copy", scratch_database(platform_uid, release))
}

/// Environment variable that holds the address of a service.
pub fn url_variable(service: &str) -> String {
    format!("CRM_{}_URL", service.to_uppercase().replace('-', "_"))
}

/// Environment variable that holds the address of a service of stable, for a test that is pointed at both.
pub fn stable_url_variable(service: &str) -> String {
    url_variable(&format!("stable-{service}"))
}

fn bounded(name: String) -> String {
    if name.len() <= LIMIT {
        return name;
    }
    let hash: String = Sha256::digest(&name)
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{}-{hash}", name[..LIMIT - 9].trim_end_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let first = candidate(
            "a-platform-with-a-very-long-nam",
            "a-service-of-length2",
            "r123456789a",
        );
        let second = candidate(
            "a-platform-with-a-very-long-nam",
            "a-service-of-length2",
            "r123456789b",
        );
        assert!(first.len() <= LIMIT && second.len() <= LIMIT);
        assert_ne!(first, second);
    }
}
