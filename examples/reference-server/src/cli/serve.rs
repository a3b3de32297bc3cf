//! `mt-server serve`.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use clap::Args;
use salvo::Service;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::CommandError;
use crate::billing::NO_STRIPE_KEY;
use crate::config::Config;
use crate::http::service::{ConnectionLimits, Timeouts, serve_within, shutdown_signal};
use crate::server::{Embedded, Started, start};

/// The arguments of `serve`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Prints the settings in force, secrets by their length only, and exits.
    #[arg(long)]
    pub(super) print_config: bool,
    /// Prints them as JSON.
    #[arg(long, requires = "print_config")]
    pub(super) json: bool,
}

pub(super) async fn run(config: Config) -> Result<(), CommandError> {
    warn_of_risks(&config);
    let Started { service, readiness, behind, metrics } =
        start(&config, Embedded::Persistent).await?;
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", config.listen))?;
    let address = listener.local_addr()?;
    let stopped =
        shutdown_signal().map_err(|error| format!("cannot listen for signals: {error}"))?;
    let database = if behind.is_embedded() { "embedded Postgres" } else { "DATABASE_URL" };
    tracing::info!(%address, database, "listening on http://{address}, with {database}");
    let metrics = match config.metrics_addr.zip(metrics) {
        Some((address, service)) => Some(Metrics::serve(address, service).await?),
        None => None,
    };
    let grace = Grace::of(config.shutdown_grace);
    let stop = grace.for_requests();
    let timeouts = Timeouts { idle: config.http.idle, stop, ..Timeouts::default() };
    let begun = grace.clone();
    let shutdown = async move {
        stopped.await;
        begun.begin();
        readiness.stop();
        tracing::info!("stopping");
    };
    serve_within(limits(&config), listener, service, shutdown, timeouts).await?;
    // Stopped last, so that metrics cover the shutdown.
    if let Some(metrics) = metrics {
        metrics.stop().await?;
    }
    behind.stop(grace.left()).await
}

/// Logs what other machines can do to this server, and in production which traffic to other services they can read.
fn warn_of_risks(config: &Config) {
    if config.listens_to_others() {
        let (host, env) = (config.listen.ip(), config.app_env.as_str());
        for behaviour in config.dev_behaviours() {
            tracing::warn!(
                "`APP_ENV` is `{env}` on {host}, which other machines may reach: {behaviour}"
            );
        }
    }
    if config.app_env.is_prod() {
        for risk in config.transport_risks() {
            tracing::warn!("{risk}");
        }
        if config.stripe.secret_key.is_none() {
            tracing::warn!("{NO_STRIPE_KEY}");
        }
    }
}

/// The shutdown grace period: from the signal to the end of the process.
#[derive(Clone, Debug)]
struct Grace {
    whole: Duration,
    begun: Arc<OnceLock<Instant>>,
}

impl Grace {
    fn of(whole: Duration) -> Self {
        Self { whole, begun: Arc::default() }
    }

    fn begin(&self) {
        // Later signals do not restart it.
        let _ = self.begun.set(Instant::now());
    }

    /// Returns the part for requests in flight: all but what workers and connections need to stop.
    fn for_requests(&self) -> Duration {
        self.whole.saturating_sub((self.whole / 4).min(Duration::from_secs(1)))
    }

    /// Returns the remaining time, minus a margin for the end of the process itself.
    fn left(&self) -> Duration {
        let gone = self.begun.get().map_or(Duration::ZERO, Instant::elapsed);
        self.whole.saturating_sub(gone + (self.whole / 20).min(Duration::from_millis(250)))
    }
}

/// Returns the limits on client connections.
fn limits(config: &Config) -> ConnectionLimits {
    let size = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    // Twice the pool size, because the pool is replaced while the old connections close. It includes the connections
    // of workers and of the listener.
    let of_database = 2 * size(config.database.max_connections.get());
    let metrics = config.metrics_addr.map_or(0, |_| METRICS_CONNECTIONS.get());
    config.http.limits(of_database + metrics, &config.rate_limits.trusted_proxies)
}

/// The maximum number of connections to `METRICS_ADDR`.
const METRICS_CONNECTIONS: NonZeroUsize = NonZeroUsize::new(64).unwrap();

/// The running metrics server at `METRICS_ADDR`.
struct Metrics {
    stop: oneshot::Sender<()>,
    served: JoinHandle<io::Result<()>>,
}

impl Metrics {
    async fn serve(address: SocketAddr, service: Service) -> Result<Self, CommandError> {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|error| format!("cannot listen on METRICS_ADDR, {address}: {error}"))?;
        let address = listener.local_addr()?;
        tracing::info!(%address, "metrics at http://{address}/metrics");
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move {
            let _ = stopped.await;
        };
        let timeouts = Timeouts { stop: Duration::from_secs(1), ..Timeouts::default() };
        let limits = ConnectionLimits::default().with_total(METRICS_CONNECTIONS);
        let served = tokio::spawn(serve_within(limits, listener, service, shutdown, timeouts));
        Ok(Self { stop, served })
    }

    async fn stop(self) -> Result<(), CommandError> {
        // An error means that the server has stopped already.
        let _ = self.stop.send(());
        Ok(self.served.await??)
    }
}
