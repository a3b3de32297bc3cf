//! A salvo service on a listening socket.

use std::io;

use http::Request;
use http::uri::Scheme;
use http_body_util::BodyExt as _;
use mt_service::serve::{ConnectionLimits, RequestBody, Timeouts};
use salvo::conn::SocketAddr;
use salvo::http::ReqBody;
use salvo::hyper::service::Service as _;
use salvo::{ConnCtrl, Service};
use tokio::net::TcpListener;

/// Serves until `shutdown` is ready, with the connections, deadlines and graceful stop of [`mt_service::serve`].
///
/// # Errors
///
/// When the socket cannot be asked for its address.
///
/// ```no_run
/// use std::io;
///
/// use mt_service::serve::{ConnectionLimits, Timeouts, shutdown_signal};
/// use salvo::prelude::*;
///
/// async fn run(router: Router) -> io::Result<()> {
///     let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
///     let stop = shutdown_signal()?;
///     let (limits, timeouts) = (ConnectionLimits::default(), Timeouts::default());
///     mt_salvo::serve(listener, limits, timeouts, Service::new(router), stop).await
/// }
/// ```
pub async fn serve(
    listener: TcpListener,
    limits: ConnectionLimits,
    timeouts: Timeouts,
    service: Service,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let local: SocketAddr = listener.local_addr()?.into();
    let service = move |peer: std::net::SocketAddr| {
        // salvo hides this function from its documentation and has no other way to a `Service` without its
        // own accept loop, which cannot bound connections by address or linger.
        let (local, peer, control) = (local.clone(), peer.into(), ConnCtrl::new());
        let handler = service.hyper_handler(local, peer, Scheme::HTTP, None, control, None);
        move |request: Request<RequestBody>| handler.call(request.map(boxed))
    };
    mt_service::serve::serve(listener, limits, timeouts, service, shutdown).await;
    Ok(())
}

fn boxed(body: RequestBody) -> ReqBody {
    // The body has a timeout of its own.
    ReqBody::Boxed { inner: Box::pin(body.map_err(Into::into)), fuse_config: None }
}
