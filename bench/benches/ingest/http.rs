//! The reference server on a socket, and a minimal client.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reference_server::config::Config;
use reference_server::http::service::{Timeouts, serve};
use reference_server::server::{Behind, Embedded, Started, start};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use super::AT_ONCE;
use super::library::rate;
use super::world::{SECRET, World, signed};

pub(crate) struct Http {
    address: SocketAddr,
    next: Arc<AtomicU64>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
    behind: Behind,
}

impl Http {
    pub(crate) async fn start(world: &World) -> Self {
        let vars = HashMap::from([
            ("APP_ENV", "test".to_owned()),
            ("DATABASE_URL", world.db.login_url()),
            ("RATE_LIMIT_WEBHOOKS_PER_MIN", "0".to_owned()),
            ("STRIPE_WEBHOOK_SECRET", SECRET.to_owned()),
        ]);
        let config = Config::from_vars(|name| vars.get(name).cloned()).expect("settings");
        let Started { service, readiness, behind, .. } =
            start(&config, Embedded::Temporary).await.expect("a server");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move {
            let _ = stopped.await;
            readiness.stop();
        };
        let served = tokio::spawn(serve(listener, service, shutdown, Timeouts::default()));
        // Above the numbers that the library's part uses.
        Self { address, next: Arc::new(AtomicU64::new(1 << 40)), stop, served, behind }
    }

    /// Sends requests for `part`, and returns how many were acknowledged and applied a second.
    pub(crate) async fn deliver(&self, world: &World, part: Duration) -> (f64, f64) {
        let began = Instant::now();
        let mut clients = JoinSet::new();
        for _ in 0..AT_ONCE {
            let (address, next) = (self.address, Arc::clone(&self.next));
            clients.spawn(async move {
                let mut stream =
                    BufReader::new(TcpStream::connect(address).await.expect("a socket"));
                let mut acknowledged = 0_u32;
                while began.elapsed() < part {
                    send(&mut stream, next.fetch_add(1, Ordering::Relaxed))
                        .await
                        .expect("an answer");
                    acknowledged += 1;
                }
                acknowledged
            });
        }
        let acknowledged: u32 = clients.join_all().await.into_iter().sum();
        let acknowledged = f64::from(acknowledged) / began.elapsed().as_secs_f64();
        let left = "select count(*) from mt.webhook_events \
             where status in ('received', 'processing', 'failed')";
        while world.count(left).await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        (acknowledged, rate(world.applied().await, began.elapsed()))
    }

    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        self.served.await.expect("a task").expect("a server");
        self.behind.stop(Duration::from_secs(10)).await.expect("the rest");
    }
}

/// Sends one request on a persistent connection.
async fn send(stream: &mut BufReader<TcpStream>, number: u64) -> std::io::Result<()> {
    let delivered = signed(number);
    let head = format!(
        "POST /webhooks/stripe HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n\
         stripe-signature: {}\r\ncontent-length: {}\r\n\r\n",
        delivered.signature,
        delivered.body.len()
    );
    stream.write_all(&[head.as_bytes(), &delivered.body].concat()).await?;
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    assert!(line.starts_with("HTTP/1.1 200"), "{line}");
    let mut length = 0;
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    stream.read_exact(&mut vec![0; length]).await?;
    Ok(())
}
