//! The way back to an earlier release that a person asks for. In: its id. Out: it is the candidate instead of what the spec asks for; or why not, and then nothing
//! is changed.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::draft::Draft;
use super::moves::superseded;
use super::requests::{Outcome, RESULT_LIMIT};
use super::{optimise, resolve, usable};
use crate::api::conditions;
use crate::api::status::{
    Candidate, Finding, HandledToken, Memory, Rejected, Stage, Token, Verdict,
};
use crate::platform::release::Release;
use crate::platform::request::Request;

/// Handles `rollback-to`.
pub(super) fn rollback_to(draft: &mut Draft<'_>, target: &str, words: &Request) -> Outcome {
    let stable = draft.memory.stable.clone().ok_or("nothing serves yet")?;
    let release = refusal(draft, target, &stable.release)?;
    let (wanted, wanted_release) = draft
        .wanted
        .clone()
        .ok_or("the images that the spec asks for are not known, so they could not be kept away: set spec.image to one that the registry has, or wait for the registry, and annotate with another value")?;
    let said = |verb: &str| {
        format!(
            "{} {verb} release {target}: {}",
            words.actor(),
            words.reason()
        )
    };
    let left = Rejected {
        release: wanted.clone(),
        images: wanted_release.service_images(),
        reason: conditions::ROLLED_BACK.to_owned(),
        message: said("went back to"),
        at: Time(draft.now),
        left_at: None,
    };
    let held = draft
        .memory
        .candidate
        .as_ref()
        .and_then(|candidate| candidate.held.clone());
    if held.is_some() {
        draft.conclude(Verdict::Superseded, superseded());
    }
    // Should the way back fail, what the spec asks for must not begin by itself: a person wanted away from it.
    let is_known = draft
        .memory
        .rejected
        .iter()
        .any(|rejected| rejected.release == wanted);
    if wanted != stable.release && !is_known {
        let asked = Finding::new(conditions::ROLLED_BACK, said("asked instead for"));
        let why = held.unwrap_or(asked);
        let rejected = Rejected {
            reason: why.reason,
            message: why.message,
            ..left.clone()
        };
        draft.memory.rejected.insert(0, rejected);
    }
    start(draft, (target, &release), left);
    Ok((
        target.to_owned(),
        format!(
            "release {target} shall serve again instead of {}",
            stable.release
        ),
    ))
}

/// Tells how a way back has ended, where the person who asked for it looks.
pub(super) fn ended(memory: &mut Memory, candidate: &Candidate, how: &str) {
    let asked = memory.last_handled.rollback_to.as_mut();
    // Another one that was asked for meanwhile has its answer.
    let is_of = |asked: &&mut HandledToken| {
        candidate.rollback.is_some() && asked.value.starts_with(&candidate.release)
    };
    if let Some(asked) = asked.filter(is_of) {
        let result = format!("release {} {how}", candidate.release);
        asked.result = result.chars().take(RESULT_LIMIT).collect();
    }
}

/// The inputs of the release to go back to, or why that cannot be done now.
fn refusal(draft: &Draft<'_>, target: &str, stable: &str) -> Result<Release, String> {
    let abort = Token::Abort.annotation();
    if stable == target {
        return Err(format!(
            "release {target} serves; {abort} ends the one that is being tried"
        ));
    }
    if draft
        .wanted
        .as_ref()
        .is_some_and(|(wanted, _)| wanted == target)
    {
        let retry = Token::Retry.annotation();
        return Err(format!(
            "the spec asks for release {target}: {retry} tries it again"
        ));
    }
    let known = draft
        .memory
        .releases
        .iter()
        .any(|record| record.release == target);
    let release = draft.release(target).filter(|_| known).ok_or_else(|| {
        format!("{target:?} is not the id of a release in status.releases; the value begins with such an id")
    })?;
    if let Some(why) = resolve::forbids(draft, target) {
        return Err(format!(
            "the operator's image policy does not allow release {target}: {why}"
        ));
    }
    if let Some(why) = usable::refusal(draft, &release) {
        return Err(why);
    }
    let candidate = draft.memory.candidate.as_ref();
    if let Some(candidate) = candidate.filter(|candidate| candidate.held.is_none()) {
        let id = &candidate.release;
        return Err(format!(
            "release {id} is being tried: end it with {abort} first"
        ));
    }
    if let Some(what) = draft
        .live_migration("")
        .or_else(|| optimise::unfinished(draft))
    {
        return Err(format!(
            "{what} migrates the live database: ask again when it has ended"
        ));
    }
    if draft.memory.scratch.iter().any(|id| id == target) {
        return Err(format!(
            "the scratch database of an earlier try of release {target} is being dropped: ask again in a minute"
        ));
    }
    Ok(release)
}

/// Makes an earlier release the candidate although the spec does not ask for it. It goes through the gate again unless it served before and its last gate passed.
fn start(draft: &mut Draft<'_>, (id, release): (&str, &Release), left: Rejected) {
    let ungated = has_served(&draft.memory, id);
    let candidate = draft.begin(id, release);
    draft.memory.candidate = Some(Candidate {
        approved: true,
        rollback: Some(Box::new(left)),
        ungated,
        ..candidate
    });
    draft.enter_next(Verdict::Passed);
}

/// Whether a release served once, and passed the last gate that it met: its own, or that of the release whose code it has.
pub(super) fn has_served(memory: &Memory, id: &str) -> bool {
    let records = || memory.releases.iter().filter(|record| record.release == id);
    let mut verdicts = records().filter_map(|record| match record.code_of {
        Some(_) => Some(Verdict::Passed),
        None => {
            let mut stages = record.stages.iter();
            stages.find(|stage| stage.name == Stage::Gate)?.verdict
        }
    });
    let last = verdicts.find(|verdict| *verdict != Verdict::Skipped);
    last == Some(Verdict::Passed) && records().any(|record| record.verdict == Some(Verdict::Passed))
}

#[cfg(test)]
mod tests {
    use super::super::record;
    use super::*;
    use Verdict::{Failed, Inconclusive, Passed, Skipped};

    /// A release with these tries, oldest first: how the gate ended, and how the try did.
    fn tried(tries: &[(Verdict, Verdict)]) -> Memory {
        let mut memory = Memory::default();
        let now = Time("2026-01-01T12:00:00Z".parse().unwrap());
        for (gate, ended) in tries {
            record::open(&mut memory.releases, "r1", 1, now.clone());
            record::enter(&mut memory.releases, "r1", Stage::Gate, now.clone());
            let stage = record::stage(&mut memory.releases, "r1", Stage::Gate).unwrap();
            stage.verdict = Some(*gate);
            memory.releases[0].verdict = Some(*ended);
        }
        memory
    }

    #[test]
    fn a_release_whose_last_gate_did_not_pass_goes_through_it_again_on_the_way_back() {
        let passed = (Passed, Passed);
        for (tries, expected) in [
            (vec![passed], true),
            // Its way back before this one skipped the gate that it had passed.
            (vec![passed, (Skipped, Passed)], true),
            (vec![passed, (Failed, Failed)], false),
            (vec![passed, (Inconclusive, Inconclusive)], false),
            (vec![passed, (Failed, Failed), (Skipped, Passed)], false),
            (vec![(Failed, Failed), passed], true),
            // It was let through by a person and never tested, or tested and never served.
            (vec![(Skipped, Passed)], false),
            (vec![(Passed, Failed)], false),
        ] {
            assert_eq!(has_served(&tried(&tries), "r1"), expected, "{tries:?}");
        }
        assert!(!has_served(&tried(&[passed]), "r2"));
    }
}
