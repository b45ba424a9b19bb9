//! Writes what is kept of a release before its verdict is saved. Best effort, unlike every other write: a report that cannot be kept must not hold up a verdict.
//!
//! In: the keys of each step. Out: what was not kept, and why. They go into one ConfigMap by server-side apply, each step under a field manager of its own.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use tokio::time::timeout;

use super::FIELD_MANAGER;
use super::writer::{Refusal, Writer};
use crate::context::{Context, PlatformKey};
use crate::desired::names;
use crate::plan::keep::{Keep, KeptStep};

/// Seconds for one of them.
const DEADLINE: Duration = Duration::from_secs(5);

/// Keeps what a plan of the platform with this UID asks to keep; answers what was not kept, and why.
pub async fn keep(
    ctx: &Context,
    (key, uid): (PlatformKey, String),
    keeps: &[Keep],
) -> Vec<(KeptStep, String)> {
    let writer = Writer { ctx, key, uid };
    let mut lost = Vec::new();
    for keep in keeps {
        if let Err(refusal) = one(&writer, keep).await {
            let name = keep.object.name_any();
            let error = writer.error("apply", "ConfigMap", &name, refusal);
            tracing::warn!(platform = %writer.key, %error, "a report or log was not kept");
            lost.push((keep.step.clone(), error.to_string()));
        }
    }
    lost
}

async fn one(writer: &Writer<'_>, keep: &Keep) -> Result<(), Refusal> {
    let api = writer.api::<ConfigMap>();
    let name = keep.object.name_any();
    let step = names::kept(keep.step.stage, &keep.step.step, None);
    let manager = format!("{FIELD_MANAGER}/{}/{step}", writer.key.name);
    let params = PatchParams::apply(&manager).force();
    let patch = Patch::Apply(&*keep.object);
    let request = writer.call(api.patch(&name, &params, &patch));
    let late = || Refusal::Other(format!("no answer within {} seconds", DEADLINE.as_secs()));
    timeout(DEADLINE, request).await.map_err(|_| late())??;
    Ok(())
}
