//! `mt-server demo`.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};

use clap::Args;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::CommandError;
use crate::config::Config;
use crate::demo::{self, DemoTarget};
use crate::http::service::{Timeouts, serve};
use crate::server::{Embedded, Started, start};

/// The arguments of `demo`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Runs the demo against the server at this URL instead of a temporary one (also the variable `BASE_URL`).
    #[arg(long)]
    base_url: Option<String>,
}

pub(super) async fn run(
    config: Config,
    arguments: Arguments,
    base_url: Option<String>,
) -> Result<(), CommandError> {
    match arguments.base_url.or(base_url) {
        Some(base_url) => {
            let webhook_secret =
                config.stripe.webhook_secrets.first().map(|secret| secret.reveal().to_owned());
            play(DemoTarget { base_url, webhook_secret }).await
        }
        None => play_to_own_server(config).await,
    }
}

/// Starts a server for the demo: a temporary embedded Postgres, with webhook signatures, and without the services of
/// the environment.
async fn play_to_own_server(mut config: Config) -> Result<(), CommandError> {
    let secret = format!("whsec_{}", uuid::Uuid::new_v4().simple());
    config.stripe.webhook_secrets = vec![crate::config::Secret::new(secret.clone())];
    config.stripe.secret_key = None;
    config.database.url = None;
    config.redis.url = None;
    config.mail = None;
    config.metrics_addr = None;
    let Started { service, readiness, behind, .. } = start(&config, Embedded::Temporary).await?;
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    let base_url = format!("http://{}", listener.local_addr()?);
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async move {
        let _ = stopped.await;
        readiness.stop();
    };
    let server = tokio::spawn(serve(listener, service, shutdown, Timeouts::default()));
    let played = play(DemoTarget { base_url, webhook_secret: Some(secret) }).await;
    // The server may have stopped by itself; the error of the demo says more.
    let _ = stop.send(());
    let served = server.await?;
    behind.stop(Timeouts::default().stop).await?;
    played?;
    Ok(served?)
}

async fn play(target: DemoTarget) -> Result<(), CommandError> {
    let mut out = io::stdout();
    let played = demo::run(target, &mut out).await;
    out.flush()?;
    Ok(played?)
}
