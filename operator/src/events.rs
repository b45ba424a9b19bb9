//! Events on the platform object, in the words of its status.
//!
//! In: the notes of a look. Out: events. kube's own recorder folds events of one reason into the first one's text, which would hide the second stage behind
//! the first; notes come only when something changed, so each becomes an event of its own.

use std::time::Duration;

use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Resource, ResourceExt};
use tokio::time::timeout;

use crate::context::Context;
use crate::plan::action::Note;

const DEADLINE: Duration = Duration::from_secs(15);
/// What the API server accepts.
const LONGEST_NOTE: usize = 1024;

/// An event could not be written.
#[derive(Debug, thiserror::Error)]
#[error("failed to write the event {reason:?} of {platform}: {cause}")]
pub struct Error {
    /// Reason of the event.
    pub reason: String,
    /// The platform.
    pub platform: String,
    /// What the API server said.
    pub cause: String,
}

/// Writes one event per note on `object`.
///
/// # Errors
/// The first one that is refused. Events are for people: callers log this and go on.
pub async fn publish<K: Resource<DynamicType = ()>>(
    ctx: &Context,
    object: &K,
    notes: &[Note],
) -> Result<(), Error> {
    let namespace = object.namespace().unwrap_or_default();
    let api = Api::<Event>::namespaced(ctx.client.clone(), &namespace);
    for note in notes {
        let failed = |cause: String| Error {
            reason: note.reason.clone(),
            platform: format!("{namespace}/{}", object.name_any()),
            cause,
        };
        if !ctx.leadership.leads() {
            return Err(failed("this process is no longer the leader".to_owned()));
        }
        match timeout(
            DEADLINE,
            api.create(&PostParams::default(), &event(ctx, object, note)),
        )
        .await
        {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(failed(crate::error::short(&error))),
            Err(_) => {
                return Err(failed(format!(
                    "no answer within {} seconds",
                    DEADLINE.as_secs()
                )));
            }
        }
    }
    Ok(())
}

fn event<K: Resource<DynamicType = ()>>(ctx: &Context, object: &K, note: &Note) -> Event {
    Event {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", object.name_any())),
            namespace: object.namespace(),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(Timestamp::now())),
        regarding: Some(object.object_ref(&())),
        reason: Some(note.reason.clone()),
        action: Some("Reconcile".to_owned()),
        note: Some(cut(&note.message)),
        type_: Some(if note.warning { "Warning" } else { "Normal" }.to_owned()),
        reporting_controller: Some("crmplatform.io/crm-operator".to_owned()),
        reporting_instance: Some(ctx.instance.clone()),
        ..Event::default()
    }
}

fn cut(message: &str) -> String {
    if message.len() <= LONGEST_NOTE {
        return message.to_owned();
    }
    let end = (0..=LONGEST_NOTE - 3)
        .rev()
        .find(|end| message.is_char_boundary(*end))
        .unwrap_or(0);
    format!("{}...", &message[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_note_is_cut_between_letters() {
        assert_eq!(cut("short"), "short");
        let cut = cut(&"ä".repeat(1000));
        assert!(
            cut.len() <= LONGEST_NOTE && cut.ends_with("ä..."),
            "{}",
            cut.len()
        );
    }
}
