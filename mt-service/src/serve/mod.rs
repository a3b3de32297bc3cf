//! The listening socket of a service: connections with deadlines and limits, and a graceful stop.
//!
//! [`serve`] takes a function that answers requests, so a service of any framework can be behind it. `mt_axum::Service`
//! and `mt_salvo::serve` use it.
//!
//! | module | holds |
//! | --- | --- |
//! | `limits`, `timeouts` | how many connections the server keeps open, and how long it waits for clients |
//! | `connection` | one connection of a client, from its acceptance to its end |
//! | `slots` | the connections that are open, and which of them has to go when there are too many |
//! | `state` | what a connection is doing: waiting for a request, or answering one |
//! | `stream` | the socket with its deadlines, and the lingering close |
//! | `exchange` | one request and its answer |
//! | `body` | the body of a request, and the part of it that no handler has read |
//!
//! The server speaks HTTP/1.0 and HTTP/1.1. It does not speak HTTP/2 in clear text: reverse proxies use
//! HTTP/1.1 towards their servers unless they are told otherwise, and a second protocol would need a second
//! set of limits for streams and windows.

mod body;
mod connection;
mod exchange;
mod limits;
mod shutdown;
mod slots;
mod state;
mod stream;
mod timeouts;

use std::error::Error;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

pub use self::body::RequestBody;
use self::connection::Connections;
pub use self::limits::ConnectionLimits;
pub use self::shutdown::shutdown_signal;
use self::slots::Slots;
pub use self::timeouts::Timeouts;

/// Any error, of a handler or of the body of its response.
type BoxError = Box<dyn Error + Send + Sync>;

/// How long to wait when no connection can be accepted, which short of file descriptors lasts a while.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `shutdown` is ready, then closes the listening socket, lets the requests under way
/// finish for at most `timeouts.stop`, and returns.
///
/// `service` is called with the peer's address of each connection and returns the function that answers the requests
/// of that connection. An error of it closes the connection.
///
/// The socket closes first, so that the kernel refuses new clients and they try another replica. What tells a load
/// balancer that the service stops, such as its health check, belongs into `shutdown`.
///
/// ```no_run
/// use std::convert::Infallible;
/// use std::io;
///
/// use http::{Request, Response};
/// use mt_service::serve::{ConnectionLimits, RequestBody, Timeouts, serve, shutdown_signal};
/// use tokio::net::TcpListener;
///
/// #[tokio::main]
/// async fn main() -> io::Result<()> {
///     let listener = TcpListener::bind("127.0.0.1:8000").await?;
///     let service = |peer| {
///         move |_request: Request<RequestBody>| async move {
///             Ok::<_, Infallible>(Response::new(format!("hello, {peer}")))
///         }
///     };
///     let stop = shutdown_signal()?;
///     serve(listener, ConnectionLimits::default(), Timeouts::default(), service, stop).await;
///     Ok(())
/// }
/// ```
pub async fn serve<S, H, A, B, E>(
    listener: TcpListener,
    limits: ConnectionLimits,
    timeouts: Timeouts,
    service: S,
    shutdown: impl Future<Output = ()> + Send,
) where
    S: Fn(SocketAddr) -> H + Send + Sync + 'static,
    H: Fn(Request<RequestBody>) -> A + Send + Sync + 'static,
    A: Future<Output = Result<Response<B>, E>> + Send + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + Unpin + 'static,
    E: Into<BoxError> + 'static,
{
    let (stop, stopping) = watch::channel(false);
    let connections = Arc::new(Connections { service, timeouts, stopping });
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
}

fn log_failed(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task failed");
    }
}
