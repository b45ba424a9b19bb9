//! The moves a release can make: it becomes the candidate, enters a stage, is promoted, rejected, held or taken back. In: a draft. Out: its memory and notes
//! changed; nothing is written to the cluster here, and nothing may be written in the same plan (see `Draft::moved`).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::action::Note;
use super::draft::Draft;
use super::permit::{self, Hindrance};
use super::rollout::shift;
use super::{asked, backup, configuration, dora, record, remedy, resolve, rollback};
use crate::api::conditions;
use crate::api::spec::GatePolicy;
use crate::api::status::{
    Candidate, Finding, Rejected, ServiceImage, Slot, Stable, Stage, Verdict,
};
use crate::platform::release::Release;

/// The finding of a release whose place was taken.
pub(super) fn superseded() -> Finding {
    Finding::new(conditions::SUPERSEDED, "a newer spec took its place")
}

impl Draft<'_> {
    /// Makes the wanted release the candidate.
    pub fn start(&mut self, id: &str, release: &Release) {
        let candidate = self.begin(id, release);
        self.memory.candidate = Some(candidate);
        let signed_by = resolve::signers(self);
        if let Some(record) = record::of(&mut self.memory.releases, id) {
            record.signed_by = signed_by;
        }
        configuration::begin(self, release);
        self.enter_next(Verdict::Passed);
    }

    /// The candidate that a release becomes.
    pub fn begin(&mut self, id: &str, release: &Release) -> Candidate {
        Candidate {
            release: id.to_owned(),
            stage: Stage::Resolve,
            since: self.open_record(id),
            generation: self.platform.generation,
            images: release.service_images(),
            held: None,
            returning: None,
            aborting: None,
            approved: false,
            thawed_until: None,
            ungated: false,
            code_of: None,
            rollback: None,
            shift: None,
        }
    }

    /// Begins the history of a release, and answers when.
    fn open_record(&mut self, id: &str) -> Time {
        let now = Time(self.now);
        let generation = self.platform.generation;
        record::open(&mut self.memory.releases, id, generation, now.clone());
        asked::begin(self, id);
        now
    }

    /// Makes a release stable that is live although nothing is remembered of it. Its last stage is done again, which does no harm.
    pub fn adopt(&mut self, id: &str, release: &Release, slot: Slot) {
        let now = self.open_record(id);
        self.close_stage(id, Stage::Resolve, Verdict::Passed, None);
        record::enter(&mut self.memory.releases, id, Stage::Optimise, now.clone());
        let message = format!("the status was lost: release {id}, which is live, counts as stable");
        self.note(true, conditions::ADOPTED, message);
        self.memory.stable = Some(Stable {
            release: id.to_owned(),
            since: now,
            images: release.service_images(),
            optimised: false,
            untested: false,
            slot,
        });
        self.moved = true;
    }

    /// Closes the candidate's stage and enters the next one.
    pub fn enter_next(&mut self, verdict: Verdict) {
        let Some(candidate) = self.memory.candidate.clone() else {
            return;
        };
        self.close_stage(&candidate.release, candidate.stage, verdict, None);
        let next = self.stage_after(&candidate);
        if next == Stage::Backup {
            backup::make_room(self);
        }
        record::enter(
            &mut self.memory.releases,
            &candidate.release,
            next,
            Time(self.now),
        );
        let passed = format!(
            "release {}: {} {}",
            candidate.release,
            candidate.stage.name(),
            verdict.name()
        );
        match permit::hindrance(self, next) {
            None => self.note(
                false,
                conditions::STAGE_PASSED,
                format!("{passed}, {} begins", next.name()),
            ),
            Some(Hindrance { finding, .. }) => {
                if let Some(stage) =
                    record::stage(&mut self.memory.releases, &candidate.release, next)
                {
                    stage.waiting_since = Some(Time(self.now));
                }
                let message = format!("{passed}, {} waits: {}", next.name(), finding.message);
                self.notes.push(Note {
                    warning: false,
                    reason: finding.reason,
                    message,
                });
            }
        }
        let gated = self
            .release(&candidate.release)
            .is_none_or(|release| release.gate != GatePolicy::None);
        if gated
            && !candidate.ungated
            && next == Stage::Rehearse
            && !self.memory.scratch.contains(&candidate.release)
        {
            self.memory.scratch.push(candidate.release.clone());
        }
        let begun = (next == Stage::Rollout).then(|| shift::begin(self));
        self.memory.candidate = Some(Candidate {
            stage: next,
            since: Time(self.now),
            shift: begun.unwrap_or(candidate.shift),
            ..candidate
        });
        self.moved = true;
    }

    /// The images of a candidate; its record has them where the status had no room.
    fn images_of(&self, candidate: &Candidate) -> Vec<ServiceImage> {
        match candidate.images.is_empty() {
            true => self
                .release(&candidate.release)
                .map_or_else(Vec::new, |release| release.service_images()),
            false => candidate.images.clone(),
        }
    }

    /// The stage that follows; of new configuration none that is about code; Backup only when it is asked for, Approve only when there is somebody to wait for.
    fn stage_after(&self, candidate: &Candidate) -> Stage {
        let stages = Stage::ALL.into_iter();
        let mut later = stages.filter(|later| *later > candidate.stage);
        let needed = |stage: &Stage| match stage {
            Stage::Backup | Stage::Rehearse | Stage::Gate | Stage::Migrate
                if candidate.code_of.is_some() =>
            {
                false
            }
            Stage::Backup => backup::is_wanted(self, candidate),
            Stage::Approve => permit::unpermitted(self, *stage).is_some(),
            _ => true,
        };
        later.find(needed).unwrap_or(Stage::Optimise)
    }

    /// Verification is over, passed or with nothing to run: the candidate is stable now.
    pub fn promote(&mut self, verdict: Verdict) {
        let slot = self.slot();
        let Some(candidate) = self.memory.candidate.take() else {
            return;
        };
        self.close_stage(&candidate.release, Stage::Verify, verdict, None);
        let stable = self.memory.stable.as_ref();
        let was_optimised = stable.is_some_and(|stable| stable.optimised);
        let untested = candidate.ungated && !rollback::has_served(&self.memory, &candidate.release);
        dora::promoted(self, &candidate);
        if let Some(old) = self.memory.stable.take()
            && record::stage(&mut self.memory.releases, &old.release, Stage::Optimise)
                .is_some_and(|stage| stage.verdict.is_none())
        {
            self.close_stage(&old.release, Stage::Optimise, Verdict::Superseded, None);
        }
        record::conclude(
            &mut self.memory.releases,
            &candidate.release,
            Verdict::Passed,
            None,
            Time(self.now),
        );
        // Nothing is left to do for code that was optimised before.
        let optimised = candidate.code_of.is_some() && was_optimised;
        if !optimised {
            record::enter(
                &mut self.memory.releases,
                &candidate.release,
                Stage::Optimise,
                Time(self.now),
            );
        }
        rollback::ended(&mut self.memory, &candidate, "serves again");
        self.forget_rejections(&candidate);
        let images = self.images_of(&candidate);
        self.note(
            false,
            conditions::PROMOTED,
            format!("release {} serves", candidate.release),
        );
        self.memory.stable = Some(Stable {
            release: candidate.release,
            since: Time(self.now),
            images,
            optimised,
            untested,
            slot,
        });
        self.moved = true;
    }

    /// What serves is rejected no more; what a person went back from is from now on.
    fn forget_rejections(&mut self, serving: &Candidate) {
        let left = serving.rollback.as_deref();
        let left = left.map(|left| Rejected {
            at: Time(self.now),
            ..left.clone()
        });
        self.memory.rejected.retain(|rejected| {
            let is_left = left
                .as_ref()
                .is_some_and(|left| left.release == rejected.release);
            rejected.release != serving.release && !is_left
        });
        self.memory.rejected.splice(..0, left);
    }

    /// The candidate is over. One that failed, was aborted or taken back is remembered, so that it is not tried again by itself.
    pub fn conclude(&mut self, verdict: Verdict, finding: Finding) {
        let Some(candidate) = self.memory.candidate.clone() else {
            return;
        };
        self.close_stage(
            &candidate.release,
            candidate.stage,
            verdict,
            Some(finding.message.clone()),
        );
        let how = format!("did not come to serve again: {}", finding.message);
        rollback::ended(&mut self.memory, &candidate, &how);
        self.memory.candidate = None;
        dora::concluded(self, &candidate, verdict);
        record::conclude(
            &mut self.memory.releases,
            &candidate.release,
            verdict,
            Some(finding.clone()),
            Time(self.now),
        );
        // What was taken back unjudged met live traffic: it is not tried again by itself either.
        let is_rejected = match verdict {
            Verdict::Failed | Verdict::Aborted => true,
            Verdict::Inconclusive => candidate.returning.is_some(),
            _ => false,
        };
        if is_rejected {
            let message = format!(
                "release {} was rejected: {}; {}",
                candidate.release,
                finding.message,
                remedy(&finding.reason, &candidate, &self.memory)
            );
            self.note(true, conditions::REJECTED, message);
            self.memory
                .rejected
                .retain(|rejected| rejected.release != candidate.release);
            let rejected = Rejected {
                images: self.images_of(&candidate),
                release: candidate.release,
                reason: finding.reason,
                message: finding.message,
                at: Time(self.now),
                left_at: None,
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
                remedy(&finding.reason, &candidate, &self.memory)
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
        self.count_before_return(&candidate.release, candidate.stage);
        self.memory.candidate = Some(Candidate {
            since: Time(self.now),
            returning: Some(finding),
            ..candidate
        });
        self.moved = true;
    }
}
