//! `mt-server serve`.

use clap::Args;
use tokio::net::TcpListener;

use super::CommandError;
use crate::config::Config;
use crate::http::service::{Patience, serve, shutdown_signal};
use crate::server::{Embedded, Started, start};

/// What `serve` takes.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Prints the settings as they would be in force, secrets by their length alone, and ends.
    #[arg(long)]
    pub(super) print_config: bool,
    /// Prints them as JSON.
    #[arg(long, requires = "print_config")]
    pub(super) json: bool,
}

pub(super) async fn run(config: Config) -> Result<(), CommandError> {
    let Started { service, readiness, behind } = start(&config, Embedded::Persistent).await?;
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", config.listen))?;
    let address = listener.local_addr()?;
    let database = if behind.is_embedded() { "embedded Postgres" } else { "DATABASE_URL" };
    tracing::info!(%address, database, "listening on http://{address}, with {database}");
    let patience = Patience { stop: config.shutdown_grace, ..Patience::default() };
    let shutdown = async move {
        if let Err(error) = shutdown_signal().await {
            tracing::error!(%error, "cannot listen for signals; stopping");
        }
        readiness.stop();
        tracing::info!("stopping");
    };
    serve(listener, service, shutdown, patience).await?;
    behind.stop().await
}
