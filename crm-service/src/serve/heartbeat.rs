//! The row that says this process lives, so that a migration can see whether a release below a new floor still serves.
//! On a connection of its own: requests that wait for the pool must not make the process look dead.

use std::time::Duration;

use sqlx::postgres::{PgArguments, PgConnectOptions};
use sqlx::query::Query;
use sqlx::{Connection as _, PgConnection, Postgres};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::http::Shared;
use crate::schema;
use crate::service::Service;

/// Time between two beats.
const PERIOD: Duration = Duration::from_secs(5);

/// How long a beat may take, connecting included.
const LIMIT: Duration = Duration::from_secs(5);

/// What beats: a row of this process, and a connection to write it.
pub struct Heart {
    id: Uuid,
    service: Service,
    release: String,
    options: PgConnectOptions,
    connection: Option<PgConnection>,
}

/// A heart that beats by itself.
pub struct Pulse {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Heart>,
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

impl Heart {
    /// A heart that has not beaten yet.
    pub fn new(context: &Shared) -> Heart {
        Heart {
            id: Uuid::now_v7(),
            service: context.service,
            release: std::env::var("CRM_RELEASE").unwrap_or_default(),
            options: context.database.pool().connect_options().as_ref().clone(),
            connection: None,
        }
    }

    /// Writes the row.
    ///
    /// # Errors
    /// The database's, or it took too long.
    pub async fn beat(&mut self) -> Result<(), sqlx::Error> {
        let query = sqlx::query(beat_statement(self.service))
            .bind(self.id)
            .bind(schema::of(self.service).app_level)
            .bind(self.release.clone());
        self.execute(query).await
    }

    /// Removes the row, and rows of processes that could not remove theirs.
    pub async fn leave(mut self) {
        let query = sqlx::query(leave_statement(self.service)).bind(self.id);
        if let Err(error) = self.execute(query).await {
            tracing::warn!(%error, "failed to remove the heartbeat; it goes stale by itself");
        }
        if let Some(connection) = self.connection {
            // The row is gone; how the connection ends does not matter.
            let _ = connection.close().await;
        }
    }

    /// Beats until stopped. A failed beat is logged and the next one tried.
    pub fn keep_beating(mut self) -> Pulse {
        let (stop, mut stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(PERIOD);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = &mut stopped => return self,
                    _ = ticks.tick() => {}
                }
                if let Err(error) = self.beat().await {
                    tracing::warn!(%error, "failed to write the heartbeat");
                }
            }
        });
        Pulse { stop, task }
    }

    /// After a failure the next attempt has a new connection.
    async fn execute(
        &mut self,
        query: Query<'static, Postgres, PgArguments>,
    ) -> Result<(), sqlx::Error> {
        let work = async {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => PgConnection::connect_with(&self.options).await?,
            };
            query.execute(&mut connection).await?;
            self.connection = Some(connection);
            Ok(())
        };
        let late = sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
        tokio::time::timeout(LIMIT, work).await.unwrap_or(Err(late))
    }
}

impl Pulse {
    /// Ends the beating and removes the row; no later beat can write it again.
    pub async fn stop(self) {
        // A task that ended by itself has panicked, and says so below.
        let _ = self.stop.send(());
        match self.task.await {
            Ok(heart) => heart.leave().await,
            Err(error) => tracing::error!(%error, "the heartbeat had ended"),
        }
    }
}
