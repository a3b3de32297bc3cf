//! The server's outside: a router in its shell, on a socket, until it is told to stop.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use salvo::fuse::FuseConfig;
use salvo::http::HeaderValue;
use salvo::{Router, Server, Service};
use tokio::net::TcpListener;

use super::body::BodyLimits;
use super::cors::Cors;
use super::listener::Listener;
use super::method::HeadAsGet;
use super::observe::Observers;
use super::shell::Shell;

/// What the shell wants to know.
#[derive(Clone, Debug, Default)]
pub struct ShellOptions {
    /// The longest bodies.
    pub body_limits: BodyLimits,
    /// Origins whose scripts may read answers.
    pub cors_origins: Vec<HeaderValue>,
    /// Who is told of requests.
    pub observers: Observers,
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
        cors: Cors::new(options.cors_origins),
        observers: options.observers,
    };
    Service::new(router).hoop(shell)
}

/// How long the server waits for whom.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the head of a request, from the moment the connection is free for it.
    pub head: Duration,
    /// Between two pieces of a request's body.
    pub body: Duration,
    /// For a client to take what it is sent.
    pub write: Duration,
    /// For the requests under way, once the server was told to stop.
    pub stop: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            body: Duration::from_secs(10),
            write: Duration::from_secs(30),
            stop: Duration::from_secs(10),
        }
    }
}

/// The widest head that reaches the shell, which answers 431 with a problem from 64 fields and
/// 16 KiB on. Beyond these hyper answers, with an empty body.
const HYPER_MAX_FIELDS: usize = 256;
const HYPER_MAX_BYTES: usize = 256 * 1024;

/// Serves until `shutdown` is ready, then closes the listening socket, lets the requests under way
/// finish for at most `patience.stop`, and returns.
///
/// Whoever answers `/ready` should be told within `shutdown`; see
/// [`Readiness::stop`](crate::routes::health::Readiness::stop).
///
/// # Errors
///
/// When the socket cannot be asked for its address.
pub async fn serve(
    listener: TcpListener,
    service: Service,
    shutdown: impl Future<Output = ()> + Send + 'static,
    patience: Patience,
) -> io::Result<()> {
    let (listener, closer) = Listener::new(listener)?;
    let mut server = Server::new(listener).fuse_config(
        FuseConfig::default()
            .with_http1_header_timeout(patience.head)
            .with_request_body_timeout(patience.body)
            .with_write_stall_timeout(patience.write),
    );
    server.http1_mut().max_headers(HYPER_MAX_FIELDS).max_buf_size(HYPER_MAX_BYTES);
    let http2_max = u32::try_from(HYPER_MAX_BYTES).expect("a constant that fits");
    server.http2_mut().max_header_list_size(http2_max);
    let handle = server.handle();
    let stopper = tokio::spawn(async move {
        shutdown.await;
        closer.close().await;
        handle.stop_graceful(patience.stop);
    });
    let served = server.try_serve(service).await;
    stopper.abort();
    served
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
