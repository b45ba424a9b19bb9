//! Entry point: reads the command line and hands over; decides nothing itself.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use crm_service::service::Service;
use crm_service::{load, migrate, openapi, seed, serve, suite, telemetry};

/// Exit code for a command line that cannot be read; 2 would say that a test could not run.
const BAD_USAGE: u8 = 3;

/// The CRM's services in one binary.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve a service until SIGTERM.
    Serve(serve::Arguments),
    /// Run a phase of the migrations of a service.
    Migrate(migrate::Arguments),
    /// Fill the tables of a service with rows to try things on.
    Seed(seed::Arguments),
    /// Run a test suite against the services in CRM_CUSTOMER_URL and CRM_SALES_URL.
    Test(suite::Arguments),
    /// Make steady traffic through the services in CRM_CUSTOMER_URL and CRM_SALES_URL.
    Load(load::Arguments),
    /// Print the OpenAPI document of a service.
    Openapi {
        /// The service.
        #[arg(long, env = "CRM_SERVICE")]
        service: Service,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Failing to print changes nothing: the code says it.
            let _ = error.print();
            return Ok(ExitCode::from(if error.use_stderr() {
                BAD_USAGE
            } else {
                0
            }));
        }
    };
    telemetry::start();
    match arguments.command {
        Command::Serve(arguments) => match serve::run(&arguments).await {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(error) => {
                let code = error.exit_code();
                eprintln!("Error: {:#}", anyhow::Error::from(error));
                Ok(ExitCode::from(code))
            }
        },
        Command::Migrate(arguments) => Ok(migrate::run(arguments).await),
        Command::Seed(arguments) => {
            seed::run(&arguments).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Test(arguments) => Ok(suite::run(&arguments).await),
        Command::Load(arguments) => Ok(load::run(&arguments).await),
        Command::Openapi { service } => {
            use std::io::Write as _;
            let mut output = std::io::stdout().lock();
            output
                .write_all(openapi::printed(service).as_bytes())
                .context("failed to print the document")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
