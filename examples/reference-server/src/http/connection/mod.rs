//! One connection of a client, from its acceptance to its end, and how many there may be.
//!
//! | module | holds |
//! | --- | --- |
//! | [`limits`] | how many connections the server keeps open |
//! | `slots` | the connections that are open, and which of them has to go when there are too many |
//! | `state` | what a connection is doing: waiting for a request, or answering one |
//! | `stream` | the socket with its deadlines, and the lingering close |
//! | `exchange` | one request and its answer |
//! | `leftover` | the part of a request's body that no handler has read |
//!
//! The server speaks HTTP/1.0 and HTTP/1.1. It does not speak HTTP/2 in clear text: reverse proxies use
//! HTTP/1.1 towards their servers unless they are told otherwise, and a second protocol would need a second
//! set of limits for streams and windows.

mod exchange;
mod leftover;
pub mod limits;
pub(super) mod slots;
mod state;
mod stream;

use std::pin::pin;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use salvo::conn::SocketAddr;
use salvo::fuse::FuseConfig;
use salvo::http::uri::Scheme;
use salvo::{ConnCtrl, Service};
use tokio::net::TcpStream;
use tokio::sync::watch;

use self::exchange::Exchanges;
use self::slots::Slot;
use self::stream::Stream;
use super::service::Timeouts;

/// The widest head that reaches the shell, which answers 431 with a problem from 64 fields and
/// 16 KiB on. Beyond these hyper answers, with an empty body.
const HYPER_MAX_FIELDS: usize = 256;
const HYPER_MAX_BYTES: usize = 256 * 1024;

/// What all connections of a listening socket share.
pub(super) struct Connections {
    pub(super) service: Service,
    pub(super) local: SocketAddr,
    pub(super) timeouts: Timeouts,
    /// True once the server stops.
    pub(super) stopping: watch::Receiver<bool>,
}

impl Connections {
    /// Serves the connection until the client or the server ends it.
    pub(super) async fn serve(&self, tcp: TcpStream, peer: std::net::SocketAddr, slot: Slot) {
        let slot = Arc::new(slot);
        let body = FuseConfig::disabled().with_request_body_timeout(self.timeouts.body);
        // salvo hides this function from its documentation and has no other way to a `Service` without its
        // own accept loop, which cannot bound connections by address or linger.
        let handler = self.service.hyper_handler(
            self.local.clone(),
            peer.into(),
            Scheme::HTTP,
            Some(body),
            ConnCtrl::new(),
            None,
        );
        let exchanges = Exchanges::new(handler, Arc::clone(&slot), self.timeouts.age);
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
