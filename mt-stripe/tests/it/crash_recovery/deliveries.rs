//! The sender: delivers each event several times, in random order, until each delivery is acknowledged.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mt_core::clock::{Clock as _, SystemClock};
use mt_stripe::signature::sign;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::child::{SECRET, STORED};
use super::workload::{Random, Workload};

/// The number of concurrent deliveries.
const SENDERS: usize = 8;
/// How long a sender waits for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Running deliveries.
pub(super) struct Deliveries {
    shared: Arc<Shared>,
    _lanes: JoinSet<()>,
}

struct Shared {
    left: Mutex<Vec<Vec<u8>>>,
    ports: Vec<u16>,
    total: usize,
    acknowledged: AtomicUsize,
    attempts: AtomicUsize,
}

impl Deliveries {
    pub(super) fn start(workload: &Workload, copies: usize, ports: Vec<u16>, seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x5e4d_e125);
        let mut left: Vec<Vec<u8>> = Vec::new();
        for event in &workload.events {
            for copy in 0..copies {
                // The bytes differ each time: Stripe decrements `pending_webhooks`.
                let mut event = event.clone();
                event["pending_webhooks"] = copies.saturating_sub(copy).into();
                left.push(event.to_string().into_bytes());
            }
        }
        for last in (1..left.len()).rev() {
            left.swap(last, random.below(last + 1));
        }
        let shared = Arc::new(Shared {
            total: left.len(),
            left: Mutex::new(left),
            ports,
            acknowledged: AtomicUsize::new(0),
            attempts: AtomicUsize::new(0),
        });
        let mut senders = JoinSet::new();
        for lane in 0..SENDERS {
            senders.spawn(Arc::clone(&shared).lane(lane));
        }
        Self { shared, _lanes: senders }
    }

    pub(super) fn total(&self) -> usize {
        self.shared.total
    }

    pub(super) fn acknowledged(&self) -> usize {
        self.shared.acknowledged.load(Ordering::SeqCst)
    }

    pub(super) fn attempts(&self) -> usize {
        self.shared.attempts.load(Ordering::SeqCst)
    }

    pub(super) fn is_done(&self) -> bool {
        self.acknowledged() == self.total()
    }
}

impl Shared {
    async fn lane(self: Arc<Self>, lane: usize) {
        let mut turn = lane;
        loop {
            let next = self.left.lock().unwrap().pop();
            let Some(body) = next else { return };
            loop {
                turn += 1;
                let port = self.ports[turn % self.ports.len()];
                self.attempts.fetch_add(1, Ordering::SeqCst);
                let sent = tokio::time::timeout(ANSWER_TIMEOUT, send(port, &body)).await;
                if matches!(sent, Ok(Ok(STORED))) {
                    break;
                }
                // Stripe waits longer than that.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            self.acknowledged.fetch_add(1, Ordering::SeqCst);
        }
    }
}

async fn send(port: u16, body: &[u8]) -> std::io::Result<u8> {
    let signature = sign(SECRET, body, SystemClock.now());
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    for text in [signature.as_bytes(), body] {
        stream.write_u32(u32::try_from(text.len()).unwrap()).await?;
        stream.write_all(text).await?;
    }
    stream.read_u8().await
}
