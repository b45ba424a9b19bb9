//! Watches: which platform is to be looked at, and when.
//!
//! In: a client and a stop signal. Out: calls of `reconcile`, one at a time per platform, from when this process leads. Must not know what a platform needs.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::channel::mpsc::UnboundedReceiver;
use futures::future::Shared;
use kube::core::DeserializeGuard;
use kube::runtime::controller::{self, Action, Config, Controller};
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{WatchStreamExt, reflector};
use kube::{Api, Resource};
use tokio::time::timeout;

use crate::api::CrmPlatform;
use crate::backoff;
use crate::context::{Context, PlatformKey};
use crate::error::{Error, innermost};
use crate::metrics::CONCURRENCY;
use crate::observe::Watches;
use crate::reconcile::reconcile;

/// A platform object that may be unreadable: one bad object must not stop the watch of all.
pub type Watched = DeserializeGuard<CrmPlatform>;

/// Where kubectl keeps a copy of what was applied.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// How long running reconciles may take to finish after the stop signal.
const DRAIN: Duration = Duration::from_secs(20);

/// Runs until `stop`, and then until running reconciles have finished, at most 20 seconds.
pub async fn run<S>(
    ctx: Arc<Context>,
    (writer, watches): (reflector::store::Writer<Watched>, Watches),
    stop: Shared<S>,
) where
    S: Future<Output = ()> + Send + Sync + 'static,
    S::Output: Clone,
{
    // Kept until the end: dropping the tasks ends the watches.
    let Watches {
        mut changed,
        tasks: _tasks,
    } = watches;
    tokio::select! {
        () = turn(&ctx, &mut changed) => tracing::info!("every kind was listed, reconciling"),
        () = stop.clone() => return,
    }
    let platforms = watcher(
        Api::<Watched>::all(ctx.client.clone()),
        watcher::Config::default(),
    )
    .default_backoff()
    .modify(prune)
    .inspect({
        let ctx = ctx.clone();
        move |event| notice(&ctx, event)
    })
    .reflect(writer)
    .applied_objects();
    let reader = ctx.stores.platforms.clone();
    let work = Controller::for_stream(platforms, reader)
        .reconcile_on(changed.map(|platform| platform.object_ref()))
        .with_config(Config::default().concurrency(CONCURRENCY))
        .graceful_shutdown_on(stop.clone())
        .run(reconcile, retry, ctx)
        .for_each(|result| async { report(result) });
    tokio::pin!(work);
    tokio::select! {
        () = &mut work => return,
        () = stop => tracing::info!("stopping: no new reconciles, running ones finish"),
    }
    if timeout(DRAIN, work).await.is_err() {
        tracing::warn!(
            seconds = DRAIN.as_secs(),
            "reconciles were cut off; the next start goes on where they were"
        );
    }
}

/// Waits until every kind was listed and this process leads. A standby keeps the caches of what platforms own warm; of the platforms it knows nothing yet, so
/// the first list makes it look at each of them, and what changed before may be dropped.
async fn turn(ctx: &Context, changed: &mut UnboundedReceiver<PlatformKey>) {
    let ready = async {
        ctx.stores.ready().await;
        ctx.leadership.gained().await;
    };
    let drop_all = async {
        while changed.next().await.is_some() {}
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = ready => {}
        () = drop_all => {}
    }
}

/// Drops what no look needs of a platform: the store keeps each of them whole, and these two are as large as the spec itself.
fn prune(object: &mut Watched) {
    let metadata = object.meta_mut();
    metadata.managed_fields = None;
    if let Some(annotations) = &mut metadata.annotations {
        annotations.remove(LAST_APPLIED);
    }
}

fn notice(ctx: &Context, event: &Result<Event<Watched>, watcher::Error>) {
    match event {
        Ok(Event::Delete(object)) => ctx.forget(&PlatformKey::of(object)),
        Ok(_) => {}
        Err(error) => {
            ctx.metrics.watch_failed("CrmPlatform");
            tracing::warn!(kind = "CrmPlatform", %error, cause = innermost(error), "a watch broke; it is started again");
        }
    }
}

fn retry(object: Arc<Watched>, error: &Error, ctx: Arc<Context>) -> Action {
    let (key, asked) = (PlatformKey::of(&*object), backoff::asked(object.meta()));
    Action::requeue(ctx.backoff.failed(&key, asked, error.denial()))
}

/// Each outcome is logged once, here.
fn report(
    result: Result<
        (reflector::ObjectRef<Watched>, Action),
        controller::Error<Error, watcher::Error>,
    >,
) {
    match result {
        Ok((object, _)) => tracing::debug!(platform = %object, "reconciled"),
        Err(controller::Error::ReconcilerFailed(error, object)) => {
            tracing::warn!(platform = %object, step = error.step(), %error, "a reconcile failed; it is tried again");
        }
        // A change of an object whose platform is gone: nothing to do.
        Err(controller::Error::ObjectNotFound(object)) => {
            tracing::debug!(platform = %object, "gone")
        }
        // Told by `notice` already.
        Err(controller::Error::QueueError(_)) => {}
        Err(error) => tracing::error!(%error, "the controller failed"),
    }
}

#[cfg(test)]
mod tests {
    use kube::ResourceExt;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_stored_platform_keeps_what_people_asked_for_and_no_second_copy_of_itself() {
        let object = json!({
            "apiVersion": "crmplatform.io/v1alpha1", "kind": "CrmPlatform",
            "metadata": {
                "name": "acme", "namespace": "crm",
                "annotations": { LAST_APPLIED: "{}", "crmplatform.io/retry": "1" },
                "managedFields": [{ "manager": "kubectl", "operation": "Update" }],
            },
            "spec": { "services": "unreadable" },
        });
        let mut object: Watched = serde_json::from_value(object).unwrap();
        prune(&mut object);
        assert!(object.meta().managed_fields.is_none());
        let left: Vec<_> = object.annotations().keys().collect();
        assert_eq!(left, ["crmplatform.io/retry"]);
    }
}
