//! Whether a stage may begin: `spec.paused`, `approval: Manual`, freeze windows and a newer spec that is not known yet hold it back. What has begun is finished.
//!
//! Verify is never held back: it belongs to the roll-out before it, and a release that was not verified must not serve over a weekend.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::draft::Draft;
use super::record;
use super::rollout::shift;
use crate::api::conditions;
use crate::api::spec::Approval;
use crate::api::status::{Candidate, Finding, Stage, Token};
use crate::cost::seconds;
use crate::platform::freeze::Window;

/// What holds a stage back.
pub(super) struct Hindrance {
    /// Why, and what to do.
    pub finding: Finding,
    /// When it may be over without a change of the object, in seconds.
    pub over_in: Option<f64>,
}

/// What holds a stage back just now. Of the release at work, or of stable's last stage.
pub(super) fn hindrance(draft: &Draft<'_>, stage: Stage) -> Option<Hindrance> {
    if stage == Stage::Verify {
        return None;
    }
    if draft.platform.paused {
        return Some(paused());
    }
    unpermitted(draft, stage).or_else(|| left(draft, stage))
}

/// A spec that asks for other images than the candidate's, as long as these are not known: people want it to go no further, and what takes its place cannot begin yet.
fn left(draft: &Draft<'_>, stage: Stage) -> Option<Hindrance> {
    let candidate = draft.memory.candidate.as_ref()?;
    let changes_live = matches!(stage, Stage::Migrate | Stage::Rollout);
    let is_left = draft.wanted.is_none() && candidate.generation < draft.platform.generation;
    if !changes_live || !is_left || candidate.rollback.is_some() {
        return None;
    }
    let message = format!(
        "the spec asks for other images since, which are not known yet: nothing live is changed for release {}",
        candidate.release
    );
    Some(Hindrance {
        finding: Finding::new(conditions::IMAGE_NOT_RESOLVED, message),
        over_in: None,
    })
}

/// What a person could lift by an approval: a missing one, or a freeze window. Asked of every stage that touches what is live, not only of Approve: a pause may
/// have ended, or the spec changed, since.
pub(super) fn unpermitted(draft: &Draft<'_>, stage: Stage) -> Option<Hindrance> {
    let candidate = draft.memory.candidate.as_ref();
    let approved = candidate.is_some_and(|candidate| candidate.approved);
    match stage {
        Stage::Approve | Stage::Migrate | Stage::Rollout
            if draft.platform.approval == Approval::Manual && !approved =>
        {
            Some(unapproved(draft))
        }
        Stage::Approve | Stage::Migrate | Stage::Rollout | Stage::Optimise => {
            frozen(draft).filter(|_| !is_lifted(draft))
        }
        _ => None,
    }
}

/// Whether a person let the candidate through the freeze window that holds now: by approving it in this window, not before, or by going back to it.
fn is_lifted(draft: &Draft<'_>) -> bool {
    let candidate = draft.memory.candidate.as_ref();
    candidate.is_some_and(|candidate| {
        let lifted = candidate.thawed_until.as_ref();
        candidate.rollback.is_some()
            || thaws(draft).is_some_and(|ends| lifted.is_some_and(|lifted| ends <= lifted.0))
    })
}

/// When the freeze window ends that holds now, if one does.
pub(super) fn thaws(draft: &Draft<'_>) -> Option<Timestamp> {
    window(draft).map(|(window, _)| window.ends)
}

/// Of the freeze windows that hold now the one that ends last, and its reason.
fn window<'d>(draft: &'d Draft<'_>) -> Option<(Window, &'d str)> {
    let all = draft.platform.freeze.iter();
    let windows = all.filter_map(|freeze| Some((freeze.at(draft.now)?, freeze.reason.as_str())));
    windows.max_by_key(|(window, _)| window.ends)
}

/// `spec.paused`, as a hindrance.
pub(super) fn paused() -> Hindrance {
    let message = "spec.paused is true: nothing new begins; set it to false to go on";
    Hindrance {
        finding: Finding::new(conditions::PAUSED, message),
        over_in: None,
    }
}

fn unapproved(draft: &Draft<'_>) -> Hindrance {
    let candidate = draft.memory.candidate.as_ref();
    let what = match candidate.and_then(|candidate| candidate.code_of.as_ref()) {
        Some(of) => format!("it has the code of release {of} and new configuration"),
        None => "it has passed its tests".to_owned(),
    };
    let freeze = match window(draft) {
        Some((window, reason)) => format!(
            " (nothing live is changed {} ({reason}); an approval goes through that window)",
            until(&window)
        ),
        None => String::new(),
    };
    let message = format!("{what} and waits for a person: {}{freeze}", approve(draft));
    Hindrance {
        finding: Finding::new(conditions::WAITING_FOR_APPROVAL, message),
        over_in: None,
    }
}

/// A freeze window that holds back whatever changes what is live.
pub(super) fn frozen(draft: &Draft<'_>) -> Option<Hindrance> {
    let (window, reason) = window(draft)?;
    let hint = match draft.memory.candidate {
        Some(_) => format!("; to go on at once: {}", approve(draft)),
        None => String::new(),
    };
    let until = until(&window);
    let message = format!("nothing live is changed {until} ({reason}){hint}");
    Some(Hindrance {
        finding: Finding::new(conditions::FROZEN, message),
        over_in: Some(seconds(draft.now, window.ends)),
    })
}

/// The end of windows without a gap between them is not known: a time that moves would be told again and again.
fn until(window: &Window) -> String {
    match window.is_last {
        true => format!("before {}", window.ends),
        false => "while windows follow one another".to_owned(),
    }
}

fn approve(draft: &Draft<'_>) -> String {
    format!(
        "kubectl -n {} annotate --overwrite crmp {} {}='<your name>: <why>'",
        draft.platform.namespace,
        draft.platform.name,
        Token::Approve.annotation()
    )
}

/// Whether the candidate waits for people before its stage begins.
pub(super) fn is_waiting(draft: &mut Draft<'_>, candidate: &Candidate) -> bool {
    let releases = &mut draft.memory.releases;
    record::stage(releases, &candidate.release, candidate.stage)
        .is_some_and(|stage| stage.waiting_since.is_some())
}

/// Whether the candidate's stage has begun. One that may begin now does so in the next plan, after that was saved: what begins is finished.
pub(super) fn has_begun(draft: &mut Draft<'_>, candidate: &Candidate) -> bool {
    if !is_waiting(draft, candidate) {
        return true;
    }
    if let Some(hindrance) = hindrance(draft, candidate.stage) {
        draft.hold_back(hindrance);
        return false;
    }
    let now = draft.now;
    let releases = &mut draft.memory.releases;
    if let Some(stage) = record::stage(releases, &candidate.release, candidate.stage)
        && let Some(since) = stage.waiting_since.take()
    {
        let waited = now.duration_since(since.0).as_secs();
        stage.human_wait_seconds = Some(stage.human_wait_seconds.unwrap_or(0) + waited);
        stage.started_at = Time(now);
    }
    // What was seen when it was held back counts no more.
    let shift = (candidate.stage == Stage::Rollout).then(|| shift::begin(draft));
    if let Some(candidate) = &mut draft.memory.candidate {
        candidate.since = Time(now);
        candidate.shift = shift.unwrap_or(candidate.shift.take());
    }
    draft.moved = true;
    false
}
