//! `mt-server demo`.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};

use clap::Args;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::CommandError;
use crate::config::Config;
use crate::demo::{self, DemoTarget};
use crate::http::service::{Patience, serve};
use crate::server::{Embedded, Started, start};

/// What `demo` takes.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Plays to the server at this URL instead of one of its own (also the variable `BASE_URL`).
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

/// A server for the length of the demo: embedded Postgres whose data is gone afterwards, signatures
/// checked, nothing of the environment's services touched.
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
    let server = tokio::spawn(serve(listener, service, shutdown, Patience::default()));
    let played = play(DemoTarget { base_url, webhook_secret: Some(secret) }).await;
    // The server may have gone by itself; the story's end says more.
    let _ = stop.send(());
    let served = server.await?;
    behind.stop(Patience::default().stop).await?;
    played?;
    Ok(served?)
}

async fn play(target: DemoTarget) -> Result<(), CommandError> {
    let mut out = io::stdout();
    let played = demo::run(target, &mut out).await;
    out.flush()?;
    Ok(played?)
}
