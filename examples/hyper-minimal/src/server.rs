//! A service on a socket: the library's connections, and the peer's address for the rate limit.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use mt_service::serve::{ConnectionLimits, RequestBody, Timeouts};
use mt_tower::rate_limit::PeerAddr;
use tokio::net::TcpListener;
use tower::{Service, ServiceExt as _};

/// Serves HTTP/1.1 until `stop` is ready, with limits and deadlines for connections, and then finishes the requests under
/// way.
pub async fn serve<S>(listener: TcpListener, service: S, stop: impl Future<Output = ()> + Send)
where
    S: Service<Request<RequestBody>, Response = Response<Full<Bytes>>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
{
    let connection = move |peer: SocketAddr| {
        let service = service.clone();
        move |mut request: Request<RequestBody>| {
            request.extensions_mut().insert(PeerAddr(peer));
            service.clone().oneshot(request)
        }
    };
    let (limits, timeouts) = (ConnectionLimits::default(), Timeouts::default());
    mt_service::serve::serve(listener, limits, timeouts, connection, stop).await;
}
