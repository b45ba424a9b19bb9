//! The one sentence about a platform: what `Ready`, `Reconciling` and `Stalled` say.

use crate::api::CrmPlatform;
use crate::api::conditions as words;
use crate::api::spec::GatePolicy;
use crate::api::status::{
    Candidate, Finding, Memory, Rejected, ReleaseRecord, Stable, Token, Verdict,
};
use crate::plan::action::{Object, Write};
use crate::plan::{Plan, remedy};

/// Begins what was tried in vain. What follows are the words of others, which may change each time.
pub(super) const UNDONE: &str = "beside that: ";

/// How a platform stands.
pub(super) struct Summary {
    pub ready: bool,
    pub reconciling: bool,
    pub stalled: bool,
    pub finding: Finding,
}

impl Summary {
    /// A person has to do something.
    pub fn stalled(reason: &str, message: &str) -> Self {
        Self {
            ready: false,
            reconciling: false,
            stalled: true,
            finding: Finding::new(reason, message),
        }
    }

    /// The operator is at work.
    pub fn working(reason: &str, message: &str) -> Self {
        Self {
            reconciling: true,
            stalled: false,
            ..Self::stalled(reason, message)
        }
    }

    fn ready(reason: &str, message: &str) -> Self {
        Self {
            ready: true,
            stalled: false,
            ..Self::stalled(reason, message)
        }
    }

    /// The same, with one thing more to know.
    pub fn and(mut self, also: &str) -> Self {
        self.finding.message = format!("{}; {also}", self.finding.message);
        self
    }

    /// What a plan and its memory say, which request waits, and what was tried in vain. `short` names services without all their pods.
    pub fn of(object: &CrmPlatform, memory: &Memory, plan: &Plan, short: &[String]) -> Self {
        let mut summary = Self::of_release(object, memory, plan, short);
        if let Some(early) = &plan.early {
            summary = summary.and(early);
        }
        let Some(undone) = plan.undone.first() else {
            return summary;
        };
        let more = match plan.undone.len() {
            1 => String::new(),
            all => format!("; and {} more", all - 1),
        };
        summary.and(&format!("{UNDONE}{undone}{more}"))
    }

    fn of_release(object: &CrmPlatform, memory: &Memory, plan: &Plan, short: &[String]) -> Self {
        if let Some(problem) = &plan.problem {
            return Self::stalled(&problem.reason, &problem.message);
        }
        let waiting = plan.waiting.as_deref();
        let waiting = waiting.map_or_else(String::new, |what| format!("; waiting for {what}"));
        let held_back = plan.held_back.as_ref();
        let held_back_by = held_back.map_or_else(String::new, |by| format!("; {}", by.message));
        let waiting = format!("{waiting}{held_back_by}");
        let progressing = held_back.map_or(words::PROGRESSING, |by| by.reason.as_str());
        if let Some(candidate) = &memory.candidate {
            return Self::of_candidate(memory, candidate, (progressing, &waiting));
        }
        let serves = memory.stable.as_ref().map(|stable| &stable.release);
        let rejected = plan.wanted.as_ref().and_then(|id| {
            let mut all = memory.rejected.iter();
            all.find(|rejected| rejected.release == *id && serves != Some(id))
        });
        if let Some(rejected) = rejected {
            return Self::of_rejected(memory, rejected);
        }
        let serves = memory.stable.as_ref();
        match serves.filter(|stable| plan.wanted.as_ref() == Some(&stable.release)) {
            Some(stable) if changes_pods(object, plan) => {
                let release = &stable.release;
                let message = format!("pods of release {release} are changed as the spec says");
                Self::working(progressing, &message)
            }
            Some(stable) => {
                let found = memory.image_update.as_ref();
                let unused = found.and_then(|found| found.message.as_ref());
                let unused = unused.map_or_else(String::new, |why| format!("; {why}"));
                let also = format!("{waiting}{unused}{}", missed(memory, None));
                Self::of_stable(object, stable, (short, &also))
            }
            None => Self::working(
                progressing,
                &format!("the release of this spec has not begun{waiting}"),
            ),
        }
    }

    fn of_candidate(
        memory: &Memory,
        candidate: &Candidate,
        (progressing, waiting): (&str, &str),
    ) -> Self {
        let (release, stage) = (&candidate.release, candidate.stage.name());
        if let Some(held) = &candidate.held {
            let remedy = remedy(&held.reason, candidate, memory);
            let message = format!(
                "release {release} is held in {stage}: {}; {remedy}",
                held.message
            );
            return Self::stalled(&held.reason, &message);
        }
        if let Some(returning) = &candidate.returning {
            let message = format!(
                "all services return to stable, because release {release}: {}{waiting}",
                returning.message
            );
            return Self::working(words::RETURNING_TO_STABLE, &message);
        }
        let message = format!("release {release} is in {stage}{waiting}");
        Self::working(progressing, &message)
    }

    fn of_rejected(memory: &Memory, rejected: &Rejected) -> Self {
        let message = format!(
            "release {} was rejected: {}; {}; change the spec to try another, or annotate crmplatform.io/retry",
            rejected.release,
            rejected.message,
            serving(memory)
        );
        let missed = missed(memory, Some(&rejected.release));
        let message = format!("{message}{missed}");
        Self::stalled(&rejected.reason, &message)
    }

    fn of_stable(
        object: &CrmPlatform,
        stable: &Stable,
        (short, waiting): (&[String], &str),
    ) -> Self {
        let release = &stable.release;
        if !short.is_empty() {
            let message = format!("release {release} lacks pods: {}", short.join(", "));
            return Self::working(words::PODS_MISSING, &message);
        }
        let untested = match object.spec.gate {
            GatePolicy::None => " (untested: spec.gate is None)",
            GatePolicy::Required if stable.untested => " (untested: its gate was skipped)",
            GatePolicy::Required => "",
        };
        let reason = match stable.optimised {
            true => words::SERVING,
            false => words::OPTIMISING,
        };
        Self::ready(
            reason,
            &format!("release {release} serves{untested}{waiting}"),
        )
    }
}

/// Whether a new spec changes live pods just now: how they stand was seen before.
fn changes_pods(object: &CrmPlatform, plan: &Plan) -> bool {
    let observed = object
        .status
        .as_ref()
        .and_then(|status| status.observed_generation);
    let mut writes = plan.actions.iter().map(|action| &action.write);
    observed != object.metadata.generation
        && writes.any(|write| matches!(write, Write::Apply(Object::Deployment(_))))
}

/// The way back that a person asked for last, if it was not gone to its end: `Ready` alone would say that all is as they want it.
/// Nothing where it is told already of that release.
fn missed(memory: &Memory, told: Option<&String>) -> String {
    let newest = memory.releases.first();
    let newest = newest.filter(|record| Some(&record.release) != told);
    let is_way_back = |record: &&ReleaseRecord| {
        let mut asked = record.interventions.iter();
        asked.any(|asked| asked.token == Token::RollbackTo)
    };
    let ended = newest.filter(is_way_back).filter(|record| {
        let verdict = record.verdict;
        !matches!(verdict, None | Some(Verdict::Passed | Verdict::Superseded))
    });
    let why = ended.and_then(|record| Some((&record.release, record.finding.as_ref()?)));
    why.map_or_else(String::new, |(release, finding)| {
        format!(
            "; release {release} did not come to serve again: {}",
            finding.message
        )
    })
}

fn serving(memory: &Memory) -> String {
    match &memory.stable {
        Some(stable) => format!("release {} serves on", stable.release),
        None => "nothing serves yet".to_owned(),
    }
}
