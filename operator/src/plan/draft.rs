//! A plan in the making: the memory as it will be, the writes so far, and the moves a release can make.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::action::{Action, Created, Note, Object, SecretRecipe, Target, Write};
use super::{Plan, record, remedy};
use crate::api::conditions;
use crate::api::spec::GatePolicy;
use crate::api::status::{Candidate, Finding, Memory, Rejected, Stable, Stage, Verdict};
use crate::desired::{Scope, labels};
use crate::observed::Observed;
use crate::platform::Platform;
use crate::platform::release::Release;

/// Most releases kept in the status.
const RELEASES_KEPT: usize = 10;
/// Most ledger entries kept in the status; the database holds them all.
const SCHEMA_KEPT: usize = 20;
/// Most rejections remembered.
const REJECTED_KEPT: usize = 10;

/// A plan in the making.
pub(super) struct Draft<'a> {
    pub platform: &'a Platform,
    pub observed: &'a Observed,
    pub now: Timestamp,
    pub memory: Memory,
    pub actions: Vec<Action>,
    pub notes: Vec<Note>,
    pub waiting: Option<String>,
    pub problem: Option<Finding>,
    pub wanted: Option<(String, Release)>,
    /// The spec asks for another release than the one at work.
    pub superseded: bool,
    /// A release changed its stage: no write may follow in this plan.
    pub moved: bool,
    /// The embedded database, if there is to be one, is up.
    pub database_answers: bool,
    wake: Option<Duration>,
}

/// The finding of a release whose place was taken.
pub(super) fn superseded() -> Finding {
    Finding::new(conditions::SUPERSEDED, "a newer spec took its place")
}

impl<'a> Draft<'a> {
    pub fn new(platform: &'a Platform, observed: &'a Observed, now: Timestamp) -> Self {
        Self {
            platform,
            observed,
            now,
            memory: observed.memory.clone(),
            actions: Vec::new(),
            notes: Vec::new(),
            waiting: None,
            problem: None,
            wanted: None,
            superseded: false,
            moved: false,
            database_answers: false,
            wake: None,
        }
    }

    pub fn finish(mut self, safety_net: Duration) -> Plan {
        if self.moved {
            self.actions.clear();
            self.wake = None;
        }
        self.memory.releases.truncate(RELEASES_KEPT);
        self.memory.schema.truncate(SCHEMA_KEPT);
        self.memory.rejected.truncate(REJECTED_KEPT);
        record::compact(&mut self.memory.releases);
        Plan {
            actions: self.actions,
            memory: self.memory,
            notes: self.notes,
            requeue: self.wake.unwrap_or(safety_net),
            waiting: self.waiting,
            wanted: self.wanted.map(|(id, _)| id),
            problem: self.problem,
        }
    }

    // --- what is being worked on

    /// Id of the candidate.
    pub fn candidate_id(&self) -> String {
        self.memory
            .candidate
            .as_ref()
            .map(|candidate| candidate.release.clone())
            .unwrap_or_default()
    }

    /// The recorded inputs of a release; of the wanted one also before they are recorded.
    pub fn release(&self, id: &str) -> Option<Release> {
        let recorded = self.observed.releases.get(id).cloned();
        recorded.or_else(|| {
            let wanted = self.wanted.as_ref().filter(|(wanted, _)| wanted == id);
            wanted.map(|(_, release)| release.clone())
        })
    }

    /// Whether the spec asks for the release that serves.
    pub fn wants_stable(&self) -> bool {
        let wanted = self.wanted.as_ref().map(|(id, _)| id);
        wanted.is_some() && wanted == self.memory.stable.as_ref().map(|stable| &stable.release)
    }

    /// A migration of the live database that has not ended, other than the Job `except`: never may two of them run, nor a release begin beside one.
    pub fn live_migration(&self, except: &str) -> Option<String> {
        let jobs = self.observed.jobs.values();
        let mut jobs = jobs.filter(|job| job.owner == self.platform.uid && job.live_migration);
        let job = jobs.find(|job| job.end.is_none() && job.name != except);
        let own = self.observed.jobs.get(except).map(|job| &job.uid);
        let pods = self.observed.pods.iter();
        let mut pods =
            pods.filter(|pod| pod.track == labels::LIVE_MIGRATION && Some(&pod.controller) != own);
        let pod = pods.find(|pod| !pod.has_ended());
        job.map(|job| format!("Job {}", job.name))
            .or_else(|| pod.map(|pod| format!("pod {}", pod.name)))
    }

    /// A scope of this draft's platform.
    pub fn scope<'b>(&'b self, id: &'b str, release: &'b Release) -> Scope<'b> {
        Scope {
            platform: self.platform,
            id,
            release,
        }
    }

    /// Seconds since a moment.
    pub fn seconds_since(&self, moment: &Time) -> f64 {
        crate::cost::seconds(moment.0, self.now)
    }

    // --- writes

    pub fn apply(&mut self, object: Object, because: impl Into<String>) {
        self.actions.push(Action {
            write: Write::Apply(object),
            because: because.into(),
        });
    }

    pub fn create(&mut self, created: Created, because: impl Into<String>) {
        self.actions.push(Action {
            write: Write::Create(created),
            because: because.into(),
        });
    }

    pub fn create_secret(&mut self, recipe: SecretRecipe) {
        self.actions.push(Action {
            write: Write::CreateSecret(recipe),
            because: "the platform needs it".to_owned(),
        });
    }

    pub fn delete(&mut self, target: Target, because: impl Into<String>) {
        self.actions.push(Action {
            write: Write::Delete(target),
            because: because.into(),
        });
    }

    // --- telling and waiting

    pub fn note(&mut self, warning: bool, reason: &'static str, message: String) {
        self.notes.push(Note {
            warning,
            reason,
            message,
        });
    }

    /// Says what is being waited for and looks again after some seconds at the latest.
    pub fn wait(&mut self, what: impl Into<String>, seconds: f64) {
        self.waiting.get_or_insert_with(|| what.into());
        self.wake_in(seconds);
    }

    pub fn wake_in(&mut self, seconds: f64) {
        let wake = Duration::from_secs_f64(seconds.clamp(0.5, 86_400.0));
        self.wake = Some(self.wake.map_or(wake, |earlier| earlier.min(wake)));
    }

    // --- moves of a release

    /// Makes the wanted release the candidate.
    pub fn start(&mut self, id: &str, release: &Release) {
        let images = release.service_images();
        let now = Time(self.now);
        record::open(
            &mut self.memory.releases,
            id,
            self.platform.generation,
            now.clone(),
        );
        self.memory.candidate = Some(Candidate {
            release: id.to_owned(),
            stage: Stage::Resolve,
            since: now,
            generation: self.platform.generation,
            images,
            held: None,
            returning: None,
        });
        self.enter_next(Verdict::Passed);
    }

    /// Makes a release stable that is live although nothing is remembered of it. Its last stage is done again, which does no harm.
    pub fn adopt(&mut self, id: &str, release: &Release) {
        let now = Time(self.now);
        record::open(
            &mut self.memory.releases,
            id,
            self.platform.generation,
            now.clone(),
        );
        self.close_stage(id, Stage::Resolve, Verdict::Passed, None);
        record::enter(&mut self.memory.releases, id, Stage::Optimise, now.clone());
        let message = format!("the status was lost: release {id}, which is live, counts as stable");
        self.note(true, conditions::ADOPTED, message);
        self.memory.stable = Some(Stable {
            release: id.to_owned(),
            since: now,
            images: release.service_images(),
            optimised: false,
        });
        self.moved = true;
    }

    /// Closes the candidate's stage and enters the next one.
    pub fn enter_next(&mut self, verdict: Verdict) {
        let Some(candidate) = self.memory.candidate.clone() else {
            return;
        };
        self.close_stage(&candidate.release, candidate.stage, verdict, None);
        let next = Stage::ALL
            .into_iter()
            .find(|stage| *stage > candidate.stage)
            .unwrap_or(Stage::Optimise);
        record::enter(
            &mut self.memory.releases,
            &candidate.release,
            next,
            Time(self.now),
        );
        self.note(
            false,
            conditions::STAGE_PASSED,
            format!(
                "release {}: {} {}, {} begins",
                candidate.release,
                candidate.stage.name(),
                verdict.name(),
                next.name()
            ),
        );
        let gated = self
            .release(&candidate.release)
            .is_none_or(|release| release.gate != GatePolicy::None);
        if gated && next == Stage::Rehearse && !self.memory.scratch.contains(&candidate.release) {
            self.memory.scratch.push(candidate.release.clone());
        }
        self.memory.candidate = Some(Candidate {
            stage: next,
            since: Time(self.now),
            ..candidate
        });
        self.moved = true;
    }

    /// Verification is over, passed or with nothing to run: the candidate is stable now.
    pub fn promote(&mut self, verdict: Verdict) {
        let Some(candidate) = self.memory.candidate.take() else {
            return;
        };
        self.close_stage(&candidate.release, Stage::Verify, verdict, None);
        if let Some(old) = self.memory.stable.take()
            && let Some(stage) =
                record::stage(&mut self.memory.releases, &old.release, Stage::Optimise)
            && stage.verdict.is_none()
        {
            stage.verdict = Some(Verdict::Superseded);
            stage.finished_at = Some(Time(self.now));
        }
        record::conclude(
            &mut self.memory.releases,
            &candidate.release,
            Verdict::Passed,
            None,
            Time(self.now),
        );
        record::enter(
            &mut self.memory.releases,
            &candidate.release,
            Stage::Optimise,
            Time(self.now),
        );
        self.memory
            .rejected
            .retain(|rejected| rejected.release != candidate.release);
        self.note(
            false,
            conditions::PROMOTED,
            format!("release {} serves", candidate.release),
        );
        self.memory.stable = Some(Stable {
            release: candidate.release,
            since: Time(self.now),
            images: candidate.images,
            optimised: false,
        });
        self.moved = true;
    }

    /// The candidate is over. A failed one is remembered, so that it is not tried again by itself.
    pub fn conclude(&mut self, verdict: Verdict, finding: Finding) {
        let Some(candidate) = self.memory.candidate.take() else {
            return;
        };
        self.close_stage(
            &candidate.release,
            candidate.stage,
            verdict,
            Some(finding.message.clone()),
        );
        record::conclude(
            &mut self.memory.releases,
            &candidate.release,
            verdict,
            Some(finding.clone()),
            Time(self.now),
        );
        if verdict != Verdict::Superseded {
            let message = format!(
                "release {} was rejected: {}; {}",
                candidate.release,
                finding.message,
                remedy(&finding.reason, &self.memory)
            );
            self.note(true, conditions::REJECTED, message);
            self.memory
                .rejected
                .retain(|rejected| rejected.release != candidate.release);
            let rejected = Rejected {
                release: candidate.release,
                images: candidate.images,
                reason: finding.reason,
                message: finding.message,
                at: Time(self.now),
            };
            self.memory.rejected.insert(0, rejected);
        }
        self.moved = true;
    }

    /// The candidate waits for a person.
    pub fn hold(&mut self, finding: Finding) {
        let Some(candidate) = self.memory.candidate.clone() else {
            return;
        };
        self.close_stage(
            &candidate.release,
            candidate.stage,
            Verdict::Inconclusive,
            Some(finding.message.clone()),
        );
        self.note(
            true,
            conditions::HELD,
            format!(
                "release {} is held: {}; {}",
                candidate.release,
                finding.message,
                remedy(&finding.reason, &self.memory)
            ),
        );
        self.memory.candidate = Some(Candidate {
            held: Some(finding),
            ..candidate
        });
        self.moved = true;
    }

    /// All services go back to stable.
    pub fn start_return(&mut self, finding: Finding) {
        let Some(candidate) = self.memory.candidate.clone() else {
            return;
        };
        let message = format!(
            "release {}: {}; all services return to stable",
            candidate.release, finding.message
        );
        self.note(true, conditions::RETURNING_TO_STABLE, message);
        self.memory.candidate = Some(Candidate {
            since: Time(self.now),
            returning: Some(finding),
            ..candidate
        });
        self.moved = true;
    }

    /// Closes a stage of a release, with the price of its pods.
    pub fn close_stage(
        &mut self,
        id: &str,
        stage: Stage,
        verdict: Verdict,
        message: Option<String>,
    ) {
        let own = self.price_of_pods(id, stage);
        if let Some(record) = record::stage(&mut self.memory.releases, id, stage) {
            let jobs: f64 = record
                .jobs
                .iter()
                .filter_map(|job| job.cost.as_deref())
                .map(crate::cost::parse)
                .sum();
            record.verdict = Some(verdict);
            record.finished_at = Some(Time(self.now));
            record.message = message.or(record.message.take());
            record.cost = Some(crate::cost::decimal(jobs + own));
        }
    }

    /// Price of the pods, other than those of Jobs, that a stage needs: the candidate's in the gate, the new live ones in the roll-out.
    fn price_of_pods(&self, id: &str, stage: Stage) -> f64 {
        let track = match stage {
            Stage::Gate => labels::CANDIDATE,
            Stage::Rollout => labels::STABLE,
            _ => return 0.0,
        };
        let pods = self
            .observed
            .pods
            .iter()
            .filter(|pod| pod.release == id && pod.track == track && !pod.service.is_empty());
        pods.map(|pod| self.platform.settings.prices.pod(pod, self.now))
            .sum()
    }
}
