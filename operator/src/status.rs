//! What people and tools are told: from memory, plan and observation to the whole status. Pure and total; the only place that builds conditions.
//!
//! kstatus reads it: `Reconciling` and `Stalled` are there only while true, `Ready` is a summary and never True for a spec that was not looked at.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use crate::api::CrmPlatform;
use crate::api::conditions::{self as words};
use crate::api::spec::GatePolicy;
use crate::api::status::{CrmPlatformStatus, Finding, Memory, Stage, Verdict};
use crate::desired::labels;
use crate::observed::Observed;
use crate::plan::Plan;
use crate::platform::Invalid;

mod delivery;

/// Longest message of a condition.
const MESSAGE_LIMIT: usize = 1000;

/// The status to write. `apply_error` is what the first failed write said; the memory of a plan counts only when all its writes were made.
pub fn next(
    object: &CrmPlatform,
    observed: &Observed,
    plan: &Result<Plan, Invalid>,
    apply_error: Option<&str>,
    now: Timestamp,
) -> CrmPlatformStatus {
    let previous = object.status.clone().unwrap_or_default();
    let memory = match plan {
        Ok(plan) if apply_error.is_none() => plan.memory.clone(),
        _ => observed.memory.clone(),
    };
    let summary = summary(object, &memory, plan, apply_error);
    let mut next = Conditions {
        all: previous.conditions.clone(),
        generation: object.metadata.generation,
        now,
    };
    next.set(
        words::READY,
        if summary.ready { "True" } else { "False" },
        &summary.finding,
    );
    next.only_while(words::RECONCILING, summary.reconciling, &summary.finding);
    next.only_while(words::STALLED, summary.stalled, &summary.finding);
    tests_passed(&mut next, object, &memory, plan);
    migrated(&mut next, &memory);
    available(&mut next, observed, &memory);
    CrmPlatformStatus {
        observed_generation: object.metadata.generation,
        stage: Some(stage(&memory, &summary)),
        conditions: next.all,
        delivery: delivery::of(&memory).or(previous.delivery),
        memory,
    }
}

struct Summary {
    ready: bool,
    reconciling: bool,
    stalled: bool,
    finding: Finding,
}

impl Summary {
    fn new(ready: bool, reconciling: bool, stalled: bool, reason: &str, message: String) -> Self {
        Self {
            ready,
            reconciling,
            stalled,
            finding: Finding {
                reason: reason.to_owned(),
                message,
            },
        }
    }
}

fn summary(
    object: &CrmPlatform,
    memory: &Memory,
    plan: &Result<Plan, Invalid>,
    apply_error: Option<&str>,
) -> Summary {
    let plan = match plan {
        Err(invalid) => {
            return Summary::new(false, false, true, words::INVALID_SPEC, invalid.to_string());
        }
        Ok(plan) => plan,
    };
    let waiting = plan
        .waiting
        .as_deref()
        .map(|what| format!("; waiting for {what}"))
        .unwrap_or_default();
    if let Some(problem) = apply_error {
        return Summary::new(
            false,
            true,
            false,
            words::APPLY_FAILED,
            format!("{problem}; it is tried again"),
        );
    }
    if let Some(problem) = &plan.problem {
        return Summary::new(false, false, true, &problem.reason, problem.message.clone());
    }
    if let Some(candidate) = &memory.candidate {
        if let Some(held) = &candidate.held {
            let message = format!(
                "release {} is held in {}: {}; {}",
                candidate.release,
                candidate.stage.name(),
                held.message,
                stable_words(memory)
            );
            return Summary::new(false, false, true, &held.reason, message);
        }
        if let Some(returning) = &candidate.returning {
            let message = format!(
                "all services return to stable, because release {}: {}{waiting}",
                candidate.release, returning.message
            );
            return Summary::new(false, true, false, words::RETURNING_TO_STABLE, message);
        }
        return Summary::new(
            false,
            true,
            false,
            words::PROGRESSING,
            format!(
                "release {} is in {}{waiting}",
                candidate.release,
                candidate.stage.name()
            ),
        );
    }
    let rejected = plan.wanted.as_ref().and_then(|id| {
        memory
            .rejected
            .iter()
            .find(|rejected| rejected.release == *id)
    });
    if let Some(rejected) = rejected {
        let message = format!(
            "release {} was rejected: {}; {}; change the spec to try another",
            rejected.release,
            rejected.message,
            stable_words(memory)
        );
        return Summary::new(false, false, true, &rejected.reason, message);
    }
    match &memory.stable {
        Some(stable) if plan.wanted.as_ref() == Some(&stable.release) => {
            let untested = if object.spec.gate == GatePolicy::None {
                " (untested: spec.gate is None)"
            } else {
                ""
            };
            let reason = if stable.optimised {
                words::SERVING
            } else {
                words::OPTIMISING
            };
            Summary::new(
                true,
                false,
                false,
                reason,
                format!("release {} serves{untested}{waiting}", stable.release),
            )
        }
        _ => Summary::new(
            false,
            true,
            false,
            words::PROGRESSING,
            format!("the release of this spec has not begun{waiting}"),
        ),
    }
}

fn stable_words(memory: &Memory) -> String {
    match &memory.stable {
        Some(stable) => format!("release {} serves on", stable.release),
        None => "nothing serves yet".to_owned(),
    }
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
    let wanted = plan.as_ref().ok().and_then(|plan| plan.wanted.clone());
    let record = wanted
        .as_ref()
        .and_then(|id| memory.releases.iter().find(|record| record.release == *id));
    let gate =
        record.and_then(|record| record.stages.iter().find(|stage| stage.name == Stage::Gate));
    let (status, reason, message) = match gate.and_then(|gate| gate.verdict) {
        _ if object.spec.gate == GatePolicy::None => (
            "False",
            words::GATE_DISABLED,
            "spec.gate is None: images are rolled out untested".to_owned(),
        ),
        Some(Verdict::Passed) => (
            "True",
            words::ALL_TESTS_PASSED,
            format!(
                "all tests passed for release {}",
                wanted.unwrap_or_default()
            ),
        ),
        Some(Verdict::Failed) => (
            "False",
            words::TESTS_FAILED,
            gate.and_then(|gate| gate.message.clone())
                .unwrap_or_default(),
        ),
        Some(Verdict::Inconclusive) => (
            "Unknown",
            words::GATE_INCONCLUSIVE,
            gate.and_then(|gate| gate.message.clone())
                .unwrap_or_default(),
        ),
        _ if wanted.is_some()
            && memory.stable.as_ref().map(|stable| &stable.release) == wanted.as_ref() =>
        {
            (
                "True",
                words::ALL_TESTS_PASSED,
                "the stable release has passed its tests".to_owned(),
            )
        }
        _ => (
            "Unknown",
            words::NOT_TESTED,
            "the tests of this release have not ended".to_owned(),
        ),
    };
    next.set(
        words::TESTS_PASSED,
        status,
        &Finding {
            reason: reason.to_owned(),
            message,
        },
    );
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
        Some(Verdict::Failed | Verdict::Inconclusive) => {
            let message = optimise
                .and_then(|stage| stage.message.clone())
                .unwrap_or_default();
            next.set(
                words::MIGRATED,
                "False",
                &finding(words::CONTRACT_REFUSED, message),
            );
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

fn available(next: &mut Conditions, observed: &Observed, memory: &Memory) {
    let live: Vec<_> = observed
        .deployments
        .values()
        .filter(|seen| seen.track == labels::STABLE)
        .collect();
    let short: Vec<_> = live
        .iter()
        .filter(|seen| seen.available < seen.replicas)
        .map(|seen| {
            format!(
                "{} has {} of {} pods",
                seen.name, seen.available, seen.replicas
            )
        })
        .collect();
    if memory.stable.is_none() && live.is_empty() {
        next.set(
            words::AVAILABLE,
            "False",
            &finding(words::PODS_MISSING, "no release serves yet".to_owned()),
        );
    } else if short.is_empty() {
        next.set(
            words::AVAILABLE,
            "True",
            &finding(
                words::PODS_AVAILABLE,
                "all pods of all services are available".to_owned(),
            ),
        );
    } else {
        next.set(
            words::AVAILABLE,
            "False",
            &finding(words::PODS_MISSING, short.join(", ")),
        );
    }
}

fn finding(reason: &str, message: String) -> Finding {
    Finding {
        reason: reason.to_owned(),
        message,
    }
}

struct Conditions {
    all: Vec<Condition>,
    generation: Option<i64>,
    now: Timestamp,
}

impl Conditions {
    /// Sets a condition; its transition time moves only when its status does.
    fn set(&mut self, kind: &str, status: &str, finding: &Finding) {
        let before = self
            .all
            .iter()
            .find(|condition| condition.type_ == kind)
            .cloned();
        let since = before
            .filter(|before| before.status == status)
            .map_or(Time(self.now), |before| before.last_transition_time);
        let message: String = finding.message.chars().take(MESSAGE_LIMIT).collect();
        let condition = Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: finding.reason.clone(),
            message,
            last_transition_time: since,
            observed_generation: self.generation,
        };
        match self
            .all
            .iter_mut()
            .find(|condition| condition.type_ == kind)
        {
            Some(place) => *place = condition,
            None => self.all.push(condition),
        }
    }

    fn only_while(&mut self, kind: &str, holds: bool, finding: &Finding) {
        if holds {
            self.set(kind, "True", finding);
        } else {
            self.all.retain(|condition| condition.type_ != kind);
        }
    }
}

#[cfg(test)]
mod tests;
