//! Steady traffic through the live services, as users make it, to see whether a release fails a request.
//!
//! Each worker writes a record, reads it back and compares by value, changes it, reads it back, finds it in a list, and
//! begins anew. Half of the workers keep their connections, half open a new one for each request. Nothing is ever tried
//! twice: a request that failed is counted. The records stay, marked with the external source `load`.

mod tally;
mod target;
mod worker;

use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use uuid::Uuid;

use self::tally::Tally;
use self::target::{Setting, Target};
use self::worker::{Pace, Worker};
use crate::auth::mint::Mint;
use crate::client::Client;
use crate::service::Service;
use crate::suite::address;

/// Workers for each service and kind of connection.
const WORKERS: usize = 2;

/// `crm-service load`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Requests a second, over all services and kinds of connection.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=5000))]
    rate: u32,
    /// How long; without it until SIGTERM.
    #[arg(long)]
    seconds: Option<u64>,
}

/// Makes traffic; the last line printed is the summary. 0 only when every answer came and was right; 2 when no traffic
/// could be made.
pub async fn run(arguments: &Arguments) -> ExitCode {
    match traffic(arguments).await {
        Ok(clean) => ExitCode::from(u8::from(!clean)),
        Err(reason) => {
            tracing::error!(reason, "no traffic could be made");
            ExitCode::from(2)
        }
    }
}

async fn traffic(arguments: &Arguments) -> Result<bool, String> {
    let workers = workers().await?;
    let count = u32::try_from(workers.len()).map_err(|_| "too many workers".to_owned())?;
    let pause = Duration::from_secs(1) * count / arguments.rate;
    let tally = Arc::new(Mutex::new(Tally::default()));
    let (stop, stopped) = watch::channel(false);
    let mut tasks = Vec::new();
    for (worker, delay) in workers.into_iter().zip(0_u32..) {
        // Spread over the period, so that the workers do not ask in step.
        let pace = Pace::new(
            (pause * delay / count, pause),
            tally.clone(),
            stopped.clone(),
        );
        tasks.push(tokio::spawn(worker.run(pace)));
    }
    let reporter = tokio::spawn(report_each_second(tally.clone(), stopped));
    wait(arguments.seconds).await;
    // The receivers live in the tasks; when all have ended there is nobody left to tell.
    let _ = stop.send(true);
    for task in tasks {
        task.await
            .map_err(|error| format!("a worker ended: {error}"))?;
    }
    reporter.abort();
    let tally = tally.lock().map_err(|_| "the tally is lost".to_owned())?;
    println!("{}", tally.summary());
    Ok(tally.is_clean())
}

async fn wait(seconds: Option<u64>) {
    let told = crate::telemetry::told_to_stop();
    match seconds {
        Some(seconds) => {
            tokio::select! {
                () = told => {}
                () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
            }
        }
        None => told.await,
    }
}

async fn report_each_second(tally: Arc<Mutex<Tally>>, stopped: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.tick().await;
    while !*stopped.borrow() {
        ticks.tick().await;
        if let Ok(mut tally) = tally.lock() {
            println!("{}", tally.second());
        }
    }
}

async fn workers() -> Result<Vec<Worker>, String> {
    let mint = Mint::from_environment().map_err(|error| error.to_string())?;
    let mark = Uuid::now_v7();
    let mut workers = Vec::new();
    for service in Service::ALL {
        let Some(address) = address(service) else {
            continue;
        };
        let target = Target { service, address };
        let setting = Setting::prepare(&target, &Client::new(true), &mint).await?;
        for keep_alive in [true, false] {
            let client = Client::new(keep_alive);
            for _ in 0..WORKERS {
                let name = format!("{mark}-{}", workers.len());
                workers.push(Worker::new(
                    target.clone(),
                    setting.clone(),
                    (client.clone(), mint.clone()),
                    name,
                ));
            }
        }
    }
    if workers.is_empty() {
        Err("no target: set CRM_CUSTOMER_URL or CRM_SALES_URL".to_owned())
    } else {
        Ok(workers)
    }
}
