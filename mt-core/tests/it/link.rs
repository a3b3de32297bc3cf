//! A TCP link to Postgres that a test can hold and cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a link does with bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Passage {
    Open,
    /// Bytes stay where they are, as with a server that is stopped or out of reach.
    Held,
}

/// A listener that passes bytes on to a server, in both directions.
pub(crate) struct Link {
    port: u16,
    passage: watch::Sender<Passage>,
    accepted: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Link {
    pub(crate) async fn to(server: &PgConnectOptions) -> Self {
        let address = (server.get_host().to_owned(), server.get_port());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (passage, seen) = watch::channel(Passage::Open);
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
        Self { port, passage, accepted, accepting }
    }

    /// How to connect through the link what connects by `login` without it.
    pub(crate) fn through(&self, login: PgConnectOptions) -> PgConnectOptions {
        login.host("127.0.0.1").port(self.port).ssl_mode(PgSslMode::Disable)
    }

    /// How many connections were made so far.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    pub(crate) fn hold(&self) {
        self.passage.send_replace(Passage::Held);
    }

    pub(crate) fn release(&self) {
        self.passage.send_replace(Passage::Open);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut passage: watch::Receiver<Passage>,
) {
    let mut bytes = vec![0; 8192];
    while let Ok(length @ 1..) = from.read(&mut bytes).await {
        if passage.wait_for(|passage| *passage == Passage::Open).await.is_err()
            || to.write_all(&bytes[..length]).await.is_err()
        {
            return;
        }
    }
}
