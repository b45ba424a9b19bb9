//! Entry point: reads the command line and hands over; decides nothing itself.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use crm_service::service::Service;
use crm_service::{migrate, openapi, serve, telemetry};

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
    /// Print the OpenAPI document of a service.
    Openapi {
        /// The service.
        #[arg(long, env = "CRM_SERVICE")]
        service: Service,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
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
