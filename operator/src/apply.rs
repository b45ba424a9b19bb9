//! IO out: runs the actions of a plan in order and writes the status.
//!
//! In: actions, a status. Out: nothing, or the first failure. Every action is harmless when done twice, so a crash between any two is repaired by the next
//! reconcile. Must not decide anything.
//!
//! # Guarantees
//! Nothing is done after a failed action, unless that one is aside (`Origin`). The status is written only over the version of the object that was looked at.

use std::mem::{Discriminant, discriminant};
use std::time::{Duration, Instant};

use kube::ResourceExt;

use crate::api::status::Finding;
use crate::api::{CrmPlatform, conditions};
use crate::context::{Context, PlatformKey};
use crate::desired::labels;
use crate::observed::Denial;
use crate::plan::action::{Action, Created, Object, Origin, Write};
use crate::secrets;
use crate::status::Failure;

pub mod keep;
pub mod status;
pub mod writer;

pub use keep::keep;
pub use status::{StatusWrite, write_status};
use writer::Writer;

/// So long a look waits for what fails and nothing waits for, by verb and kind: something hangs, a webhook say, and each may wait for its deadline.
const SLOW: Duration = Duration::from_secs(3);
/// The same, for all of them together.
const ALL_SLOW: Duration = Duration::from_secs(30);

/// Field manager of everything the operator creates.
pub const FIELD_MANAGER: &str = "crm-operator";

/// A write did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused, or could not be reached.
    #[error("failed to {verb} {kind} \"{name}\": {reason}")]
    Request {
        /// What was tried.
        verb: &'static str,
        /// Kind of the object.
        kind: &'static str,
        /// Namespace and name.
        name: String,
        /// What the API server said.
        reason: String,
        /// Whether it will say so again, so that a person has to do something.
        denied: bool,
        /// What it was for.
        origin: Origin,
    },
    /// A Secret of the name that a platform needs is somebody else's.
    #[error(
        "Secret \"{namespace}/{name}\" is there and does not carry the labels of platform {platform}: it counts as somebody else's and is not used; make the platform under another name, or remove the Secret if nobody needs it; if it is this platform's own: kubectl -n {namespace} label secret {name} {}",
        labels::own(platform)
    )]
    NotOurs {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// The platform that needs the name.
        platform: String,
    },
    /// Random content of a Secret could not be made.
    #[error("failed to generate Secret \"{name}\"")]
    Generate {
        /// Namespace and name.
        name: String,
        /// Why.
        #[source]
        source: secrets::Error,
    },
}

impl Error {
    /// As people are told.
    pub fn finding(&self) -> Finding {
        let reason = match self {
            Self::NotOurs { .. } => conditions::SECRET_NOT_USABLE,
            Self::Request { .. } | Self::Generate { .. } => conditions::APPLY_FAILED,
        };
        Finding::new(reason, format!("{self}; it is tried again"))
    }

    /// As the status tells it.
    pub fn failure(&self) -> Failure {
        Failure {
            finding: self.finding(),
            denied: self.denial().map(|denial| denial.write),
        }
    }

    /// What the API server said no to, and will say so again.
    pub fn denial(&self) -> Option<Denial> {
        match self {
            Self::Request {
                verb,
                kind,
                name,
                denied: true,
                origin,
                ..
            } => Some(Denial {
                write: format!("{verb} {kind} \"{name}\""),
                why: self.to_string(),
                origin: *origin,
            }),
            Self::Request { .. } | Self::NotOurs { .. } | Self::Generate { .. } => None,
        }
    }

    /// The same, of a write of a plan.
    fn of(mut self, action: &Action) -> Self {
        if let Self::Request { origin, .. } = &mut self {
            *origin = action.origin;
        }
        self
    }

    /// The same, of a write that tells nothing of what a release needs.
    fn passing(mut self) -> Self {
        if let Self::Request { denied, .. } = &mut self {
            *denied = false;
        }
        self
    }
}

/// Runs actions in order for the platform `owner`. Out: what failed of that for which nothing waits, an Ingress of a host that is taken, say.
///
/// # Errors
/// The first other failure, or that this process leads no more; later actions were not tried.
pub async fn apply(
    ctx: &Context,
    owner: &CrmPlatform,
    actions: &[Action],
) -> Result<Vec<Refused>, Error> {
    let writer = Writer {
        ctx,
        key: PlatformKey::of(owner),
        uid: owner.uid().unwrap_or_default(),
    };
    let mut refused: Vec<Refused> = Vec::new();
    let mut vain = Vain::default();
    for action in actions {
        let write = &action.write;
        if action.origin == Origin::Aside && vain.is(write) {
            refused.push(Refused {
                write: write.clone(),
                error: None,
            });
            continue;
        }
        let stays = |first: &String| refused.iter().any(|refused| refused.write.key() == *first);
        if action.after.iter().any(stays) {
            continue;
        }
        tracing::info!(write = %describe(write), because = %action.because, "applying");
        let started = Instant::now();
        let Err(error) = make(&writer, owner, write).await else {
            continue;
        };
        if action.origin != Origin::Aside || !ctx.leadership.leads() {
            return Err(error.of(action));
        }
        vain.lost.push((verb(write), started.elapsed()));
        refused.push(Refused {
            write: write.clone(),
            error: Some(error),
        });
    }
    Ok(refused)
}

/// For how long a look has waited for what failed and nothing waits for.
#[derive(Default)]
struct Vain {
    lost: Vec<(Verb, Duration)>,
}

impl Vain {
    /// Whether a write would only take as long, and fail too. The way in, by which a canary gets its share, is tried all the same.
    fn is(&self, write: &Write) -> bool {
        if matches!(write, Write::Apply(Object::Route(_) | Object::Ingress(_))) {
            return false;
        }
        let verb = verb(write);
        let alike = self.lost.iter().filter(|(other, _)| *other == verb);
        let alike: Duration = alike.map(|(_, time)| *time).sum();
        let all: Duration = self.lost.iter().map(|(_, time)| *time).sum();
        alike >= SLOW || all >= ALL_SLOW
    }
}

/// Verb and kind of a write.
type Verb = (Discriminant<Write>, String);

fn verb(write: &Write) -> Verb {
    let key = write.key();
    let kind = key.split('/').next().unwrap_or_default();
    (discriminant(write), kind.to_owned())
}

async fn make(writer: &Writer<'_>, owner: &CrmPlatform, write: &Write) -> Result<(), Error> {
    match write {
        Write::Apply(object) => writer.apply(object).await,
        Write::KeepReplicas(kept) => writer.keep_replicas(kept).await,
        Write::Create(created) => writer.create(created).await,
        Write::CreateSecret(recipe) => writer.create_secret(owner, recipe).await,
        Write::Delete(target) => writer.delete(target).await,
    }
}

/// A write that could not be made, and holds up nothing.
#[derive(Debug)]
pub struct Refused {
    /// The write.
    pub write: Write,
    /// Why; nothing where it was not tried.
    pub error: Option<Error>,
}

impl Refused {
    /// As people are told.
    pub fn finding(&self) -> Finding {
        let untried = || {
            let message = "it was not tried, because another such write took long and failed";
            Finding::new(conditions::APPLY_FAILED, message)
        };
        self.error.as_ref().map_or_else(untried, Error::finding)
    }
}

fn describe(write: &Write) -> String {
    match write {
        Write::Apply(object) => {
            let name = object.metadata().name.as_deref().unwrap_or_default();
            format!("apply {} {name}", object.kind())
        }
        Write::KeepReplicas(kept) => {
            format!(
                "keep {} pods of Deployment {}",
                kept.replicas, kept.deployment
            )
        }
        Write::Create(Created::Job(object)) => format!("create Job {}", object.name_any()),
        Write::Create(Created::Revision(object)) => {
            format!("create ControllerRevision {}", object.name_any())
        }
        Write::Create(Created::Claim(object)) => {
            format!(
                "create PersistentVolumeClaim {} unless it is there",
                object.name_any()
            )
        }
        Write::CreateSecret(recipe) => format!("create Secret {} unless it is there", recipe.name),
        Write::Delete(target) => format!("delete {} {}", target.kind.name(), target.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::action::{Target, TargetKind};

    fn removal(kind: TargetKind) -> Write {
        let (name, uid) = ("acme".to_owned(), String::new());
        Write::Delete(Target { kind, name, uid })
    }

    #[test]
    fn what_hangs_costs_a_look_three_seconds_by_kind_and_half_a_minute_in_all() {
        let mut vain = Vain::default();
        let mut waits = |kind, seconds| {
            let time = Duration::from_secs(seconds);
            vain.lost.push((verb(&removal(kind)), time));
            [TargetKind::Job, TargetKind::Budget].map(|kind| vain.is(&removal(kind)))
        };
        assert_eq!(waits(TargetKind::Job, 2), [false, false]);
        assert_eq!(waits(TargetKind::Job, 1), [true, false]);
        assert_eq!(waits(TargetKind::Service, 15), [true, false]);
        assert_eq!(waits(TargetKind::Deployment, 12), [true, true]);
        let ingress = serde_json::from_value(serde_json::json!({ "metadata": {} })).unwrap();
        assert!(!vain.is(&Write::Apply(Object::Ingress(ingress))));
    }
}
