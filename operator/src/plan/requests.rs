//! One-shot requests of people: abort, rollback-to, retry, approve, skip-gate. In: annotations whose value is unlike the one that was handled last. Out: a
//! move of the release, and who asked, why and when; or why nothing was done. One request a plan, and nothing else in that plan.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::draft::Draft;
use super::{permit, record, resolve};
use crate::api::conditions;
use crate::api::status::{
    Candidate, Finding, HandledToken, Intervention, Rejected, Stage, Token, Verdict,
};
use crate::platform::request::Request;

/// Most interventions kept of one release.
const INTERVENTIONS_KEPT: usize = 8;

/// What a request did, and to which release; or why it did nothing.
type Outcome = Result<(String, String), String>;

/// Handles the first request that was not handled yet.
pub(super) fn handle(draft: &mut Draft<'_>) {
    let all = draft.platform.requests.iter();
    let mut unhandled = all.filter(|(token, request)| {
        let last = draft.memory.last_handled.clone().of(*token).clone();
        last.is_none_or(|last| last.value != request.value)
    });
    let Some((token, request)) = unhandled.next().cloned() else {
        return;
    };
    let (words, outcome) = match token {
        Token::RollbackTo => {
            let (release, words) = request.release();
            (words.clone(), rollback_to(draft, &release, &words))
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
    let result = result.chars().take(300).collect();
    let value = request.value;
    *draft.memory.last_handled.of(token) = Some(HandledToken { value, at, result });
    draft.moved = true;
}

fn intervention(token: Token, words: &Request, at: &Time) -> Intervention {
    Intervention {
        token,
        actor: words.actor().to_owned(),
        reason: words.reason().to_owned(),
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
        Stage::Migrate if !waits => {
            draft.memory.candidate = Some(Candidate {
                aborting: Some(finding),
                ..candidate
            });
            "ends as soon as the migration that runs has ended"
        }
        stage if stage <= Stage::Migrate => {
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

fn retry(draft: &mut Draft<'_>) -> Outcome {
    if let Some(candidate) = draft.memory.candidate.clone() {
        let release = candidate.release;
        return match candidate.held {
            None => Err(format!("release {release} is at work")),
            Some(_) if candidate.rollback => Err(format!(
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
    let rejected = &mut draft.memory.rejected;
    if let Some(place) = rejected
        .iter()
        .position(|rejected| rejected.left_at.is_none())
    {
        let release = rejected.remove(place).release;
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
    stage.verdict = None;
    stage.finished_at = None;
    stage.message = None;
    stage
        .jobs
        .retain(|job| job.verdict == Some(Verdict::Passed));
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
    draft.memory.candidate = Some(Candidate {
        approved: true,
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

fn rollback_to(draft: &mut Draft<'_>, target: &str, words: &Request) -> Outcome {
    let (wanted, wanted_release) = draft
        .wanted
        .clone()
        .ok_or("the images of the spec are not known yet")?;
    let stable = draft.memory.stable.clone().ok_or("nothing serves yet")?;
    if stable.release == target {
        return Err(format!(
            "release {target} serves; {} ends the one that is being tried",
            Token::Abort.annotation()
        ));
    }
    if wanted == target {
        return Err(format!(
            "the spec asks for release {target}: {} tries it again",
            Token::Retry.annotation()
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
    match draft.memory.candidate.clone() {
        Some(candidate) if candidate.held.is_none() => {
            let what = format!(
                "release {} is being tried: end it with {} first",
                candidate.release,
                Token::Abort.annotation()
            );
            return Err(what);
        }
        Some(_) => draft.conclude(Verdict::Superseded, super::moves::superseded()),
        None => {}
    }
    if let Some(what) = draft.live_migration("") {
        return Err(format!(
            "{what} migrates the live database: ask again when it has ended"
        ));
    }
    if draft.memory.scratch.iter().any(|id| id == target) {
        return Err(format!(
            "the scratch database of an earlier try of release {target} is being dropped: ask again in a minute"
        ));
    }
    let message = format!(
        "{} went back to release {target}: {}",
        words.actor(),
        words.reason()
    );
    let left = Rejected {
        release: wanted.clone(),
        images: wanted_release.service_images(),
        reason: conditions::ROLLED_BACK.to_owned(),
        message,
        at: Time(draft.now),
        left_at: None,
    };
    draft
        .memory
        .rejected
        .retain(|rejected| rejected.release != wanted);
    draft.memory.rejected.insert(0, left);
    draft.start_rollback(target, &release);
    Ok((
        target.to_owned(),
        format!(
            "release {target} shall serve again instead of {}",
            stable.release
        ),
    ))
}
