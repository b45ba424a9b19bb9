//! Running one Job of a release: create it, recognise it, judge it, try again.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::action::Created;
use super::draft::Draft;
use super::judge::{self, Ending, Kind};
use super::{Progress, keep, record};
use crate::api::conditions;
use crate::api::status::{Finding, JobRecord, Stage, Verdict};
use crate::cost::seconds;
use crate::desired::job::Step;
use crate::desired::{fingerprint, labels, names};
use crate::observed::{JobView, PodView, label};
use crate::platform::release::Release;

/// Looks at running Jobs at least this often, in seconds: an unpullable image shows as no event of the Job.
const LOOK_AGAIN: f64 = 5.0;
/// Looks again at what nothing waits for, in seconds.
const TRY_AGAIN: f64 = 30.0;
/// Seconds for which a Job may have no pod.
const PODLESS_FOR: f64 = 40.0;
/// Seconds after which a Job that was seen once and is seen no more counts as deleted: another leader may have seen it first, and our watch may be behind.
const UNSEEN_FOR: f64 = 10.0;
/// Seconds between two tries of a step, times the number of tries so far.
const RETRY_DELAY: f64 = 10.0;
/// Numbers of Jobs that one round of a release may use.
const NUMBERS_PER_ROUND: i32 = 100;

/// A Job to run within a stage.
pub(super) struct Work<'w> {
    /// Release it belongs to.
    pub release: &'w str,
    /// Stage it belongs to.
    pub stage: Stage,
    /// Unique within the release.
    pub step: String,
    /// How its end is read.
    pub kind: Kind,
    /// How many Jobs may be made for it while nothing could be found out.
    pub tries: i32,
    /// Reason of a failure, and of an end that says nothing.
    pub reasons: (&'static str, &'static str),
}

impl Work<'_> {
    /// What is remembered of the last Job made for it.
    pub fn record<'d>(&self, draft: &'d mut Draft<'_>) -> Option<&'d mut JobRecord> {
        let releases = &mut draft.memory.releases;
        record::job(releases, self.release, self.stage, &self.step)
    }
}

/// Runs a Job as far as it goes; its record tells the rest of the plan how it ended.
pub(super) fn run(
    draft: &mut Draft<'_>,
    work: &Work<'_>,
    build: impl Fn(&Draft<'_>, &Step) -> Job,
) -> Progress {
    let last = work.record(draft).cloned();
    let ended = last.as_ref().filter(|last| last.verdict.is_some());
    let tries = ended.map_or(0, |ended| ended.attempt % NUMBERS_PER_ROUND);
    if let Some(ended) = ended
        && (ended.verdict != Some(Verdict::Inconclusive) || tries >= work.tries)
    {
        return standing(work, ended);
    }
    let step = next(draft, work);
    let job = build(draft, &step);
    let is_open = last.is_some() && ended.is_none();
    let name = job.metadata.name.as_deref().unwrap_or_default();
    if !is_open && !is_at_work(draft, name) {
        if draft.begins_nothing(work.stage) {
            return Progress::Stopped;
        }
        let pause = RETRY_DELAY * f64::from(tries);
        let since = ended.and_then(|ended| ended.finished_at.as_ref());
        let waited = since.map_or(pause, |end| draft.seconds_since(end));
        if let Some(ended) = ended.filter(|_| waited < pause) {
            return try_again(draft, ended, pause - waited);
        }
    }
    follow(draft, work, job, step.attempt)
}

/// The Job that has begun, or the one that comes next.
fn next(draft: &mut Draft<'_>, work: &Work<'_>) -> Step {
    let last = work.record(draft).map(|last| (last.attempt, last.verdict));
    let attempt = match last {
        Some((open, None)) => open,
        Some((ended, Some(_))) => ended + 1,
        None => first_number(draft, work.release),
    };
    Step {
        stage: work.stage,
        name: work.step.clone(),
        attempt,
    }
}

/// Whether a migration of the live database has begun, and it is not remembered how it ended.
pub(super) fn has_begun(draft: &mut Draft<'_>, work: &Work<'_>, release: &Release) -> bool {
    let is_open = work
        .record(draft)
        .is_some_and(|last| last.verdict.is_none());
    let step = next(draft, work);
    let name = names::job(draft.scope(work.release, release), &step);
    is_open || is_at_work(draft, &name)
}

/// Whether a migration of the live database has begun of which nothing is remembered: whoever made its Job heard no answer, or died. It is never stopped, and
/// belongs into the ledger.
fn is_at_work(draft: &Draft<'_>, job: &str) -> bool {
    let seen = draft.observed.jobs.get(job);
    seen.is_some_and(|seen| seen.live_migration && seen.owner == draft.platform.uid)
}

fn try_again(draft: &mut Draft<'_>, ended: &JobRecord, pause: f64) -> Progress {
    let why = ended.message.as_deref().unwrap_or("it said nothing");
    let what = format!("the next try of {}: {why}", ended.step);
    draft.wait(what, pause);
    Progress::Waiting
}

fn first_number(draft: &mut Draft<'_>, release: &str) -> i32 {
    let round = record::of(&mut draft.memory.releases, release).map_or(1, |record| record.round);
    (round - 1) * NUMBERS_PER_ROUND + 1
}

fn follow(draft: &mut Draft<'_>, work: &Work<'_>, job: Job, attempt: i32) -> Progress {
    let name = job.metadata.name.clone().unwrap_or_default();
    let open = work.record(draft).filter(|last| last.attempt == attempt);
    let (known, uid) = (open.is_some(), open.and_then(|open| open.uid.clone()));
    let Some(view) = draft.observed.jobs.get(&name) else {
        if uid.is_some() {
            return vanished(draft, work, &name);
        }
        return begin(draft, work, job, attempt);
    };
    if let Some(why) = foreign(draft, view, &job, work.release, uid.as_deref()) {
        let message = format!("Job {name} stands in the way: {why}");
        if known {
            enter(draft, work, Ending::inconclusive(message.clone()));
        }
        return Progress::Inconclusive(Finding::new(conditions::JOB_NOT_OURS, message));
    }
    remember(draft, work, &name, attempt);
    if let Some(open) = work.record(draft) {
        open.uid = Some(view.uid.clone());
        open.queued_at = view.created.map(Time);
    }
    look(draft, work, view)
}

/// A Job that was there once, by its record, and is not seen now.
fn vanished(draft: &mut Draft<'_>, work: &Work<'_>, name: &str) -> Progress {
    let now = draft.now;
    let since = work
        .record(draft)
        .map(|open| open.unseen_since.get_or_insert(Time(now)).0);
    let unseen = since.map_or(UNSEEN_FOR, |since| seconds(since, now));
    if unseen < UNSEEN_FOR {
        let what = format!("Job {name}, which is not seen any more");
        draft.wait(what, UNSEEN_FOR - unseen);
        return Progress::Waiting;
    }
    let ending = Ending::inconclusive(format!("Job {name} was deleted before it ended"));
    close(draft, work, ending)
}

/// Makes the Job; one that migrates live data only when no other does.
fn begin(draft: &mut Draft<'_>, work: &Work<'_>, job: Job, attempt: i32) -> Progress {
    let name = job.metadata.name.clone().unwrap_or_default();
    let live = label(&job.metadata, labels::TRACK) == labels::LIVE_MIGRATION;
    if let Some(other) = draft.live_migration(&name).filter(|_| live) {
        let what = format!("{other}, another migration of the live database");
        draft.wait(what, LOOK_AGAIN);
        return Progress::Waiting;
    }
    remember(draft, work, &name, attempt);
    let because = format!(
        "release {}: {} runs {}",
        work.release,
        work.stage.name(),
        work.step
    );
    draft.create(Created::Job(Box::new(job)), because);
    // Its watch shows one that is made; one that is refused and aside is not tried more often than that.
    let again = match draft.is_aside() {
        true => TRY_AGAIN,
        false => LOOK_AGAIN,
    };
    draft.wait(format!("Job {name}"), again);
    Progress::Waiting
}

/// Looks how far our Job is.
fn look(draft: &mut Draft<'_>, work: &Work<'_>, view: &JobView) -> Progress {
    let all = draft.observed.pods.iter();
    let pods: Vec<_> = all.filter(|pod| pod.controller == view.uid).collect();
    if let Some(ending) = judge::judge(view, &pods, &work.kind, draft.now) {
        return keep_and_close(draft, work, (ending, &pods));
    }
    let why = hindered(draft, work, (view, &pods));
    // What may still write to the live database is never given up: its Job has a deadline of its own.
    if let Some(why) = why.as_ref().filter(|_| !view.live_migration) {
        let ending = Ending::inconclusive(why.clone());
        return keep_and_close(draft, work, (ending, &pods));
    }
    let age = view
        .created
        .map_or(0.0, |created| seconds(created, draft.now));
    // Most pods wait for a moment: no word of it, and no write.
    let why = why.or_else(|| judge::unstartable(&pods).filter(|_| age > LOOK_AGAIN));
    draft.hindered |= why.is_some();
    let why = why.map_or_else(String::new, |why| format!(": {why}"));
    draft.wait(format!("Job {}{why}", view.name), LOOK_AGAIN);
    Progress::Waiting
}

/// Why a Job will not get on by itself. That it has no pod counts from when that was first seen: a pod that was evicted is replaced.
fn hindered(
    draft: &mut Draft<'_>,
    work: &Work<'_>,
    (view, pods): (&JobView, &[&PodView]),
) -> Option<String> {
    let now = draft.now;
    let fresh = view
        .created
        .is_none_or(|created| seconds(created, now) < LOOK_AGAIN);
    let open = work.record(draft)?;
    if !pods.is_empty() || fresh {
        open.unseen_since = None;
        return judge::stuck(pods, now);
    }
    let since = open.unseen_since.get_or_insert(Time(now));
    (seconds(since.0, now) > PODLESS_FOR).then(|| "no pod could be made for it: look at its events for a quota or a missing service account".to_owned())
}

/// Why a Job of our name is not the one we would have made.
fn foreign(
    draft: &Draft<'_>,
    view: &JobView,
    job: &Job,
    release: &str,
    uid: Option<&str>,
) -> Option<&'static str> {
    if view.owner != draft.platform.uid {
        return Some("this platform does not own it");
    }
    if view.release != release {
        return Some("it belongs to another release");
    }
    match uid {
        // Once its UID is recorded, a Job is known for good: its pod template cannot change.
        Some(uid) if uid == view.uid => None,
        Some(_) => Some("it took the place of the one that was made"),
        None if view.fingerprint != fingerprint(job) => {
            Some("it runs another image, other arguments or another environment")
        }
        None => None,
    }
}

/// Opens the record of a Job, once.
fn remember(draft: &mut Draft<'_>, work: &Work<'_>, job: &str, attempt: i32) {
    let last = work.record(draft);
    if last.is_some_and(|last| last.attempt == attempt) {
        return;
    }
    let open = JobRecord {
        step: work.step.clone(),
        job: job.to_owned(),
        attempt,
        ..JobRecord::default()
    };
    if let Some(stage) = record::stage(&mut draft.memory.releases, work.release, work.stage) {
        stage.jobs.push(open);
    }
}

/// What is to be kept of it is, before its pod may go.
fn keep_and_close(
    draft: &mut Draft<'_>,
    work: &Work<'_>,
    (ending, pods): (Ending, &[&PodView]),
) -> Progress {
    match keep::job(draft, work, (ending, pods)) {
        Some(ending) => close(draft, work, ending),
        // The plan is made again, with its log.
        None => Progress::Waiting,
    }
}

fn close(draft: &mut Draft<'_>, work: &Work<'_>, ending: Ending) -> Progress {
    let Some(ended) = enter(draft, work, ending) else {
        return Progress::Waiting;
    };
    let tries = ended.attempt % NUMBERS_PER_ROUND;
    if ended.verdict != Some(Verdict::Inconclusive) || tries >= work.tries {
        return standing(work, &ended);
    }
    match draft.begins_nothing(work.stage) {
        false => try_again(draft, &ended, RETRY_DELAY * f64::from(tries)),
        // A release that serves goes on when it may.
        true if work.stage == Stage::Optimise => Progress::Stopped,
        true => standing(work, &ended),
    }
}

/// Enters an ending into the record, and a migration of the live database into the ledger.
fn enter(draft: &mut Draft<'_>, work: &Work<'_>, ending: Ending) -> Option<JobRecord> {
    let now = draft.now;
    let uid = work.record(draft).and_then(|open| open.uid.clone());
    let uid = uid.unwrap_or_default();
    let prices = &draft.platform.settings.prices;
    let cost: f64 = draft
        .observed
        .pods
        .iter()
        .filter(|pod| pod.controller == uid)
        .map(|pod| prices.pod(pod, None, now))
        .sum();
    let reason = below_floor(draft, work, &ending);
    let open = work.record(draft)?;
    open.unseen_since = None;
    open.verdict = Some(ending.verdict);
    open.started_at = ending.started.map(Time);
    open.finished_at = Some(Time(ending.finished.unwrap_or(now)));
    open.recorded_at = ending.recorded.map(Time);
    open.report = ending.report;
    open.message = ending.message;
    open.log_tail = ending.log_tail;
    open.kept_bytes = ending.kept_bytes;
    open.reason = reason.map(str::to_owned);
    open.pending = ending.pending;
    open.offers = ending.offers;
    open.cost = Some(crate::cost::decimal(cost));
    let ended = open.clone();
    if matches!(work.kind, Kind::Migration | Kind::Optimisation) {
        // An image with exit codes alone says nothing of levels.
        let schema = ending.schema.unwrap_or_default();
        super::migrate::enter_ledger(draft, work, &ended, schema);
    }
    if let Some(made) = ending.backup {
        super::backup::enter(draft, work, (&ended, made));
    }
    Some(ended)
}

/// Whether a migration was refused because the live schema's floor, by the ledger, is above the application's level.
fn below_floor(draft: &Draft<'_>, work: &Work<'_>, ending: &Ending) -> Option<&'static str> {
    let level = ending
        .app_level
        .filter(|_| ending.verdict == Verdict::Failed)?;
    let (_, service) = work.step.split_once("expand-")?;
    let mut ledger = draft
        .memory
        .schema
        .iter()
        .filter(|record| record.service == service);
    let floor = ledger.find_map(|record| record.floor)?;
    (level < floor).then_some(conditions::BELOW_SCHEMA_FLOOR)
}

fn standing(work: &Work<'_>, ended: &JobRecord) -> Progress {
    let message = format!(
        "{} in Job {}: {}",
        work.step,
        ended.job,
        ended.message.as_deref().unwrap_or("it said nothing")
    );
    let (failed, inconclusive) = work.reasons;
    match ended.verdict {
        Some(Verdict::Passed | Verdict::Skipped) => Progress::Passed,
        Some(Verdict::Failed) => {
            Progress::failed(ended.reason.as_deref().unwrap_or(failed), message)
        }
        _ => Progress::Inconclusive(Finding::new(inconclusive, message)),
    }
}
