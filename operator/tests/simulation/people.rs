//! People in the model: they change the spec and annotate the platform, and what they allowed is remembered beside the operator.

use crm_operator::api::spec::{Approval, FreezeSpec};
use crm_operator::api::status::{Stage, Token};

use crate::stories::Act;
use crate::world::World;

impl World {
    /// Does what a user does.
    pub fn act(&mut self, act: Act) {
        match act {
            Act::Image(tag) => return self.set_image(tag),
            Act::Annotate(token, value) => return self.annotate(token, value),
            Act::Reach(_) | Act::Serving => return,
            Act::Backup => self.ask_for_backups(),
            Act::Spoil => {
                self.volume.rotten = true;
                return;
            }
            Act::Paused(paused) => self.platform.spec.paused = paused,
            Act::Approval => self.platform.spec.release.approval = Approval::Manual,
            Act::Freeze(schedule, duration_minutes) => {
                self.platform.spec.release.freeze.push(FreezeSpec {
                    schedule: schedule.into(),
                    duration_minutes,
                    time_zone: "UTC".into(),
                    reason: "a freeze".into(),
                })
            }
        }
        self.new_spec();
        self.say(format!("user: sets {act:?}"));
    }

    fn annotate(&mut self, token: Token, value: &str) {
        let (first, rest) = value.split_once(' ').unwrap_or((value, ""));
        let mut releases = self.revisions.iter();
        let named =
            releases.find(|(_, release)| release.services[0].image.ends_with(&format!(":{first}")));
        let value = match named.filter(|_| token == Token::RollbackTo) {
            Some((id, _)) => format!("{id} {rest}"),
            None => value.to_owned(),
        };
        if let Some(candidate) = self.memory().candidate {
            match token {
                Token::SkipGate => self.skipped.insert(candidate.release),
                Token::Approve => self.approved.insert(candidate.release),
                _ => false,
            };
        }
        self.say(format!("user: annotates {}={value}", token.annotation()));
        let annotations = self.platform.metadata.annotations.get_or_insert_default();
        annotations.insert(token.annotation().to_owned(), value);
    }

    /// Whether the candidate is in a stage.
    pub fn is_in(&self, stage: Stage) -> bool {
        let candidate = self.memory().candidate;
        candidate.is_some_and(|candidate| candidate.stage == stage)
    }

    /// Whether the image of the spec is stable.
    pub fn serves(&self) -> bool {
        let image = self.platform.spec.image.clone().unwrap_or_default();
        let tag = image.rsplit(':').next().unwrap_or_default().to_owned();
        let stable = self.memory().stable;
        stable.is_some_and(|stable| stable.images[0].image.ends_with(&format!(":{tag}")))
    }

    /// Whether a release waits for a freeze window that will end.
    pub fn thaws(&self) -> bool {
        let status = self.platform.status.clone().unwrap_or_default();
        let frozen = status
            .conditions
            .iter()
            .any(|condition| condition.reason == "Frozen");
        let mut windows = self.platform.spec.release.freeze.iter();
        frozen && windows.all(|freeze| freeze.duration_minutes < 60)
    }
}
