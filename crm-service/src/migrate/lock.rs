//! The lock of a run: one runner per database and service. Held by a connection of its own, polled and never waited
//! for: a session that waits in the database would deadlock with another's `create index concurrently`.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::error::{Error, doing};
use super::session::{self, Session};
use super::settings::Settings;
use crate::service::Service;

const POLL: Duration = Duration::from_secs(1);
/// A connection that is silent for so long is taken for lost.
const SILENCE: Duration = Duration::from_secs(10);

/// The held lock. Dropping it closes its connection, which frees it.
pub struct Lock {
    lost: oneshot::Receiver<()>,
    watch: JoinHandle<()>,
}

impl Lock {
    /// Polls until the lock is free.
    ///
    /// # Errors
    /// It is held by another until the deadline, or the database cannot be asked.
    pub async fn acquire(settings: &Settings, service: Service) -> Result<Lock, Error> {
        let begun = Instant::now();
        let mut session = Session::open(settings, service).await?;
        while !try_lock(&mut session, service).await? {
            if begun.elapsed() + POLL > settings.lock_deadline {
                session.close().await;
                let waited = begun.elapsed();
                return Err(Error::Locked { service, waited });
            }
            tracing::info!(%service, elapsed = ?begun.elapsed(), "another migration holds the lock");
            tokio::time::sleep(POLL).await;
        }
        let (report, lost) = oneshot::channel();
        let watch = tokio::spawn(async move {
            keep(session).await;
            // Nobody listens any more when the run is over.
            report.send(()).ok();
        });
        Ok(Lock { lost, watch })
    }

    /// Ends when the lock is held no longer.
    pub async fn lost(&mut self) {
        // A sender that is gone without a word means the same.
        (&mut self.lost).await.ok();
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

async fn try_lock(session: &mut Session, service: Service) -> Result<bool, Error> {
    sqlx::query_scalar("select pg_try_advisory_lock($1)")
        .bind(session::key(service, "run"))
        .fetch_one(&mut session.connection)
        .await
        .map_err(doing(format!("ask for the migration lock of {service}")))
}

/// Asks the connection once a second whether it is still there; ends when it is not.
async fn keep(mut session: Session) {
    loop {
        tokio::time::sleep(POLL).await;
        match tokio::time::timeout(SILENCE, session.run("select 1")).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return tracing::warn!(%error, "the lock's connection is lost"),
            Err(_) => return tracing::warn!("the lock's connection does not answer"),
        }
    }
}
