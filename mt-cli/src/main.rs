//! `mt`: creates a service on mt, migrates its database, checks its tenant isolation and looks after its jobs.
//!
//! Results go to stdout. Exit codes: 0 success, 1 failure or findings, 2 wrong usage.

mod add;
mod database;
mod doctor;
mod jobs;
mod migrate;
mod new;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use mt_service::with_causes;

/// Creates a service on mt, migrates its database, checks its tenant isolation and looks after its jobs.
#[derive(Debug, Parser)]
#[command(name = "mt", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Creates a service: model, a table, two routes, and tests that attack them.
    New(new::Arguments),
    /// Adds something to a service.
    #[command(subcommand)]
    Add(add::Arguments),
    /// Creates roles, and applies the library's migrations and yours. `--sql` prints them instead.
    Migrate(migrate::Arguments),
    /// Prints the SQL that creates the library's database roles and lets logins use them.
    Roles(migrate::RolesArguments),
    /// Checks whether the schema is up to date, and the catalogue for ways between tenants.
    Doctor(doctor::Arguments),
    /// Lists, shows, retries and cancels jobs of all tenants.
    Jobs(jobs::Arguments),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::New(arguments) => new::run(&arguments),
        Command::Add(arguments) => add::run(&arguments),
        Command::Migrate(arguments) => migrate::run(arguments).await,
        Command::Roles(arguments) => migrate::roles(&arguments),
        Command::Doctor(arguments) => doctor::run(arguments).await,
        Command::Jobs(arguments) => jobs::run(arguments).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&*error),
    }
}

#[expect(clippy::print_stderr, reason = "errors of a command are for people")]
fn failed(error: &(dyn Error + 'static)) -> ExitCode {
    eprintln!("mt: {}", with_causes(error));
    ExitCode::FAILURE
}
