//! Entry point: reads the command line and hands over; decides nothing itself.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The CRM's services in one binary.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {}

fn main() -> ExitCode {
    match Arguments::parse().command {}
}
