//! Stable and candidate side by side: pods of both releases on a copy of the candidate's scratch database, and the tests that compare them.
//!
//! The scope of every function here is that of the candidate: all of it belongs to its trial, carries its id on its label and goes when the trial is over.
//! No pod of it is on the live database, and no live Service selects one: their track is another.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Service;
use serde_json::Value;

use super::environment::{self, Role};
use super::job::Step;
use super::{Scope, Track, deployment, job, labels, names, service};
use crate::platform::release::{Release, ReleaseService, ReleaseTest};

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The release that serves users.
    Stable,
    /// The release that is tried.
    Candidate,
}

/// The release on one side.
#[derive(Clone, Copy, Debug)]
pub struct Beside<'a> {
    /// Which of the two.
    pub side: Side,
    /// Its id.
    pub id: &'a str,
    /// The release.
    pub release: &'a Release,
}

impl Side {
    /// Track of its pods.
    pub fn track(self) -> &'static str {
        match self {
            Self::Stable => labels::BESIDE_STABLE,
            Self::Candidate => labels::BESIDE_CANDIDATE,
        }
    }

    /// Name of the Deployment and Service of one of its services.
    pub(super) fn host(self, scope: Scope<'_>, service: &str) -> String {
        let side = match self {
            Self::Stable => "stable",
            Self::Candidate => "copy",
        };
        names::beside(&scope.platform.name, service, (scope.id, side))
    }
}

impl Beside<'_> {
    /// Address of one of its services.
    pub fn address(&self, scope: Scope<'_>, service: &ReleaseService) -> Service {
        service::beside(scope, service, self.side)
    }

    /// Pod of one of its services.
    pub fn pods(&self, scope: Scope<'_>, service: &ReleaseService) -> Deployment {
        let mut env = environment::database(scope, Role::App, Track::Beside);
        env.extend(self.delivery(scope));
        deployment::beside(scope, service, (self.side, env))
    }

    /// Its own tests, against its own pods.
    pub fn test(&self, scope: Scope<'_>, step: &Step, test: &ReleaseTest) -> Job {
        job::pointed(scope, step, (test, self.delivery(scope)))
    }

    /// A test of the candidate that finds the candidate where tests always do, and this release beside it.
    pub fn comparison(&self, scope: Scope<'_>, step: &Step, test: &ReleaseTest) -> Job {
        let mut env = environment::delivery(scope, Track::Beside);
        env.extend(self.addresses(scope, names::stable_url_variable));
        let budget = test.budget().unwrap_or_default().to_string();
        env.push(environment::variable("CRM_MAX_REGRESSION_PERCENT", &budget));
        job::pointed(scope, step, (test, env))
    }

    /// It is told its own release; and that it is a candidate, because it serves no user.
    fn delivery(&self, scope: Scope<'_>) -> Vec<Value> {
        let track = environment::track_name(Track::Beside);
        let mut env = environment::identity(scope, (self.id, track));
        env.extend(self.addresses(scope, names::url_variable));
        env
    }

    fn addresses(&self, scope: Scope<'_>, variable: impl Fn(&str) -> String) -> Vec<Value> {
        let services = self.release.services.iter();
        let address = |service: &ReleaseService| {
            let host = self.side.host(scope, &service.name);
            environment::address(variable(&service.name), &host, service)
        };
        services.map(address).collect()
    }
}
