//! The commands of `mt-server`.
//!
//! Data goes to stdout and logs go to stderr. Exit codes: 0 success, 1 failure, 2 wrong usage or settings.

mod completions;
mod demo;
mod doctor;
mod migrate;
mod openapi;
mod operate;
mod seed;
mod serve;
mod settings;

use std::path::Path;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use mt_service::commands::{
    ApiKeysCommand, BillingCommand, JobsCommand, MailCommand, TenantsCommand, WebhooksCommand,
};
use mt_service::output::CommandError;
use mt_service::{log, with_causes};

use crate::config::{Environment, EnvironmentError, ReadConfig as _};

/// Example product built with mt: teams manage projects and tasks.
#[derive(Debug, Parser)]
#[command(name = "mt-server", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the server in the foreground, on embedded Postgres unless `DATABASE_URL` is set.
    Serve(serve::Arguments),
    /// Creates the roles and migrates the schema of `DATABASE_URL`, as `MIGRATE_DATABASE_URL`.
    Migrate(migrate::Arguments),
    /// Creates a fixed org with a project, a task and users, or many orgs for load. Not in production.
    Seed(seed::Arguments),
    /// Runs a demo over HTTP and prints what each step shows.
    Demo(demo::Arguments),
    /// Checks the settings, the database, tenant isolation in the database, and Redis.
    Doctor(mt_service::doctor::Format),
    /// Prints the OpenAPI document.
    Openapi,
    /// Lists the API keys of an org, and revokes keys.
    #[command(subcommand)]
    ApiKeys(ApiKeysCommand),
    /// Compares billing with Stripe.
    #[command(subcommand)]
    Billing(BillingCommand),
    /// Lists, shows, retries and cancels jobs.
    #[command(subcommand)]
    Jobs(JobsCommand),
    /// Lists emails in the outbox, and retries them.
    #[command(subcommand)]
    Mail(MailCommand),
    /// Exports, imports and deletes whole orgs, and shows the roles of one.
    #[command(subcommand)]
    Orgs(TenantsCommand),
    /// Lists, shows and replays webhook events of Stripe.
    #[command(subcommand)]
    Webhooks(WebhooksCommand),
    /// Prints a completion script for a shell.
    Completions(completions::Arguments),
}

/// Runs the command line.
#[must_use]
pub fn run() -> ExitCode {
    let read = command_line().try_get_matches();
    let cli = match read.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        // Help and version are errors of clap too; they go to stdout with code 0, usage errors to stderr with code 2.
        Err(error) => return usage(&error),
    };
    if let Some(done) = without_settings(&cli.command) {
        return done;
    }
    // Read before `.env`: only the command line and the process environment choose the server of the demo.
    let base_url = std::env::var("BASE_URL").ok().filter(|url| !url.is_empty());
    let read = Environment::new(std::env::vars_os(), Path::new(""));
    let settings = |environment: &Environment| match cli.command {
        Command::Serve(_) => environment.config_to_listen(),
        _ => environment.config(),
    };
    let (environment, mut config) =
        match read.and_then(|environment| Ok((settings(&environment)?, environment))) {
            Ok((config, environment)) => (environment, config),
            Err(error) => return wrong_settings(&error),
        };
    if let Command::Serve(arguments) = &cli.command
        && arguments.print_config
    {
        return finished(settings::print(&config, arguments.json));
    }
    if !matches!(cli.command, Command::Migrate(_) | Command::Serve(_))
        && environment.get("RUST_LOG").is_none()
    {
        // These commands print their results on stdout.
        "error".clone_into(&mut config.log.filter);
    }
    let _logging = match log::init(&config.log, &config.traces) {
        Ok(logging) => logging,
        Err(error) => return failed(&error),
    };
    if !environment.unknown().is_empty() {
        let names = environment.unknown().join(", ");
        tracing::info!("`.env` has variables that are not settings of the server: {names}");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let done = runtime.block_on(async {
        match cli.command {
            Command::Serve(_) => serve::run(config).await,
            Command::Migrate(arguments) => migrate::run(&config, arguments).await,
            Command::Seed(arguments) => seed::run(&config, arguments).await,
            Command::Doctor(format) => doctor::run(&config, format).await,
            Command::Demo(arguments) => demo::run(config, arguments, base_url).await,
            Command::ApiKeys(command) => operate::api_keys(&config, command).await,
            Command::Billing(command) => operate::billing_of(&config, command).await,
            Command::Jobs(command) => operate::jobs(&config, command).await,
            Command::Mail(command) => operate::mail(&config, command).await,
            Command::Orgs(command) => operate::orgs(&config, command).await,
            Command::Webhooks(command) => operate::webhooks(&config, command).await,
            // These commands ran before the settings were read.
            Command::Openapi => openapi::run(),
            Command::Completions(arguments) => completions::run(&arguments),
        }
    });
    finished(done)
}

/// Returns the command line.
fn command_line() -> clap::Command {
    operate::described(Cli::command())
}

/// Runs a command that needs no settings, or returns a usage error that no setting can change.
fn without_settings(command: &Command) -> Option<ExitCode> {
    match command {
        Command::Completions(arguments) => Some(finished(completions::run(arguments))),
        Command::Openapi => Some(finished(openapi::run())),
        Command::Orgs(orgs) => {
            let conflict = orgs.conflict()?;
            Some(usage(&command_line().error(ErrorKind::ArgumentConflict, conflict)))
        }
        _ => None,
    }
}

fn usage(error: &clap::Error) -> ExitCode {
    let code = error.exit_code();
    match error.print() {
        Ok(()) => ExitCode::from(u8::try_from(code).unwrap_or(2)),
        Err(_) => ExitCode::FAILURE,
    }
}

fn finished(done: Result<(), CommandError>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&*error),
    }
}

#[expect(clippy::print_stderr, reason = "the log may not be running, and this is for people")]
fn failed(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    eprintln!("mt-server: {}", with_causes(error));
    ExitCode::FAILURE
}

#[expect(clippy::print_stderr, reason = "the log is not running yet, and this is for people")]
fn wrong_settings(error: &EnvironmentError) -> ExitCode {
    eprintln!("{error}");
    ExitCode::from(2)
}
