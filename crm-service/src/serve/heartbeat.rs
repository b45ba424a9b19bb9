//! The row that says this process lives, so that a migration can see whether a release below a new floor still serves.

use std::time::Duration;

use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::http::Shared;
use crate::schema;
use crate::service::Service;

/// Time between two beats.
const PERIOD: Duration = Duration::from_secs(5);

/// A beating process.
pub struct Pulse {
    id: Uuid,
    task: JoinHandle<()>,
}

const fn beat_statement(service: Service) -> &'static str {
    match service {
        Service::Customer => {
            "insert into customer.instance (id, app_level, release, started_at, seen_at) values ($1, $2, $3, now(), now()) \
             on conflict (id) do update set seen_at = now()"
        }
        Service::Sales => {
            "insert into sales.instance (id, app_level, release, started_at, seen_at) values ($1, $2, $3, now(), now()) \
             on conflict (id) do update set seen_at = now()"
        }
    }
}

const fn leave_statement(service: Service) -> &'static str {
    match service {
        Service::Customer => {
            "delete from customer.instance where id = $1 or seen_at < now() - interval '1 day'"
        }
        Service::Sales => {
            "delete from sales.instance where id = $1 or seen_at < now() - interval '1 day'"
        }
    }
}

/// The statements of this module, for the check at start.
pub fn statements(service: Service) -> [String; 2] {
    [
        beat_statement(service).to_owned(),
        leave_statement(service).to_owned(),
    ]
}

/// Beats until stopped. A failed beat is logged and the next one tried.
pub fn start(context: &Shared) -> Pulse {
    let id = Uuid::now_v7();
    let context = context.clone();
    let release = std::env::var("CRM_RELEASE").unwrap_or_default();
    let task = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let query = sqlx::query(beat_statement(context.service))
                .bind(id)
                .bind(schema::of(context.service).app_level)
                .bind(&release);
            if let Err(error) = query.execute(context.database.pool()).await {
                tracing::warn!(%error, "failed to write the heartbeat");
            }
        }
    });
    Pulse { id, task }
}

impl Pulse {
    /// Ends the beating and removes the row, and rows of processes that could not remove theirs.
    pub async fn stop(self, context: &Shared) {
        self.task.abort();
        // Waits until the last beat is over, so that it cannot write the row again.
        let _ = self.task.await;
        let query = sqlx::query(leave_statement(context.service)).bind(self.id);
        if let Err(error) = query.execute(context.database.pool()).await {
            tracing::warn!(%error, "failed to remove the heartbeat; it goes stale by itself");
        }
    }
}
