//! A TCP proxy to Postgres that a test can pause and resume.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Whether the proxy forwards bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Forwarding {
    Open,
    /// Bytes are held back, as by a server that is paused or unreachable.
    Held,
}

/// A TCP proxy in front of a server.
pub(crate) struct TcpProxy {
    port: u16,
    forwarding: watch::Sender<Forwarding>,
    accepted: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl TcpProxy {
    pub(crate) async fn to(server: &PgConnectOptions) -> Self {
        let address = (server.get_host().to_owned(), server.get_port());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (forwarding, seen) = watch::channel(Forwarding::Open);
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let Ok(server) = TcpStream::connect(&address).await else { continue };
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(pass(from_client, to_server, seen.clone()));
                tokio::spawn(pass(from_server, to_client, seen.clone()));
            }
        });
        Self { port, forwarding, accepted, accepting }
    }

    /// Returns `login` with the address of the proxy.
    pub(crate) fn through(&self, login: PgConnectOptions) -> PgConnectOptions {
        login.host("127.0.0.1").port(self.port).ssl_mode(PgSslMode::Disable)
    }

    /// Returns how many connections were accepted so far.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    pub(crate) fn hold(&self) {
        self.forwarding.send_replace(Forwarding::Held);
    }

    pub(crate) fn release(&self) {
        self.forwarding.send_replace(Forwarding::Open);
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut forwarding: watch::Receiver<Forwarding>,
) {
    let mut bytes = vec![0; 8192];
    while let Ok(length @ 1..) = from.read(&mut bytes).await {
        if forwarding.wait_for(|forwarding| *forwarding == Forwarding::Open).await.is_err()
            || to.write_all(&bytes[..length]).await.is_err()
        {
            return;
        }
    }
}
