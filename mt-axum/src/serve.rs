//! A router on a listening socket.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::ConnectInfo;
use http::Request;
use mt_service::serve::{ConnectionLimits, RequestBody, Timeouts};
use tokio::net::TcpListener;
use tower_service::Service as _;

/// Serves until `shutdown` is ready, with the connections, deadlines and graceful stop of [`mt_service::serve`].
///
/// Handlers and guards find the peer's address as `ConnectInfo<SocketAddr>`.
///
/// ```no_run
/// use axum::Router;
/// use mt_service::serve::{ConnectionLimits, Timeouts, shutdown_signal};
///
/// async fn run(router: Router) -> std::io::Result<()> {
///     let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
///     let stop = shutdown_signal()?;
///     mt_axum::serve(listener, ConnectionLimits::default(), Timeouts::default(), router, stop).await;
///     Ok(())
/// }
/// ```
pub async fn serve(
    listener: TcpListener,
    limits: ConnectionLimits,
    timeouts: Timeouts,
    router: Router,
    shutdown: impl Future<Output = ()> + Send,
) {
    let service = move |peer: SocketAddr| {
        let router = router.clone();
        move |mut request: Request<RequestBody>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            // A router is always ready.
            router.clone().call(request)
        }
    };
    mt_service::serve::serve(listener, limits, timeouts, service, shutdown).await;
}
