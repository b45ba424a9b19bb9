//! People in the model: they change the spec and annotate the platform, and what they allowed is remembered beside the operator.

use crm_operator::api::spec::{
    Approval, AutoscalingSpec, CanaryStep, EnvSpec, FreezeSpec, ImageUpdateSpec, RehearsalData,
    StrategySpec, StrategyType,
};
use crm_operator::api::status::{ResolvedImage, Slot, Stage, Token};
use crm_operator::platform::Platform;
use crm_operator::platform::release::Release;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

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
            Act::Reach(_) | Act::Serving | Act::Comparing => return,
            Act::Push(tag, app) => {
                self.tags.insert(tag, app);
                return self.say(format!("somebody: pushes {app} as {tag}"));
            }
            Act::Follow => self.follow(),
            Act::Backup => self.ask_for_backups(RehearsalData::Backup),
            Act::Dumps => self.ask_for_backups(RehearsalData::Synthetic),
            Act::SideBySide => self.ask_for_comparisons(),
            Act::Spoil => {
                self.volume.rotten = true;
                return;
            }
            Act::Load(pods) => return self.scale(pods),
            Act::Autoscale(on) => {
                self.platform.spec.services[0].autoscaling = on.then_some(AutoscalingSpec {
                    min_replicas: 2,
                    max_replicas: 10,
                    cpu_percent: 70,
                });
            }
            Act::Expose => self.expose(),
            Act::Env(value) => {
                let name = "MODE".to_owned();
                let value = value.to_owned();
                self.platform.spec.services[1].env = vec![EnvSpec { name, value }];
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

    /// The image that is set gets a version, and newer ones are followed.
    fn follow(&mut self) {
        let image = self
            .platform
            .spec
            .image
            .replace("registry.example/crm:1.0.0".into());
        let app = ["v1", "v1b", "v2"].into_iter();
        let mut app = app.filter(|app| image.as_ref().unwrap().ends_with(&format!(":{app}")));
        self.tags.insert("1.0.0", app.next().unwrap());
        self.platform.spec.image_update = Some(ImageUpdateSpec {
            semver: ">=1.0.0 <2.0.0".into(),
            interval_seconds: 600,
        });
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
    pub fn wanted(&self) -> String {
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
        let is_named = |release: &Release| {
            let mut services = release.services.iter();
            release.services[0].image.ends_with(&format!(":{first}"))
                || services.any(|own| own.env.iter().any(|variable| variable.value == first))
        };
        let named = releases.find(|(_, release)| is_named(release));
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
        let candidate = &self.remembered().candidate;
        let mut jobs = self.jobs.values();
        let mut migrates = || jobs.any(|job| job.view.live_migration && job.moves == 1);
        candidate
            .as_ref()
            .is_some_and(|candidate| candidate.stage == stage)
            && (stage != Stage::Migrate || migrates())
    }

    /// Whether the image of the spec is stable.
    pub fn serves(&self) -> bool {
        let image = self.platform.spec.image.clone().unwrap_or_default();
        let tag = image.rsplit(':').next().unwrap_or_default().to_owned();
        let stable = self.remembered().stable.as_ref();
        stable.is_some_and(|stable| stable.images[0].image.ends_with(&format!(":{tag}")))
    }

    /// Whether a release waits for a freeze window that will end.
    pub fn thaws(&self) -> bool {
        let status = self.platform.status.iter();
        let frozen = status
            .flat_map(|status| &status.conditions)
            .any(|condition| condition.reason == "Frozen");
        let mut windows = self.platform.spec.release.freeze.iter();
        frozen && windows.all(|freeze| freeze.duration_minutes < 60)
    }
}

/// Whoever waits for the new spec gets the pods that it asks for.
#[test]
fn a_platform_that_is_scaled_is_not_ready_before_its_pods_are() {
    let mut run = crate::Run::installed(crate::STORIES[0]);
    run.rest();
    run.world.platform.spec.services[0].replicas = 5;
    run.world.new_spec();
    loop {
        let is_over = run.turn(None);
        let status = run.world.platform.status.clone().unwrap();
        let is_ready = |one: &Condition| one.type_ == "Ready" && one.status == "True";
        let is_observed = status.observed_generation == run.world.platform.metadata.generation;
        if is_observed && status.conditions.iter().any(is_ready) {
            assert_eq!(run.world.ready("customer", Slot::Blue), (5, 5));
        }
        if is_over {
            assert!(is_observed, "nobody looked at it");
            return;
        }
    }
}
