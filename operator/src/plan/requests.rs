//! One-shot requests of people: abort, rollback-to, retry, approve, skip-gate. In: annotations whose value is unlike the one that was handled last. Out: a
//! move of the release, and who asked, why and when; or why nothing was done. One request a move, and no write in its plan.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::draft::Draft;
use super::{admit, closing, permit, record, rollback, usable};
use crate::api::conditions;
use crate::api::status::{
    ACTOR_LIMIT, Candidate, Finding, HandledToken, Intervention, REASON_LIMIT, Stage, Token,
    Verdict,
};
use crate::platform::request::Request;

/// Most interventions kept of one release.
const INTERVENTIONS_KEPT: usize = 8;
/// Characters of what a request did.
pub(super) const RESULT_LIMIT: usize = 300;

/// What a request did, and to which release; or why it did nothing.
pub(super) type Outcome = Result<(String, String), String>;

/// Handles the first request that was not handled yet.
pub(super) fn handle(draft: &mut Draft<'_>) {
    let all = draft.platform.requests.iter();
    let mut unhandled = all.filter(|(token, request)| {
        let is_late = outdated(draft, *token).is_some();
        is_new(draft, *token, request) && (is_late || !is_early(draft, *token))
    });
    let Some((token, request)) = unhandled.next().cloned() else {
        draft.early = early(draft);
        return;
    };
    let outdated = outdated(draft, token);
    let (words, outcome) = match token {
        _ if let Some(why) = outdated => (request.clone(), Err(why)),
        Token::RollbackTo => {
            let (release, words) = request.release();
            (
                words.clone(),
                rollback::rollback_to(draft, &release, &words),
            )
        }
        Token::Abort => (request.clone(), abort(draft, &request)),
        Token::Retry => (request.clone(), retry(draft)),
        Token::Approve => (request.clone(), approve(draft)),
        Token::SkipGate => (request.clone(), skip_gate(draft)),
    };
    let at = Time(draft.now);
    let by = format!("{} by {}", token.annotation(), words.actor());
    let result = match outcome {
        Ok((release, did)) => {
            draft.note(false, conditions::REQUEST_HANDLED, format!("{by}: {did}"));
            remember(draft, &release, intervention(token, &words, &at));
            did
        }
        Err(why) => {
            draft.note(
                true,
                conditions::REQUEST_REFUSED,
                format!("{by}: nothing was done: {why}"),
            );
            format!("nothing was done: {why}")
        }
    };
    let result = result.chars().take(RESULT_LIMIT).collect();
    let value = request.value;
    *draft.memory.last_handled.of(token) = Some(HandledToken { value, at, result });
    draft.moved = true;
}

/// Whether a request was not handled yet.
fn is_new(draft: &Draft<'_>, token: Token, request: &Request) -> bool {
    let last = draft.memory.last_handled.clone().of(token).clone();
    last.is_none_or(|last| last.value != request.value)
}

/// Says which request waits for its release: nothing else shows that it was seen.
fn early(draft: &Draft<'_>) -> Option<String> {
    let mut all = draft.platform.requests.iter();
    let (token, request) =
        all.find(|(token, request)| is_new(draft, *token, request) && is_early(draft, *token))?;
    let (token, by) = (token.annotation(), request.actor());
    Some(format!(
        "{token} by {by} waits for the release of this spec to begin"
    ))
}

/// The value of a request to skip the gate that has to wait for its release to begin.
pub(super) fn to_skip_the_gate(draft: &Draft<'_>) -> Option<String> {
    let mut all = draft.platform.requests.iter();
    let found = all.find(|(token, request)| {
        *token == Token::SkipGate && is_new(draft, *token, request) && is_early(draft, *token)
    });
    found.map(|(_, request)| request.value.clone())
}

/// Why a person can have meant neither release: that at work, which the spec has left, nor that of the spec, which may not be able to begin for hours, or is
/// another than the one that the spec asked for then.
fn outdated(draft: &Draft<'_>, token: Token) -> Option<String> {
    if token == Token::SkipGate && draft.skips_nothing {
        return Some(
            "the spec does not ask for the same any more as when this was first seen".to_owned(),
        );
    }
    let (id, release) = draft.wanted.as_ref()?;
    let candidate = draft.memory.candidate.as_ref()?;
    let is_left = candidate.release != *id && candidate.rollback.is_none();
    let speaks_of_it = matches!(token, Token::Approve | Token::SkipGate) && is_left;
    let hindrance = usable::refusal(draft, release).filter(|_| speaks_of_it)?;
    Some(format!(
        "the spec does not ask for release {} any more, and release {id} cannot begin: {hindrance}",
        candidate.release
    ))
}

/// Whether a request comes before the release that it speaks of: with a new spec, whose images are not known yet or which is about to take the place of the
/// candidate. It waits, so that it never acts on the release that the spec has left.
fn is_early(draft: &Draft<'_>, token: Token) -> bool {
    // It would wait for whatever comes first: the first gate of a platform is skipped by `gate: None`, or when it is held.
    let is_fresh = draft.memory.stable.is_none() && draft.memory.candidate.is_none();
    if token == Token::Abort || (token == Token::SkipGate && is_fresh) {
        return false;
    }
    let Some((wanted, _)) = &draft.wanted else {
        return token != Token::RollbackTo;
    };
    if !matches!(token, Token::Retry | Token::Approve | Token::SkipGate) {
        return false;
    }
    match &draft.memory.candidate {
        Some(candidate) => candidate.release != *wanted && candidate.rollback.is_none(),
        None => !draft.wants_stable() && !admit::is_rejected(draft, wanted),
    }
}

fn intervention(token: Token, words: &Request, at: &Time) -> Intervention {
    Intervention {
        token,
        actor: words.actor().chars().take(ACTOR_LIMIT).collect(),
        reason: words.reason().chars().take(REASON_LIMIT).collect(),
        at: at.clone(),
    }
}

fn remember(draft: &mut Draft<'_>, release: &str, intervention: Intervention) {
    if let Some(record) = record::of(&mut draft.memory.releases, release) {
        record.interventions.push(intervention);
        let surplus = record
            .interventions
            .len()
            .saturating_sub(INTERVENTIONS_KEPT);
        record.interventions.drain(..surplus);
    }
}

fn at_work(draft: &Draft<'_>) -> Result<Candidate, String> {
    let candidate = draft.memory.candidate.clone();
    candidate.ok_or_else(|| "no release is being tried".to_owned())
}

fn abort(draft: &mut Draft<'_>, request: &Request) -> Outcome {
    let candidate = at_work(draft)?;
    let release = candidate.release.clone();
    if candidate.returning.is_some() {
        return Err(format!("release {release} is being taken back already"));
    }
    let message = format!(
        "it was aborted by {}: {}",
        request.actor(),
        request.reason()
    );
    let finding = Finding::new(conditions::ABORTED, message);
    let waits = candidate.held.is_some() || permit::is_waiting(draft, &candidate);
    let did = match candidate.stage {
        Stage::Migrate if !waits && migrates(draft, &release) => {
            draft.memory.candidate = Some(Candidate {
                aborting: Some(finding),
                ..candidate
            });
            "ends as soon as the migration that runs has ended"
        }
        stage if stage <= Stage::Migrate || (stage == Stage::Rollout && waits) => {
            draft.conclude(Verdict::Aborted, finding);
            "is aborted"
        }
        _ => {
            draft.start_return(finding);
            "is aborted, and all services return to stable"
        }
    };
    Ok((release.clone(), format!("release {release} {did}")))
}

/// Whether a migration of the live database may run for a release.
fn migrates(draft: &mut Draft<'_>, release: &str) -> bool {
    let stage = record::stage(&mut draft.memory.releases, release, Stage::Migrate);
    let open = stage.is_some_and(|stage| stage.jobs.iter().any(|job| job.verdict.is_none()));
    open || draft.live_migration("").is_some()
}

fn retry(draft: &mut Draft<'_>) -> Outcome {
    if let Some(candidate) = draft.memory.candidate.clone() {
        let release = candidate.release;
        return match candidate.held {
            None => Err(format!("release {release} is at work")),
            Some(_) if candidate.rollback.is_some() => Err(format!(
                "release {release} was asked for by {0}: use {0} again",
                Token::RollbackTo.annotation()
            )),
            Some(finding) => {
                draft.conclude(Verdict::Inconclusive, finding);
                Ok((
                    release.clone(),
                    format!("release {release} is tried again from its beginning"),
                ))
            }
        };
    }
    let wanted = draft.wanted.as_ref().map(|(wanted, _)| wanted.clone());
    if let Some(release) = wanted.filter(|wanted| admit::is_rejected(draft, wanted)) {
        let rejected = &mut draft.memory.rejected;
        rejected.retain(|rejected| rejected.release != release);
        return Ok((
            release.clone(),
            format!("release {release} is tried again from its beginning"),
        ));
    }
    let Some(stable) = draft.memory.stable.clone() else {
        return Err("nothing is held or rejected".to_owned());
    };
    if reopen_optimise(draft, &stable.release) {
        return Ok((
            stable.release.clone(),
            format!(
                "the last stage of release {} is tried again",
                stable.release
            ),
        ));
    }
    Err("nothing is held, rejected or refused".to_owned())
}

/// Opens stable's last stage again, with what has passed kept; false when it did not end badly.
fn reopen_optimise(draft: &mut Draft<'_>, id: &str) -> bool {
    let Some(record) = record::of(&mut draft.memory.releases, id) else {
        return false;
    };
    let mut stages = record.stages.iter_mut();
    let bad = [Some(Verdict::Failed), Some(Verdict::Inconclusive)];
    let stage = stages.find(|stage| stage.name == Stage::Optimise && bad.contains(&stage.verdict));
    let Some(stage) = stage else {
        return false;
    };
    closing::reopen(stage);
    record.round += 1;
    true
}

fn approve(draft: &mut Draft<'_>) -> Outcome {
    let candidate = at_work(draft)?;
    let release = candidate.release.clone();
    if candidate.stage < Stage::Approve || !permit::is_waiting(draft, &candidate) {
        return Err(format!(
            "release {release} is in {} and does not wait for approval",
            candidate.stage.name()
        ));
    }
    if permit::unpermitted(draft, candidate.stage).is_none() {
        return Err(format!(
            "release {release} waits for nobody's approval: spec.paused holds it back"
        ));
    }
    draft.memory.candidate = Some(Candidate {
        approved: true,
        thawed_until: permit::thaws(draft).map(Time),
        ..candidate
    });
    Ok((release.clone(), format!("release {release} is approved")))
}

fn skip_gate(draft: &mut Draft<'_>) -> Outcome {
    let candidate = at_work(draft)?;
    let release = candidate.release.clone();
    if candidate.stage > Stage::Gate {
        return Err(format!(
            "release {release} is in {}: it has passed its gate",
            candidate.stage.name()
        ));
    }
    if candidate.stage == Stage::Backup && candidate.held.is_some() {
        return Err(format!(
            "release {release} has no backup, which is not part of the gate: mend that and annotate {}",
            Token::Retry.annotation()
        ));
    }
    draft.memory.candidate = Some(Candidate {
        ungated: true,
        held: None,
        ..candidate
    });
    Ok((
        release.clone(),
        format!("release {release} goes on without rehearsal and tests"),
    ))
}
