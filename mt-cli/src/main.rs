//! `mt`: creates a service on mt, migrates its database and checks its tenant isolation.
//!
//! Results go to stdout. Exit codes: 0 success, 1 failure or findings, 2 wrong usage.

mod add;
mod database;
mod doctor;
mod migrate;
mod new;

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Creates a service on mt, migrates its database and checks its tenant isolation.
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
}

/// The error of a command: one line for people, with its sources.
type CommandError = Box<dyn Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::New(arguments) => new::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Add(arguments) => add::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Migrate(arguments) => migrate::run(arguments).await.map(|()| ExitCode::SUCCESS),
        Command::Roles(arguments) => migrate::roles(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Doctor(arguments) => doctor::run(arguments).await,
    };
    done.unwrap_or_else(|error| failed(&*error))
}

/// Prints to stdout. A reader that has left, such as `head`, is not an error.
fn print(text: &str) -> Result<(), CommandError> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        done => Ok(done?),
    }
}

#[expect(clippy::print_stderr, reason = "errors of a command are for people")]
fn failed(error: &(dyn Error + 'static)) -> ExitCode {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    eprintln!("mt: {text}");
    ExitCode::FAILURE
}
