//! The serving process: configuration in, a running server out. It never changes the schema and never signs a token.

pub mod heartbeat;
mod server;
pub mod start;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinError;
use tokio::time::error::Elapsed;

use crate::auth::{self, Verifier};
use crate::connection;
use crate::database::Database;
use crate::http::health::Health;
use crate::http::metrics::Metrics;
use crate::http::{Context, Shared, router};
use crate::serve::heartbeat::Heart;
use crate::service::Service;

/// How long requests in flight may take once the process no longer accepts any.
const FINISH_TIMEOUT: Duration = Duration::from_secs(20);

/// `crm-service serve`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The service to serve.
    #[arg(long, env = "CRM_SERVICE")]
    service: Service,
    /// Where to listen.
    #[arg(long, default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
    /// Most connections to the database.
    #[arg(long, env = "CRM_POOL_SIZE", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pool_size: u32,
    /// Seconds to keep serving after SIGTERM, while traffic is moved elsewhere.
    #[arg(long, env = "CRM_DRAIN_DELAY", default_value_t = 8, value_parser = clap::value_parser!(u64).range(0..=300))]
    drain_delay: u64,
}

/// Why the process does not serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// See [`connection::Error`].
    #[error("the database is not configured")]
    Connection(#[source] connection::Error),
    /// See [`auth::Error`].
    #[error("authentication is not configured")]
    Authentication(#[source] auth::Error),
    /// The address is taken or not ours.
    #[error("failed to listen on {address}: choose another with --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// See [`start::Error`].
    #[error("this release must not serve on this database")]
    Start(#[source] start::Error),
    /// The server itself panicked.
    #[error("the server failed")]
    Server(#[source] JoinError),
}

impl Error {
    /// The exit code: 3 when the schema forbids this release, else 1.
    pub fn exit_code(&self) -> u8 {
        if matches!(self, Error::Start(_)) {
            3
        } else {
            1
        }
    }
}

/// What an application is made of.
pub struct Settings {
    /// The service.
    pub service: Service,
    /// Where to listen; port 0 for any.
    pub listen: SocketAddr,
    /// Its database.
    pub database: PgConnectOptions,
    /// Most connections to it.
    pub pool_size: u32,
    /// The keys whose tokens are accepted.
    pub verifier: Verifier,
    /// How long to keep serving once told to stop.
    pub drain_delay: Duration,
}

impl Settings {
    fn from_environment(arguments: &Arguments) -> Result<Settings, Error> {
        Ok(Settings {
            service: arguments.service,
            listen: arguments.listen,
            database: connection::options().map_err(Error::Connection)?,
            pool_size: arguments.pool_size,
            verifier: Verifier::from_environment().map_err(Error::Authentication)?,
            drain_delay: Duration::from_secs(arguments.drain_delay),
        })
    }
}

/// Serves until the process is told to stop.
///
/// # Errors
/// It cannot start, or the server fails.
pub async fn run(arguments: &Arguments) -> Result<(), Error> {
    let application = Application::build(Settings::from_environment(arguments)?).await?;
    application
        .run_until(crate::telemetry::told_to_stop())
        .await
}

/// A service that listens but does not answer yet.
pub struct Application {
    listener: TcpListener,
    context: Shared,
    drain_delay: Duration,
}

impl Application {
    /// Opens the port. The database need not be there yet.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn build(settings: Settings) -> Result<Application, Error> {
        let address = settings.listen;
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| Error::Listen { address, source })?;
        let context = Context {
            service: settings.service,
            database: Database::new(settings.database, settings.pool_size),
            verifier: settings.verifier,
            metrics: Metrics::new(settings.service),
            health: Health::default(),
        };
        Ok(Application {
            listener,
            context: Arc::new(context),
            drain_delay: settings.drain_delay,
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system does not say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until `stop` is ready, then leaves without failing a request: first it only says that it leaves, then it
    /// accepts no more, then it finishes what it has.
    ///
    /// # Errors
    /// The schema forbids this release, or the server fails.
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> Result<(), Error> {
        let Application {
            listener,
            context,
            drain_delay,
        } = self;
        tracing::info!(service = %context.service, version = env!("CARGO_PKG_VERSION"), "listening");
        let (close, closed) = oneshot::channel::<()>();
        let app = router(context.clone(), context.service.routes());
        let server = tokio::spawn(server::serve(listener, app, server::PATIENCE, async {
            // An error means the sender is gone, which is a reason to stop too.
            let _ = closed.await;
        }));
        let mut heart = Heart::new(&context);
        tokio::pin!(stop);
        let checked = tokio::select! {
            () = &mut stop => None,
            outcome = start::check(&context, &mut heart) => Some(outcome),
        };
        let stopped_early = checked.is_none();
        if let Some(Err(error)) = checked {
            heart.leave().await;
            return Err(Error::Start(error));
        }
        let pulse = heart.keep_beating();
        if !stopped_early {
            stop.await;
        }
        context.health.drain();
        tracing::info!(
            seconds = drain_delay.as_secs(),
            "draining: still serving while traffic moves elsewhere"
        );
        tokio::time::sleep(drain_delay).await;
        drop(close);
        let finished = tokio::time::timeout(FINISH_TIMEOUT, server).await;
        pulse.stop().await;
        context.database.pool().close().await;
        ended(finished)
    }
}

/// What the end of the server's task means for the process.
fn ended(finished: Result<Result<(), JoinError>, Elapsed>) -> Result<(), Error> {
    match finished {
        Ok(Ok(())) => Ok(()),
        Ok(Err(panic)) => Err(Error::Server(panic)),
        Err(_) => {
            tracing::warn!(
                "requests were still in flight after {FINISH_TIMEOUT:?}; leaving without them"
            );
            Ok(())
        }
    }
}
