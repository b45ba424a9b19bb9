//! People in the model: they change the spec and annotate the platform, and what they allowed is remembered beside the operator.

use crm_operator::api::spec::{Approval, CanaryStep, FreezeSpec, StrategySpec, StrategyType};
use crm_operator::api::status::{ResolvedImage, Stage, Token};
use crm_operator::platform::Platform;

use crate::stories::Act;
use crate::world::{World, settings};

impl World {
    /// Does what a user does.
    pub fn act(&mut self, act: Act) {
        match act {
            Act::Image(tag) => return self.set_image(tag),
            Act::Annotate(token, value) => return self.annotate(token, value, None),
            Act::ImageWith(tag, token, value) => {
                self.set_image(tag);
                let wanted = self.wanted();
                return self.annotate(token, value, Some(wanted));
            }
            Act::Reach(_) | Act::Serving => return,
            Act::Backup => self.ask_for_backups(),
            Act::Spoil => {
                self.volume.rotten = true;
                return;
            }
            Act::Paused(paused) => self.platform.spec.paused = paused,
            Act::Strategy(kind) => self.set_strategy(kind),
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

    fn set_strategy(&mut self, kind: StrategyType) {
        let steps = [(25, 30), (50, 0)].map(|(weight, seconds)| CanaryStep { weight, seconds });
        let steps = match kind {
            StrategyType::Canary => steps.to_vec(),
            _ => Vec::new(),
        };
        self.platform.spec.release.strategy = StrategySpec {
            kind,
            steps,
            ..StrategySpec::default()
        };
    }

    /// The release that the spec asks for.
    fn wanted(&self) -> String {
        let reference = self.platform.spec.image.clone().unwrap();
        let image = reference.replace("crm:", "crm@sha256:");
        let platform = Platform::parse(&self.platform, &settings()).unwrap();
        let resolved = ResolvedImage {
            reference,
            image,
            signed_by: None,
        };
        let release = platform.wanted(&[resolved]);
        release.unwrap().id()
    }

    /// Annotates the platform; what that allows is meant for a release, or for the candidate.
    fn annotate(&mut self, token: Token, value: &str, meant: Option<String>) {
        let (first, rest) = value.split_once(' ').unwrap_or((value, ""));
        let mut releases = self.revisions.iter();
        let named =
            releases.find(|(_, release)| release.services[0].image.ends_with(&format!(":{first}")));
        let value = match named.filter(|_| token == Token::RollbackTo) {
            Some((id, _)) => format!("{id} {rest}"),
            None => value.to_owned(),
        };
        let candidate = self.memory().candidate;
        if let Some(meant) = meant.or(candidate.map(|candidate| candidate.release)) {
            match token {
                Token::SkipGate => self.skipped.insert(meant),
                Token::Approve => self.approved.insert(meant),
                _ => false,
            };
        }
        self.say(format!("user: annotates {}={value}", token.annotation()));
        let annotations = self.platform.metadata.annotations.get_or_insert_default();
        annotations.insert(token.annotation().to_owned(), value);
    }

    /// Whether the candidate is in a stage; of Migrate, whether it migrates.
    pub fn is_in(&self, stage: Stage) -> bool {
        let candidate = self.memory().candidate;
        let mut jobs = self.jobs.values();
        let mut migrates = || jobs.any(|job| job.view.live_migration && job.moves == 1);
        candidate.is_some_and(|candidate| candidate.stage == stage)
            && (stage != Stage::Migrate || migrates())
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
