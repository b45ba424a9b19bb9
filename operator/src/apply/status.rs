//! Writes the status: the release machine's memory and what people read.
//!
//! In: the object that was looked at, and its next status. Out: whether it was written. Must never overwrite a memory newer than the one that was looked at.

use kube::ResourceExt;
use kube::api::{ObjectMeta, PostParams};

use super::writer::{Refusal, Writer};
use super::{Error, FIELD_MANAGER};
use crate::api::{CrmPlatform, CrmPlatformStatus};
use crate::context::{Context, PlatformKey};
use crate::written::Kind;

/// How a status write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusWrite {
    /// It says what was there already.
    Unchanged,
    /// It was written.
    Written,
    /// The object has changed since it was looked at, or is gone: look again.
    Outdated,
}

/// Writes `next` as the status of `object`, unless it says the same. The write carries the version that was looked at: a stale cache cannot overwrite newer
/// memory.
///
/// # Errors
/// When the API server refuses for another reason, or does not answer.
pub async fn write_status(
    ctx: &Context,
    object: &CrmPlatform,
    next: CrmPlatformStatus,
) -> Result<StatusWrite, Error> {
    // Times have whole seconds once written, so the JSON forms are compared.
    if serde_json::to_value(&object.status).ok() == serde_json::to_value(Some(&next)).ok() {
        return Ok(StatusWrite::Unchanged);
    }
    let writer = Writer {
        ctx,
        key: PlatformKey::of(object),
        uid: object.uid().unwrap_or_default(),
    };
    let name = object.name_any();
    let mut replacement = CrmPlatform::new(&name, object.spec.clone());
    replacement.metadata = ObjectMeta {
        name: Some(name.clone()),
        namespace: object.namespace(),
        uid: object.uid(),
        resource_version: object.resource_version(),
        ..ObjectMeta::default()
    };
    replacement.status = Some(next);
    let params = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    match writer
        .call(
            writer
                .api::<CrmPlatform>()
                .replace_status(&name, &params, &replacement),
        )
        .await
    {
        Ok(stored) => {
            ctx.written.wrote(
                &writer.key,
                (Kind::Platform, &name),
                stored.resource_version().as_deref(),
            );
            Ok(StatusWrite::Written)
        }
        Err(Refusal::Conflict | Refusal::NotFound) => Ok(StatusWrite::Outdated),
        Err(refusal) => {
            let error = writer.error("write the status of", "CrmPlatform", &name, refusal);
            Err(error.passing())
        }
    }
}
