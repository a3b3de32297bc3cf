//! The commands of operators, on the database of the settings.
//!
//! They work whether or not a server is running. Exit codes: 0 success; 1 failure; 2 wrong usage.

use mt_core::pg::Database;
use mt_service::commands::{
    ApiKeysCommand, BillingCommand, JobsCommand, MailCommand, Program, TenantsCommand,
    WebhooksCommand,
};

use super::CommandError;
use crate::billing::billing;
use crate::config::Config;
use crate::endpoints::ORG;
use crate::inventory::inventory;
use crate::model::Product;
use crate::server::{Embedded, cursors, database, keys, seal};

const PROGRAM: Program = Program::new("mt-server", ORG);

/// Returns the command line with help in the words of the server.
pub(super) fn described(command: clap::Command) -> clap::Command {
    command.mut_subcommands(|command| match command.get_name() {
        "api-keys" | "billing" | "jobs" | "mail" | "orgs" | "webhooks" => PROGRAM.describe(command),
        _ => command,
    })
}

pub(super) async fn billing_of(
    config: &Config,
    command: BillingCommand,
) -> Result<(), CommandError> {
    if command.asks_stripe() && config.stripe.secret_key.is_none() {
        return Err(
            "`STRIPE_SECRET_KEY` is not set: there is no Stripe account to compare with".into()
        );
    }
    on_database(config, async |database| {
        command.run(&PROGRAM, database, |system| billing(system, config)).await
    })
    .await
}

pub(super) async fn api_keys(config: &Config, command: ApiKeysCommand) -> Result<(), CommandError> {
    on_database(config, async |database| {
        command.run::<Product>(&PROGRAM, database, &keys(database, &config.auth)).await
    })
    .await
}

pub(super) async fn jobs(config: &Config, command: JobsCommand) -> Result<(), CommandError> {
    on_database(config, async |database| command.run(&PROGRAM, database).await).await
}

pub(super) async fn mail(config: &Config, command: MailCommand) -> Result<(), CommandError> {
    let (cursors, seal) = (cursors(&config.auth), seal(&config.auth));
    on_database(config, async |database| command.run(&PROGRAM, database, &cursors, &seal).await)
        .await
}

pub(super) async fn orgs(config: &Config, command: TenantsCommand) -> Result<(), CommandError> {
    on_database(config, async |database| {
        command.run::<Product>(&PROGRAM, database, inventory()).await
    })
    .await
}

pub(super) async fn webhooks(
    config: &Config,
    command: WebhooksCommand,
) -> Result<(), CommandError> {
    let cursors = cursors(&config.auth);
    on_database(config, async |database| {
        command.run(&PROGRAM, database, &cursors, |system| billing(system, config)).await
    })
    .await
}

/// Opens the database of the settings, does the work, and closes it.
pub(super) async fn on_database<T>(
    config: &Config,
    work: impl AsyncFnOnce(&Database) -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    let (database, embedded) = database::open(config, Embedded::Persistent).await?;
    let done = work(&database).await;
    database.close().await;
    if let Some(embedded) = embedded {
        embedded.stop().await?;
    }
    done
}
