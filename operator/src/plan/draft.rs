//! A plan in the making: the memory as it will be, the writes so far, and what it waits for. Its moves are in `moves`.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::action::{
    Action, Correction, Created, Note, Object, Origin, Replicas, SecretRecipe, Target, Write,
};
use super::keep::Keep;
use super::permit::{self, Hindrance};
use super::{Plan, bound, correction, moves, record};
use crate::api::status::{Finding, Memory, Slot, Stage};
use crate::desired::{Scope, labels};
use crate::observed::{Ask, Observed};
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
    /// Reports and logs to keep.
    pub keeps: Vec<Keep>,
    /// Logs that are not known and have to be, before there is a verdict.
    pub asks: Vec<Ask>,
    pub notes: Vec<Note>,
    pub corrections: Vec<Correction>,
    /// What is written now has stood there before: if it is missing, somebody removed it.
    pub restores: bool,
    pub waiting: Option<String>,
    pub problem: Option<Finding>,
    /// What people hold back.
    pub held_back: Option<Finding>,
    /// Why nobody reaches the platform from outside although the spec says so.
    pub unexposed: Option<Finding>,
    /// The route or Ingress, as `Kind/name`, that is not as the spec says, or was not before the writes of this plan.
    pub way_in_lags: Option<String>,
    /// What it waits for will not come by itself, or not soon.
    pub hindered: bool,
    pub wanted: Option<(String, Release)>,
    /// The spec asks for another release than the one at work.
    pub superseded: bool,
    /// Which request of a person waits for its release.
    pub early: Option<String>,
    /// Why the operator's policy ends the release at work, if it does.
    pub forbidden: Option<Finding>,
    /// The spec asks for another release than when a request to skip the gate was seen, or for none that could begin.
    pub skips_nothing: bool,
    /// Scratch databases that are dropped, by the Job that did it, as `Kind/name`, which is removed.
    pub drops: BTreeMap<String, String>,
    /// A release changed its stage: no write may follow in this plan.
    pub moved: bool,
    /// What the writes of now are for.
    origin: Origin,
    /// The embedded database, if there is to be one, is up.
    pub database_answers: bool,
    wake: Option<Duration>,
}

impl<'a> Draft<'a> {
    pub fn new(platform: &'a Platform, observed: &'a Observed, now: Timestamp) -> Self {
        Self {
            platform,
            observed,
            now,
            memory: observed.memory.clone(),
            actions: Vec::new(),
            keeps: Vec::new(),
            asks: Vec::new(),
            notes: Vec::new(),
            corrections: Vec::new(),
            restores: false,
            waiting: None,
            problem: None,
            held_back: None,
            unexposed: None,
            way_in_lags: None,
            hindered: false,
            wanted: None,
            superseded: false,
            early: None,
            forbidden: None,
            skips_nothing: false,
            drops: BTreeMap::new(),
            moved: false,
            origin: Origin::Standing,
            database_answers: false,
            wake: None,
        }
    }

    pub fn finish(mut self, safety_net: Duration) -> Plan {
        if self.moved {
            self.actions.clear();
            self.corrections.clear();
            self.wake = None;
        }
        self.memory.schema.truncate(SCHEMA_KEPT);
        record::bound_rejected(&mut self.memory.rejected, REJECTED_KEPT);
        let candidate = self.memory.candidate.iter();
        let at_work = candidate.map(|candidate| &candidate.release);
        let stable = self.memory.stable.iter().map(|stable| &stable.release);
        // A change of configuration has no Jobs of its own: what is asked of its code is in the record of another.
        let code = stable
            .clone()
            .map(|stable| record::code_of(&self.memory, stable));
        let at_work: Vec<_> = at_work.chain(stable).cloned().chain(code).collect();
        record::bound(&mut self.memory.releases, RELEASES_KEPT, &at_work);
        record::bound_tails(&mut self.memory.releases);
        let jobs = self.observed.jobs.values();
        let running = jobs.filter(|job| job.end.is_none());
        let running = running.map(|job| job.uid.clone()).collect();
        // A memory that is read has had room.
        if self.memory != self.observed.memory {
            bound::bound(&mut self.memory, &running);
        }
        Plan {
            actions: self.actions,
            keeps: self.keeps,
            asks: self.asks,
            memory: self.memory,
            notes: self.notes,
            corrections: self.corrections,
            requeue: self.wake.unwrap_or(safety_net),
            waiting: self.waiting,
            wanted: self.wanted.map(|(id, _)| id),
            problem: self.problem,
            held_back: self.held_back,
            early: self.early,
            unexposed: self.unexposed,
            way_in_lags: self.way_in_lags,
            hindered: self.hindered,
            drops: self.drops,
            undone: Vec::new(),
        }
    }

    // --- what is being worked on

    /// What was read of a log; nothing as long as it was not asked for.
    pub fn log(&mut self, ask: Ask) -> Option<Result<Vec<u8>, String>> {
        let read = self.observed.logs.get(&ask).cloned();
        if read.is_none() {
            self.asks.push(ask);
        }
        read
    }

    /// Id of the candidate.
    pub fn candidate_id(&self) -> String {
        self.memory
            .candidate
            .as_ref()
            .map(|candidate| candidate.release.clone())
            .unwrap_or_default()
    }

    /// Whether the candidate goes on without rehearsal and tests, as a person asked for.
    pub fn is_ungated(&self) -> bool {
        let candidate = self.memory.candidate.as_ref();
        candidate.is_some_and(|candidate| candidate.ungated)
    }

    /// Where stable's pods stand.
    pub fn stable_slot(&self) -> Slot {
        let stable = self.memory.stable.as_ref();
        stable.map(|stable| stable.slot).unwrap_or_default()
    }

    /// Where the candidate's live pods stand: in stable's place, unless its traffic goes over from there.
    pub fn slot(&self) -> Slot {
        let candidate = self.memory.candidate.as_ref();
        let shift = candidate.and_then(|candidate| candidate.shift.as_ref());
        shift.map_or_else(|| self.stable_slot(), |shift| shift.slot)
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

    /// Why the release at work ends for another.
    pub fn superseding(&self) -> Finding {
        self.forbidden.clone().unwrap_or_else(moves::superseded)
    }

    /// Whether no Job of a stage may be begun any more: its release shall end, or people hold the stage back.
    pub fn begins_nothing(&self, stage: Stage) -> bool {
        let candidate = self.memory.candidate.as_ref();
        let aborting = candidate.is_some_and(|candidate| candidate.aborting.is_some());
        let held_back = stage == Stage::Optimise && permit::hindrance(self, stage).is_some();
        self.superseded || aborting || held_back
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

    /// Whether what is written now is aside.
    pub fn is_aside(&self) -> bool {
        self.origin == Origin::Aside
    }

    /// Plans writes that are for something else than those around them.
    pub fn writing_for<T>(&mut self, origin: Origin, plan: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.origin, origin);
        let planned = plan(self);
        self.origin = before;
        planned
    }

    fn push(&mut self, write: Write, because: String) {
        self.actions.push(Action {
            write,
            because,
            origin: self.origin,
            after: Vec::new(),
        });
    }

    pub fn apply(&mut self, object: Object, because: impl Into<String>) {
        let mut because = because.into();
        if let Some(correction) = correction::of(self, &object) {
            because.clone_from(&correction.note.message);
            self.corrections.push(correction);
        }
        self.push(Write::Apply(object), because);
    }

    /// Before the apply of the Deployment that leaves its number of pods out.
    pub fn keep_replicas(&mut self, replicas: Replicas, because: impl Into<String>) {
        self.push(Write::KeepReplicas(replicas), because.into());
    }

    pub fn create(&mut self, created: Created, because: impl Into<String>) {
        self.push(Write::Create(created), because.into());
    }

    /// A creation that comes before an action that is planned already.
    pub fn create_before(&mut self, at: usize, created: Created, because: String) {
        self.push(Write::Create(created), because);
        self.actions[at..].rotate_right(1);
    }

    pub fn create_secret(&mut self, recipe: SecretRecipe) {
        let because = "the platform needs it".to_owned();
        self.push(Write::CreateSecret(recipe), because);
    }

    pub fn delete(&mut self, target: Target, because: impl Into<String>) {
        self.push(Write::Delete(target), because.into());
    }

    /// A removal that comes after those of `after`, and not without them.
    pub fn delete_after(&mut self, target: Target, because: impl Into<String>, after: Vec<String>) {
        self.actions.push(Action {
            write: Write::Delete(target),
            because: because.into(),
            origin: self.origin,
            after,
        });
    }

    // --- telling and waiting

    pub fn note(&mut self, warning: bool, reason: &'static str, message: String) {
        self.notes.push(Note {
            warning,
            reason: reason.to_owned(),
            message,
        });
    }

    /// Says what is being waited for and looks again after some seconds at the latest.
    pub fn wait(&mut self, what: impl Into<String>, seconds: f64) {
        self.waiting.get_or_insert_with(|| what.into());
        self.wake_in(seconds);
    }

    /// Says what people hold back, and looks again when that may be over.
    pub fn hold_back(&mut self, hindrance: Hindrance) {
        if let Some(seconds) = hindrance.over_in {
            self.wake_in(seconds);
        }
        self.held_back.get_or_insert(hindrance.finding);
    }

    pub fn wake_in(&mut self, seconds: f64) {
        let wake = Duration::from_secs_f64(seconds.clamp(0.5, 86_400.0));
        self.wake = Some(self.wake.map_or(wake, |earlier| earlier.min(wake)));
    }
}
