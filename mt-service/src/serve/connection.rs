//! One connection of a client, from its acceptance to its end.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use http::{Request, Response};
use http_body::Body;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::BoxError;
use super::body::RequestBody;
use super::exchange::Exchanges;
use super::slots::Slot;
use super::stream::Stream;
use super::timeouts::Timeouts;

/// The widest head that reaches the service, which may answer 431 earlier. Beyond these hyper answers, with an empty
/// body.
const HYPER_MAX_FIELDS: usize = 256;
const HYPER_MAX_BYTES: usize = 256 * 1024;

/// What all connections of a listening socket share.
pub(super) struct Connections<S> {
    /// Returns what answers the requests of a peer's connection.
    pub(super) service: S,
    pub(super) timeouts: Timeouts,
    /// True once the server stops.
    pub(super) stopping: watch::Receiver<bool>,
}

impl<S> Connections<S> {
    /// Serves the connection until the client or the server ends it.
    pub(super) async fn serve<H, A, B, E>(&self, tcp: TcpStream, peer: SocketAddr, slot: Slot)
    where
        S: Fn(SocketAddr) -> H,
        H: Fn(Request<RequestBody>) -> A,
        A: Future<Output = Result<Response<B>, E>> + Send + 'static,
        B: Body<Data: Send, Error: Into<BoxError>> + Send + Unpin + 'static,
        E: Into<BoxError> + 'static,
    {
        let slot = Arc::new(slot);
        let exchanges = Exchanges::new((self.service)(peer), Arc::clone(&slot), self.timeouts);
        let stream = Stream::new(tcp, Arc::clone(&slot), self.timeouts);
        let serving = http1::Builder::new()
            // `Stream` tells an idle connection from a slow head, and closes either before this. hyper has to
            // have a timeout, or it does not poll the stream of a connection that becomes idle.
            .timer(TokioTimer::new())
            .header_read_timeout(self.timeouts.idle + self.timeouts.head)
            .max_headers(HYPER_MAX_FIELDS)
            .max_buf_size(HYPER_MAX_BYTES)
            .serve_connection(TokioIo::new(stream), exchanges);
        let mut serving = pin!(serving);
        let mut stopping = self.stopping.clone();
        let stop = async {
            // The sender is dropped after every connection.
            let _ = stopping.wait_for(|stopping| *stopping).await;
        };
        let ended = tokio::select! {
            ended = &mut serving => Some(ended),
            () = slot.told_to_close() => None,
            () = stop => {
                if slot.waiting_since().is_some() {
                    slot.close();
                }
                None
            }
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                serving.as_mut().graceful_shutdown();
                serving.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "a connection ended early");
        }
    }
}
