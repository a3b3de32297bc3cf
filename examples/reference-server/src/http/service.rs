//! The server's outside: a router in its shell, on a socket, until it is told to stop.

use std::future::Future;
use std::io;
use std::sync::Arc;

use ipnet::IpNet;
use mt_http::body::BodyBudget;
use mt_service::observe::Observers;
pub use mt_service::serve::{ConnectionLimits, Timeouts, shutdown_signal};
use salvo::http::HeaderValue;
use salvo::{Router, Service};
use tokio::net::TcpListener;

use super::body_limits::BodyLimits;
use super::cors::Cors;
use super::method::HeadAsGet;
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
    mt_salvo::serve(listener, limits, timeouts, service, shutdown).await
}
