//! Steady traffic through the live services, as users make it, to see whether a release fails a request.
//!
//! Each worker writes a record, reads it back and compares by value, changes it, reads it back, finds it in a list, and
//! begins anew. Half of the workers keep their connections, half open a new one for each request. Nothing is ever tried
//! twice: a request that failed is counted. Before that it makes contacts that it only reads back at the end: rows for a
//! migration to move. The records stay, marked with the external source `load`.

mod judge;
mod kept;
pub mod record;
mod tally;
mod target;
mod user;
mod worker;

use std::pin::pin;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

use self::kept::Kept;
use self::tally::{Tally, Trouble};
use self::target::Target;
use self::user::User;
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
    let tally = Arc::new(Mutex::new(Tally::default()));
    let mut told = pin!(crate::telemetry::told_to_stop());
    let (workers, kept) = tokio::select! {
        prepared = prepare(&tally) => prepared?,
        () = &mut told => return Err("stopped by a signal before the traffic began".to_owned()),
    };
    let (stop, stopped) = watch::channel(false);
    let reporter = tokio::spawn(report_each_second(tally.clone(), stopped.clone()));
    let tasks = start(workers, arguments.rate, &stopped);
    tokio::select! {
        () = told => {}
        () = over(arguments.seconds) => {}
    }
    // Only a load whose workers have all ended has no receiver left.
    let _ = stop.send(true);
    finish(tasks, kept, &tally).await;
    reporter.abort();
    let tally = tally.lock().map_err(|_| "the tally is lost".to_owned())?;
    println!("{}", tally.summary());
    Ok(tally.is_clean())
}

fn start(workers: Vec<Worker>, rate: u32, stopped: &watch::Receiver<bool>) -> Vec<JoinHandle<()>> {
    let count = u32::try_from(workers.len()).expect("there are a few workers");
    let pause = Duration::from_secs(1) * count / rate;
    let numbered = workers.into_iter().zip(0_u32..);
    // Spread over the period, so that the workers do not ask in step.
    let paced = numbered.map(|(worker, number)| {
        let pace = Pace::new((pause * number / count, pause), stopped.clone());
        tokio::spawn(worker.run(pace))
    });
    paced.collect()
}

/// Waits for the workers, and reads back what was made at the beginning.
async fn finish(tasks: Vec<JoinHandle<()>>, kept: Option<Kept>, tally: &Mutex<Tally>) {
    let mut unfinished = Vec::new();
    for task in tasks {
        if let Err(error) = task.await {
            unfinished.push(format!("a worker did not end by itself: {error}"));
        }
    }
    if let Some(kept) = kept {
        unfinished.extend(kept.read_back().await.err());
    }
    if let Ok(mut tally) = tally.lock() {
        for text in unfinished {
            tally.trouble(Trouble::Unfinished, &text);
        }
    }
}

async fn over(seconds: Option<u64>) {
    match seconds {
        Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
        None => std::future::pending().await,
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

/// The workers of all services, and the contacts that are there before they begin.
async fn prepare(tally: &Arc<Mutex<Tally>>) -> Result<(Vec<Worker>, Option<Kept>), String> {
    let mint = Mint::from_environment().map_err(|error| error.to_string())?;
    let mark = Uuid::now_v7();
    let (mut workers, mut kept) = (Vec::new(), None);
    for service in Service::ALL {
        let Some(address) = address(service) else {
            continue;
        };
        let target = Target { service, address };
        let user = |client| User::new(target.clone(), client, mint.clone(), tally.clone());
        let pipeline = match service {
            Service::Sales => target::pipeline(&target, &Client::new(true), &mint).await?,
            Service::Customer => Value::Null,
        };
        if service == Service::Customer {
            kept = Some(Kept::make(user(Client::new(true)), &mark.to_string()).await?);
        }
        for keep_alive in [true, false] {
            let client = Client::new(keep_alive);
            for _ in 0..WORKERS {
                let name = format!("{mark}-{}", workers.len());
                workers.push(Worker::new(user(client.clone()), pipeline.clone(), name));
            }
        }
    }
    if workers.is_empty() {
        Err("no target: set CRM_CUSTOMER_URL or CRM_SALES_URL".to_owned())
    } else {
        Ok((workers, kept))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_worker_that_panicked_spoils_the_run() {
        let tally = Mutex::new(Tally::default());
        tally.lock().unwrap().add(Duration::from_millis(1), None);
        finish(vec![tokio::spawn(async {})], None, &tally).await;
        assert!(tally.lock().unwrap().is_clean());
        let panicked = tokio::spawn(async { panic!("as asked") });
        finish(vec![panicked], None, &tally).await;
        let summary = tally.lock().unwrap().summary();
        assert_eq!(
            (&summary["failed"], &summary["wrong"]),
            (&1.into(), &0.into())
        );
        assert!(!tally.lock().unwrap().is_clean());
    }
}
