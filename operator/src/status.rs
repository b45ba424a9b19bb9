//! What people and tools are told: from memory, plan and observation to the whole status. Pure and total; the only place that builds conditions.
//!
//! kstatus reads it: `Reconciling` and `Stalled` are there only while true, `Ready` is a summary and never True for a spec that was not looked at.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

use k8s_openapi::jiff::Timestamp;

use crate::api::CrmPlatform;
use crate::api::conditions::{self as words};
use crate::api::spec::GatePolicy;
use crate::api::status::{
    CrmPlatformStatus, Delivery, Finding, Memory, ReleaseRecord, Stage, Token, Verdict,
};
use crate::cost::seconds;
use crate::delivery;
use crate::desired::labels;
use crate::observed::{Observed, WorkloadView};
use crate::plan::Plan;
use crate::plan::action::Note;
use crate::platform::Invalid;

mod condition_list;
mod dora;
mod room;

#[cfg(test)]
pub(crate) use room::fit;
mod summary;
mod unsaved;

pub use unsaved::{Save, Unsaved, save};

use condition_list::Conditions;
use summary::Summary;

/// What people are told of the first failed write of a look.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Reason and sentence.
    pub finding: Finding,
    /// Verb, kind and name of a write that the API server denies.
    pub denied: Option<String>,
}

/// The status to write. `failure` is of the first failed write; the memory of a plan counts only when all its writes were made.
pub fn next(
    object: &CrmPlatform,
    observed: &Observed,
    plan: &Result<Plan, Invalid>,
    failure: Option<&Failure>,
    now: Timestamp,
) -> CrmPlatformStatus {
    let previous = object.status.clone().unwrap_or_default();
    let memory = match plan {
        Ok(plan) if failure.is_none() => plan.memory.clone(),
        _ => observed.memory.clone(),
    };
    let short = short(object, observed, &memory);
    let problem = failure.map(|failure| &failure.finding);
    let summary = match (plan, problem) {
        (Err(invalid), _) => Summary::stalled(words::INVALID_SPEC, &invalid.to_string()),
        (Ok(_), Some(problem)) if problem.reason != words::APPLY_FAILED => {
            Summary::stalled(&problem.reason, &problem.message)
        }
        // What waits for a person is told first: it may be why that write failed.
        (Ok(plan), Some(problem)) if is_held(&memory) => {
            let held = Summary::of(object, &memory, plan, &short);
            held.and(&problem.message)
        }
        (Ok(_), Some(problem)) => match is_denied(object, observed, failure) {
            true => Summary::stalled(&problem.reason, &problem.message),
            false => Summary::working(&problem.reason, &problem.message),
        },
        (Ok(plan), None) => Summary::of(object, &memory, plan, &short),
    };
    let mut next = Conditions::after(&previous.conditions, object.metadata.generation, now);
    next.set(
        words::READY,
        if summary.ready { "True" } else { "False" },
        &summary.finding,
    );
    next.only_while(words::RECONCILING, summary.reconciling, &summary.finding);
    next.only_while(words::STALLED, summary.stalled, &summary.finding);
    tests_passed(&mut next, object, &memory, plan);
    migrated(&mut next, &memory);
    available(&mut next, &memory, &short);
    exposed(&mut next, object, &memory, (plan, failure.is_some()));
    let mut status = CrmPlatformStatus {
        observed_generation: object.metadata.generation,
        stage: Some(stage(&memory, &summary)),
        conditions: next.all(),
        delivery: delivery(&memory, previous.delivery.clone()),
        dora: dora::of(&memory),
        memory,
    };
    // What is written already has had room.
    if status != previous {
        room::fit(&mut status);
    }
    status
}

fn is_held(memory: &Memory) -> bool {
    let candidate = memory.candidate.as_ref();
    candidate.is_some_and(|candidate| candidate.held.is_some())
}

/// Whether the API server denies a write as long as pods may take to come up: it will not come by itself.
fn is_denied(object: &CrmPlatform, observed: &Observed, failure: Option<&Failure>) -> bool {
    let limit = f64::from(object.spec.release.progress_deadline_seconds);
    let now = failure.and_then(|failure| failure.denied.as_ref());
    let denied = observed.denied.as_ref();
    let denied = denied.filter(|denied| now == Some(&denied.write));
    denied.is_some_and(|denied| seconds(denied.since, denied.last) > limit)
}

/// The formulas of the release that serves. Detail that its record does not hold any more is kept from before, as long as the sums are the same.
fn delivery(memory: &Memory, before: Option<Delivery>) -> Option<Delivery> {
    let stable = memory.stable.as_ref().map(|stable| &stable.release);
    let mut records = memory.releases.iter();
    let record = records.find(|record| Some(&record.release) == stable);
    let Some(now) = record.map(delivery::of) else {
        return before;
    };
    match before {
        Some(before) if (&before.release, &before.total) == (&now.release, &now.total) => {
            Some(before)
        }
        _ => Some(now),
    }
}

/// An event for a platform that has just come to a standstill without a release that ended: a spec that cannot be followed, an image that is not there.
pub fn new_problem(
    before: &CrmPlatform,
    plan: &Result<Plan, Invalid>,
    after: &CrmPlatformStatus,
) -> Option<Note> {
    let stalled = |status: &CrmPlatformStatus| {
        let mut all = status.conditions.iter();
        all.find(|condition| condition.type_ == words::STALLED)
            .cloned()
    };
    let now = stalled(after)?;
    // That one may come of a write that failed.
    let is_missed = now.reason == words::SECRET_NOT_USABLE;
    if !is_missed && plan.as_ref().is_ok_and(|plan| plan.problem.is_none()) {
        return None;
    }
    let known = before.status.as_ref().and_then(stalled);
    let is_new = known.is_none_or(|known| {
        (&known.reason, known.observed_generation) != (&now.reason, now.observed_generation)
    });
    is_new.then_some(Note {
        warning: true,
        reason: now.reason,
        message: now.message,
    })
}

fn stage(memory: &Memory, summary: &Summary) -> String {
    let candidate = memory.candidate.as_ref();
    let word = match candidate {
        Some(candidate) if candidate.held.is_some() => "Held",
        Some(candidate) if candidate.returning.is_some() => "Returning",
        Some(candidate) => candidate.stage.name(),
        None if summary.stalled
            && memory
                .rejected
                .iter()
                .any(|rejected| rejected.reason == summary.finding.reason) =>
        {
            "Rejected"
        }
        None => match &memory.stable {
            Some(stable) if !stable.optimised => "Optimise",
            Some(_) => "Serving",
            None => "Resolve",
        },
    };
    word.to_owned()
}

fn tests_passed(
    next: &mut Conditions,
    object: &CrmPlatform,
    memory: &Memory,
    plan: &Result<Plan, Invalid>,
) {
    let wanted = plan.as_ref().ok().and_then(|plan| plan.wanted.as_deref());
    let skipped = skipped_by(memory, wanted);
    let (status, reason, message) = match skipped {
        _ if object.spec.gate == GatePolicy::None => (
            "False",
            words::GATE_DISABLED,
            "spec.gate is None: images are rolled out untested".to_owned(),
        ),
        Some(who) => ("False", words::GATE_SKIPPED, who),
        None => tested(memory, wanted),
    };
    next.set(words::TESTS_PASSED, status, &finding(reason, message));
}

/// What is known of the tests of the wanted release, of which nobody skipped any.
fn tested(memory: &Memory, wanted: Option<&str>) -> (&'static str, &'static str, String) {
    let mut records = memory.releases.iter();
    let record = records.find(|record| wanted == Some(&record.release));
    let mut stages = record.into_iter().flat_map(|record| &record.stages);
    let gate = stages.find(|stage| stage.name == Stage::Gate);
    let told = || {
        let message = gate.and_then(|gate| gate.message.clone());
        message.unwrap_or_default()
    };
    let passed = |message| ("True", words::ALL_TESTS_PASSED, message);
    let not_tested = |message: &str| ("Unknown", words::NOT_TESTED, message.to_owned());
    let id = wanted.unwrap_or_default();
    let stable = memory.stable.as_ref();
    match gate.and_then(|gate| gate.verdict) {
        Some(Verdict::Skipped) if let Some(of) = record.and_then(|own| own.code_of.as_ref()) => {
            passed(format!(
                "release {id} has the code of release {of}, which has passed all tests"
            ))
        }
        Some(Verdict::Passed) => passed(format!("all tests passed for release {id}")),
        Some(Verdict::Failed) => ("False", words::TESTS_FAILED, told()),
        Some(Verdict::Inconclusive) => ("Unknown", words::GATE_INCONCLUSIVE, told()),
        None if adopted(record) => not_tested(
            "the status was lost: whether the release that serves has passed its tests is not known",
        ),
        _ if stable.is_some_and(|stable| wanted == Some(&stable.release)) => {
            passed("the stable release has passed its tests".to_owned())
        }
        _ => not_tested("the tests of this release have not ended"),
    }
}

/// Whether a release is stable only because it was live when the status was lost: it went through no stage between the first and the last.
fn adopted(record: Option<&ReleaseRecord>) -> bool {
    record.is_some_and(|record| {
        let mut stages = record.stages.iter();
        stages.clone().any(|stage| stage.name == Stage::Optimise)
            && stages.all(|stage| matches!(stage.name, Stage::Resolve | Stage::Optimise))
    })
}

/// Who let the wanted release go on without rehearsal and tests, if somebody did.
fn skipped_by(memory: &Memory, wanted: Option<&str>) -> Option<String> {
    let wanted = wanted?;
    let candidate = memory.candidate.as_ref();
    let skipping = candidate.is_some_and(|at_work| {
        at_work.release == wanted && at_work.ungated && at_work.rollback.is_none()
    });
    let stable = memory.stable.as_ref();
    let skipped = stable.is_some_and(|stable| stable.release == wanted && stable.untested);
    let record = memory
        .releases
        .iter()
        .find(|record| record.release == wanted);
    let mut by = record.iter().flat_map(|record| &record.interventions).rev();
    let by = by.find(|by| by.token == Token::SkipGate);
    let words = by.map_or_else(String::new, |by| format!(" by {}: {}", by.actor, by.reason));
    (skipping || skipped)
        .then(|| format!("rehearsal and tests of release {wanted} were skipped{words}"))
}

fn migrated(next: &mut Conditions, memory: &Memory) {
    let Some(stable) = &memory.stable else {
        return next.set(
            words::MIGRATED,
            "Unknown",
            &finding(words::PROGRESSING, "no release serves yet".to_owned()),
        );
    };
    let record = memory
        .releases
        .iter()
        .find(|record| record.release == stable.release);
    let optimise = record.and_then(|record| {
        record
            .stages
            .iter()
            .find(|stage| stage.name == Stage::Optimise)
    });
    match optimise.and_then(|stage| stage.verdict) {
        Some(verdict @ (Verdict::Failed | Verdict::Inconclusive)) => {
            let reason = match verdict {
                Verdict::Failed => words::OPTIMISE_FAILED,
                _ => words::CONTRACT_REFUSED,
            };
            let message = optimise.and_then(|stage| stage.message.clone());
            let why = finding(reason, message.unwrap_or_default());
            next.set(words::MIGRATED, "False", &why);
        }
        _ if stable.optimised => next.set(
            words::MIGRATED,
            "True",
            &finding(
                words::UP_TO_DATE,
                format!("the schema is what release {} needs", stable.release),
            ),
        ),
        _ => next.set(
            words::MIGRATED,
            "Unknown",
            &finding(
                words::OPTIMISING,
                "backfill, soak or contract is still to come".to_owned(),
            ),
        ),
    }
}

fn available(next: &mut Conditions, memory: &Memory, short: &[String]) {
    let (status, reason, message) = match &memory.stable {
        None => (
            "False",
            words::PODS_MISSING,
            "no release serves yet".to_owned(),
        ),
        Some(_) if short.is_empty() => (
            "True",
            words::PODS_AVAILABLE,
            "all pods of all services are available".to_owned(),
        ),
        Some(_) => ("False", words::PODS_MISSING, short.join(", ")),
    };
    next.set(words::AVAILABLE, status, &finding(reason, message));
}

/// Whether the way in from outside is made; nothing where none is asked for.
fn exposed(
    next: &mut Conditions,
    object: &CrmPlatform,
    memory: &Memory,
    (plan, failed): (&Result<Plan, Invalid>, bool),
) {
    let Some(exposure) = &object.spec.exposure else {
        let none = finding(words::ROUTES_MADE, String::new());
        return next.only_while(words::EXPOSED, false, &none);
    };
    let Ok(plan) = plan else {
        return;
    };
    // Nothing new is known: neither is a refusal forgotten for the plans that write nothing, nor are hosts named to which nothing leads.
    let is_open = plan.leaves_way_in() || (failed && plan.way_in_lags.is_some());
    let refused = next.reason(words::EXPOSED) == Some(words::APPLY_FAILED);
    if is_open && (refused || (plan.unexposed.is_none() && next.reason(words::EXPOSED).is_some())) {
        return;
    }
    if let Some(why) = &plan.unexposed {
        return next.set(words::EXPOSED, "False", why);
    }
    let hosts = exposure.hosts.join(", ");
    let (status, reason, message) = match &memory.stable {
        None => (
            "False",
            words::PROGRESSING,
            "no release serves yet".to_owned(),
        ),
        Some(_) => (
            "True",
            words::ROUTES_MADE,
            format!("/api/<service>/ of {hosts} leads to the live Services"),
        ),
    };
    next.set(words::EXPOSED, status, &finding(reason, message));
}

/// Services of stable that have fewer pods than they should. One that an autoscaler enlarges just now is not short before it has fewer than the spec's least.
fn short(object: &CrmPlatform, observed: &Observed, memory: &Memory) -> Vec<String> {
    let slot = memory.stable.as_ref().map(|stable| stable.slot);
    let services = services(observed, memory);
    let live = |service: &str| {
        let mut all = observed.deployments.values();
        let is_live =
            |seen: &&WorkloadView| seen.track == labels::STABLE && Some(seen.slot) == slot;
        all.find(|seen| is_live(seen) && seen.service == service)
    };
    let least = |seen: &WorkloadView| {
        let mut all = object.spec.services.iter();
        let own = all.find(|own| own.name == seen.service);
        let scaled = own.and_then(|own| own.autoscaling.as_ref());
        scaled.map_or(seen.replicas, |own| own.min_replicas.min(seen.replicas))
    };
    services
        .iter()
        .filter_map(|service| match live(service) {
            None => Some(format!("service {service} has no Deployment")),
            Some(seen) if seen.available == 0 || seen.available < least(seen) => Some(format!(
                "{} has {} of {} pods",
                seen.name,
                seen.available,
                least(seen)
            )),
            Some(_) => None,
        })
        .collect()
}

/// Names of stable's services. Its images are left out where the status had no room.
fn services(observed: &Observed, memory: &Memory) -> Vec<String> {
    let Some(stable) = &memory.stable else {
        return Vec::new();
    };
    let recorded = observed.releases.get(&stable.release);
    let recorded = recorded.iter().flat_map(|release| &release.services);
    match stable.images.is_empty() {
        true => recorded.map(|service| service.name.clone()).collect(),
        false => stable
            .images
            .iter()
            .map(|image| image.service.clone())
            .collect(),
    }
}

fn finding(reason: &str, message: String) -> Finding {
    Finding::new(reason, message)
}

#[cfg(test)]
mod tests;
