//! `cargo e2e`: a cluster, the images, the tests and the demonstration, each in one command. Reads the command line, changes nothing itself.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use e2e::images::Purpose;
use e2e::{bench, cluster, demo, images, logs, progress, suite};

/// A real Kubernetes cluster for the tests of this project, under target/e2e.
#[derive(Parser)]
#[command(name = "cargo e2e", bin_name = "cargo e2e")]
struct Arguments {
    #[command(subcommand)]
    command: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Brings up the cluster, or repairs it.
    Up {
        /// Use the cluster of this file; its name must say that it is for tests.
        #[arg(long, value_name = "FILE", requires = "registry")]
        kubeconfig: Option<PathBuf>,
        /// The registry that goes with --kubeconfig: this machine can push to it and the cluster can pull from it, by plain HTTP.
        #[arg(long, value_name = "HOST:PORT", requires = "kubeconfig")]
        registry: Option<String>,
    },
    /// Ends the cluster; leaves nothing outside target/.
    Down,
    /// Shows what runs.
    Status,
    /// Prints the log of a component of the cluster, or lists the logs. The operator's: kubectl -n crm-system logs --selector app.kubernetes.io/name=crm-operator.
    Logs {
        /// One of those that are listed without a name, such as kubelet.
        name: Option<String>,
    },
    /// Builds the images and pushes them to the cluster's registry.
    Images,
    /// Runs the tests of the workspace; does all of the above first.
    Test {
        /// Run only tests whose name contains this; arguments after -- go to the test programs.
        #[arg(value_name = "FILTER", allow_hyphen_values = true)]
        filter: Vec<String>,
        /// Also the long campaigns: every fault at every write of the simulated stories, and 50,000 orders of what happens instead of 5,000.
        #[arg(long)]
        all: bool,
    },
    /// Shows a gated release from nothing to a stopped bad image; does all of the above first. Deletes the namespace crm and makes it anew.
    Demo,
    /// Measures what a release costs; builds the images first.
    Bench {
        #[command(subcommand)]
        what: Measure,
    },
}

#[derive(Subcommand)]
enum Measure {
    /// Counts the operator's requests for one gated release by the audit log. Fails over five writes of the status (one more for each live migration) and at
    /// the first GET or LIST. Needs the node of its own, and nothing else running on it.
    Writes,
}

#[tokio::main]
async fn main() -> ExitCode {
    progress::start();
    run(Arguments::parse().command)
        .await
        .unwrap_or_else(|error| {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        })
}

async fn run(action: Action) -> Result<ExitCode> {
    match action {
        Action::Up {
            kubeconfig,
            registry,
        } => cluster::up(kubeconfig.as_deref().zip(registry))?,
        Action::Down => cluster::down()?,
        Action::Status => cluster::status()?,
        Action::Logs { name } => logs::print(name.as_deref())?,
        Action::Images => {
            images::build(Purpose::Tests)?;
        }
        Action::Test { filter, all } => return suite::run(&filter, all),
        Action::Demo => demo::run(&images::build(Purpose::Demo)?).await?,
        Action::Bench {
            what: Measure::Writes,
        } => bench::writes(&images::build(Purpose::Tests)?).await?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubeconfig_and_its_registry_are_given_together() {
        let is_taken = |words: &[&str]| {
            Arguments::try_parse_from([&["cargo e2e", "up"], words].concat()).is_ok()
        };
        assert!(is_taken(&[]));
        assert!(is_taken(&["--kubeconfig", "file", "--registry", "host:1"]));
        assert!(!is_taken(&["--kubeconfig", "file"]));
        assert!(!is_taken(&["--registry", "host:1"]));
    }
}
