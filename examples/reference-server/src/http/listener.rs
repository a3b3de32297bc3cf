//! A listening socket that closes when the server begins to stop.
//!
//! salvo stops accepting then but keeps the socket until the last request is answered. The kernel
//! goes on completing handshakes for it, so that clients would sit on connections that nobody will
//! ever read from instead of being refused and trying another replica.

use std::future::pending;
use std::io;

use salvo::conn::tcp::TcpAcceptor;
use salvo::conn::{Accepted, Acceptor, Holding};
use salvo::fuse::ArcFusePolicy;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// The socket, as salvo asks for connections.
pub(super) struct Listener {
    open: Option<Open>,
    holdings: Vec<Holding>,
}

struct Open {
    acceptor: TcpAcceptor,
    close: oneshot::Receiver<()>,
    /// Dropped together with the socket; nothing is ever sent.
    _closed: oneshot::Sender<()>,
}

/// Closes a [`Listener`].
pub(super) struct Closer {
    close: oneshot::Sender<()>,
    closed: oneshot::Receiver<()>,
}

impl Listener {
    pub(super) fn new(socket: TcpListener) -> io::Result<(Self, Closer)> {
        let acceptor = TcpAcceptor::try_from(socket)?;
        let holdings = acceptor.holdings().to_vec();
        let (close, told_to_close) = oneshot::channel();
        let (has_closed, closed) = oneshot::channel();
        let open = Some(Open { acceptor, close: told_to_close, _closed: has_closed });
        Ok((Self { open, holdings }, Closer { close, closed }))
    }
}

impl Closer {
    /// Returns once the socket is closed.
    pub(super) async fn close(self) {
        // Either end may be gone already, with the server.
        if self.close.send(()).is_ok() {
            drop(self.closed.await);
        }
    }
}

impl Acceptor for Listener {
    type Coupler = <TcpAcceptor as Acceptor>::Coupler;
    type Stream = <TcpAcceptor as Acceptor>::Stream;

    fn holdings(&self) -> &[Holding] {
        &self.holdings
    }

    async fn accept(
        &mut self,
        fuse_policy: Option<ArcFusePolicy>,
    ) -> io::Result<Accepted<Self::Coupler, Self::Stream>> {
        if let Some(Open { acceptor, close, .. }) = &mut self.open {
            tokio::select! {
                accepted = acceptor.accept(fuse_policy) => return accepted,
                Ok(()) = close => self.open = None,
            }
        }
        // Nothing more will come; the stop that follows ends the wait.
        pending().await
    }
}
