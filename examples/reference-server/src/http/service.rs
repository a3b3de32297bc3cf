//! The server's outside: a router in its shell, on a socket, until it is told to stop.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use mt_http::body::BodyBudget;
use salvo::http::HeaderValue;
use salvo::{Router, Service};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use super::body_limits::BodyLimits;
use super::connection::Connections;
use super::connection::limits::ConnectionLimits;
use super::connection::slots::Slots;
use super::cors::Cors;
use super::method::HeadAsGet;
use super::observe::Observers;
use super::shell::Shell;

/// What the shell wants to know.
#[derive(Clone, Debug, Default)]
pub struct ShellOptions {
    /// The longest bodies.
    pub body_limits: BodyLimits,
    /// How many bytes of bodies there may be at once.
    pub body_budget: BodyBudget,
    /// Origins whose scripts may read answers.
    pub cors_origins: Vec<HeaderValue>,
    /// Who is told of requests.
    pub observers: Observers,
    /// The peers whose `traceparent` decides whether a request is exported.
    pub trusted_proxies: Vec<IpNet>,
}

/// Puts `router` in its shell.
///
/// Whatever the routes do, every answer has a request id and the security headers, every error is
/// a problem, HEAD works where GET does, and a path has one spelling.
#[must_use]
pub fn service(router: Router, options: ShellOptions) -> Service {
    let router = Arc::new(Router::new().filter(HeadAsGet).push(router));
    let shell = Shell {
        router: Arc::clone(&router),
        body_limits: options.body_limits,
        body_budget: options.body_budget,
        cors: Cors::new(options.cors_origins),
        observers: options.observers,
        trusted_proxies: options.trusted_proxies,
    };
    Service::new(router).hoop(shell)
}

/// How long the server waits for a client.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For the first byte of the next request on a connection. Longer than a reverse proxy keeps its unused
    /// connections, or the proxy sends a request into a connection that the server is closing.
    pub idle: Duration,
    /// For the head of a request, from its first byte, or from the moment the client has connected.
    pub head: Duration,
    /// Between two pieces of a request's body.
    pub body: Duration,
    /// For a client to take what it is sent.
    pub write: Duration,
    /// From a request's head to the last byte of its answer.
    pub exchange: Duration,
    /// For a connection to be used: the first answer after that closes it.
    pub age: Duration,
    /// For the requests under way, once the server was told to stop.
    pub stop: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(75),
            head: Duration::from_secs(10),
            body: Duration::from_secs(10),
            write: Duration::from_secs(30),
            exchange: Duration::from_mins(15),
            age: Duration::from_hours(1),
            stop: Duration::from_secs(10),
        }
    }
}

/// How long to wait when no connection can be accepted, which short of file descriptors lasts a while.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// [`serve_within`] the limits on connections that the process's limit on open files suggests.
///
/// # Errors
///
/// When the socket cannot be asked for its address.
pub async fn serve(
    listener: TcpListener,
    service: Service,
    shutdown: impl Future<Output = ()> + Send,
    timeouts: Timeouts,
) -> io::Result<()> {
    serve_within(ConnectionLimits::default(), listener, service, shutdown, timeouts).await
}

/// Serves until `shutdown` is ready, then closes the listening socket, lets the requests under way
/// finish for at most `timeouts.stop`, and returns.
///
/// The socket closes first, so that the kernel refuses new clients and they try another replica. Tell
/// `/ready` within `shutdown`; see [`Readiness::stop`](crate::routes::health::Readiness::stop).
///
/// # Errors
///
/// When the socket cannot be asked for its address.
pub async fn serve_within(
    limits: ConnectionLimits,
    listener: TcpListener,
    service: Service,
    shutdown: impl Future<Output = ()> + Send,
    timeouts: Timeouts,
) -> io::Result<()> {
    let (stop, stopping) = watch::channel(false);
    let local = listener.local_addr()?.into();
    let connections = Arc::new(Connections { service, local, timeouts, stopping });
    let slots = Slots::new(limits);
    let mut open = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = async {
            slots.room().await;
            listener.accept().await
        };
        let (tcp, peer) = tokio::select! {
            () = &mut shutdown => break,
            Some(ended) = open.join_next() => {
                log_failed(ended);
                continue;
            }
            accepted = accepted => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::error!(%error, "a connection was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        // Without a slot the connection is dropped, which closes it.
        if let Some(slot) = slots.take(peer.ip()) {
            let connections = Arc::clone(&connections);
            open.spawn(async move { connections.serve(tcp, peer, slot).await });
        }
    }
    drop(listener);
    stop.send_replace(true);
    let finish = async {
        while let Some(ended) = open.join_next().await {
            log_failed(ended);
        }
    };
    if tokio::time::timeout(timeouts.stop, finish).await.is_err() {
        tracing::warn!(open = open.len(), "requests under way did not finish in time");
        open.shutdown().await;
    }
    Ok(())
}

fn log_failed(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task failed");
    }
}

/// Ready at the first SIGINT or SIGTERM (on Windows: Ctrl-C).
///
/// # Errors
///
/// When the process may not listen for signals.
pub async fn shutdown_signal() -> io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
