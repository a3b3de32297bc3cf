//! `mt jobs`.

use clap::Args;
use mt_core::pg::{Database, DatabaseOptions};
use mt_http::Noun;
use mt_service::commands::{JobsCommand, Program};
use mt_service::output::CommandError;

use crate::database::login;

/// The arguments of `mt jobs`.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The URL of the server's login.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL", global = true)]
    database_url: Option<String>,
    /// The URL of the login for work across tenants, if there is a second one.
    #[arg(
        long,
        env = "SYSTEM_DATABASE_URL",
        hide_env_values = true,
        value_name = "URL",
        global = true
    )]
    system_database_url: Option<String>,
    #[command(subcommand)]
    command: JobsCommand,
}

const PROGRAM: Program = Program::new("mt", Noun::new("tenant", "tenants"));

pub(crate) async fn run(arguments: Arguments) -> Result<(), CommandError> {
    let url = arguments.database_url.ok_or("`--database-url` or `DATABASE_URL` is required")?;
    let mut options = DatabaseOptions::new(login("DATABASE_URL", &url)?);
    if let Some(url) = &arguments.system_database_url {
        options = options.system_login(login("SYSTEM_DATABASE_URL", url)?);
    }
    let database = Database::connect(options).await?;
    let done = arguments.command.run(&PROGRAM, &database).await;
    database.close().await;
    done
}
