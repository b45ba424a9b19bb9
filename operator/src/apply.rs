//! IO out: runs the actions of a plan in order and writes the status.
//!
//! In: actions, a status. Out: nothing, or the first failure. Every action is harmless when done twice, so a crash between any two is repaired by the next
//! reconcile. Must not decide anything.
//!
//! # Guarantees
//! Nothing is done after a failed action. The status is written only over the version of the object that was looked at.

use kube::ResourceExt;

use crate::api::status::Finding;
use crate::api::{CrmPlatform, conditions};
use crate::context::{Context, PlatformKey};
use crate::desired::labels;
use crate::observed::Denial;
use crate::plan::action::{Action, Created, Object, Write};
use crate::secrets;

pub mod keep;
pub mod status;
pub mod writer;

pub use keep::keep;
pub use status::{StatusWrite, write_status};
use writer::Writer;

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
        /// Whether no stage waits for it.
        aside: bool,
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

    /// In words, where the API server said no and will say so again; and whether no stage waits for it.
    pub fn denial(&self) -> Option<Denial> {
        match self {
            Self::Request {
                denied: true,
                aside,
                ..
            } => Some((self.to_string(), *aside)),
            Self::Request { .. } | Self::NotOurs { .. } | Self::Generate { .. } => None,
        }
    }

    /// The same, of a write of a plan.
    fn of(mut self, action: &Action) -> Self {
        if let Self::Request { aside, .. } = &mut self {
            *aside = action.aside;
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

/// Runs actions in order for the platform `owner`. Out: what was refused of that for which nothing waits, an Ingress of a host that is taken, say.
///
/// # Errors
/// The first other failure; later actions were not tried.
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
    let mut refused = Vec::new();
    for action in actions {
        tracing::info!(write = %describe(&action.write), because = %action.because, "applying");
        let of = |error: Error| error.of(action);
        match &action.write {
            Write::Apply(object) if !is_awaited(object) => {
                if let Err(error) = writer.apply(object).await {
                    let object = object.key();
                    refused.push(Refused { object, error });
                }
            }
            Write::Apply(object) => writer.apply(object).await.map_err(of)?,
            Write::KeepReplicas(kept) => writer.keep_replicas(kept).await.map_err(of)?,
            Write::Create(created) => writer.create(created).await.map_err(of)?,
            Write::CreateSecret(recipe) if !recipe.awaited => {
                if let Err(error) = writer.create_secret(owner, recipe).await {
                    let object = recipe.key();
                    refused.push(Refused { object, error });
                }
            }
            Write::CreateSecret(recipe) => writer.create_secret(owner, recipe).await.map_err(of)?,
            Write::Delete(target) => writer.delete(target).await.map_err(of)?,
        }
    }
    Ok(refused)
}

/// An object that could not be applied, and holds up nothing.
#[derive(Debug)]
pub struct Refused {
    /// Kind and name, as `Kind/name`.
    pub object: String,
    /// Why.
    pub error: Error,
}

/// Whether what follows in a plan rests on an object. Nothing may go on without the policies that isolate pods.
fn is_awaited(object: &Object) -> bool {
    !matches!(
        object,
        Object::Autoscaler(_) | Object::Budget(_) | Object::Ingress(_) | Object::Route(_)
    )
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
        Write::Delete(target) => format!("delete {:?} {}", target.kind, target.name),
    }
}
