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
use crate::config::Config;
use crate::http::connection::limits::ConnectionLimits;
use crate::http::service::{Patience, serve_within, shutdown_signal};
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
    let Started { service, readiness, behind, metrics } =
        start(&config, Embedded::Persistent).await?;
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", config.listen))?;
    let address = listener.local_addr()?;
    let database = if behind.is_embedded() { "embedded Postgres" } else { "DATABASE_URL" };
    tracing::info!(%address, database, "listening on http://{address}, with {database}");
    let metrics = match config.metrics_addr.zip(metrics) {
        Some((address, service)) => Some(Metrics::serve(address, service).await?),
        None => None,
    };
    let grace = Grace::of(config.shutdown_grace);
    let stop = grace.for_requests();
    let patience = Patience { idle: config.http.idle, stop, ..Patience::default() };
    let begun = grace.clone();
    let shutdown = async move {
        if let Err(error) = shutdown_signal().await {
            tracing::error!(%error, "cannot listen for signals; stopping");
        }
        begun.begin();
        readiness.stop();
        tracing::info!("stopping");
    };
    serve_within(limits(&config), listener, service, shutdown, patience).await?;
    // The last to go: somebody may want to know how it ends.
    if let Some(metrics) = metrics {
        metrics.stop().await?;
    }
    behind.stop(grace.left()).await
}

/// The time from the signal to the end of the process, whatever Postgres does meanwhile.
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
        // The first signal counts.
        let _ = self.begun.set(Instant::now());
    }

    /// What requests under way get of it: all but what workers and connections need to end.
    fn for_requests(&self) -> Duration {
        self.whole.saturating_sub((self.whole / 4).min(Duration::from_secs(1)))
    }

    /// What is left of it, but for the moment that the process itself takes to end.
    fn left(&self) -> Duration {
        let gone = self.begun.get().map_or(Duration::ZERO, Instant::elapsed);
        self.whole.saturating_sub(gone + (self.whole / 20).min(Duration::from_millis(250)))
    }
}

/// How many connections of clients there may be.
fn limits(config: &Config) -> ConnectionLimits {
    let size = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    // The worker's, the listener's and those that a change of the pool overlaps with are among them.
    let of_database = 2 * size(config.database.max_connections.get());
    let metrics = config.metrics_addr.map_or(0, |_| METRICS_CONNECTIONS.get());
    let mut limits = ConnectionLimits::of_process(of_database + metrics);
    if let Some(total) = config.http.max_connections {
        limits = limits.with_total(NonZeroUsize::try_from(total).unwrap_or(NonZeroUsize::MAX));
    }
    if let Some(per_address) = config.http.max_connections_per_address {
        limits.per_address = NonZeroUsize::new(size(per_address));
    }
    limits.proxies.clone_from(&config.rate_limits.trusted_proxies);
    limits
}

/// Connections at once to the page at `METRICS_ADDR`.
const METRICS_CONNECTIONS: NonZeroUsize = NonZeroUsize::new(64).unwrap();

/// The page at `METRICS_ADDR`, while it is served.
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
        let patience = Patience { stop: Duration::from_secs(1), ..Patience::default() };
        let limits = ConnectionLimits::default().with_total(METRICS_CONNECTIONS);
        let served = tokio::spawn(serve_within(limits, listener, service, shutdown, patience));
        Ok(Self { stop, served })
    }

    async fn stop(self) -> Result<(), CommandError> {
        // Nobody listens if it has ended by itself.
        let _ = self.stop.send(());
        Ok(self.served.await??)
    }
}
