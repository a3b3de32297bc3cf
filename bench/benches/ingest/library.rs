//! The library: signatures, the ledger, Stripe's effects.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mt_core::clock::{Clock as _, SystemClock};
use mt_core::pg::ledger::{Ledger, LedgerPolicy, Workers};
use mt_stripe::signature::Verifier;
use mt_stripe::{Stripe, StripeConfig};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::AT_ONCE;
use super::world::{SECRET, World, signed};

pub(crate) struct Library {
    ledger: Ledger<Stripe>,
    verifier: Arc<Verifier>,
    next: Arc<AtomicU64>,
}

impl Library {
    pub(crate) async fn new(world: &World) -> Self {
        let database = world.db.connect(16).await.expect("a pool");
        // A delivery only stores its event, so that the parts can be told apart.
        let policy = LedgerPolicy { apply_on_receipt: 0, ..LedgerPolicy::default() };
        let ledger = Stripe::ledger(database.system(), StripeConfig { policy, ..World::config() });
        let verifier = Arc::new(Verifier::new([SECRET]).expect("a secret"));
        Self { ledger, verifier, next: Arc::default() }
    }

    /// Deliveries for so long, so many at once: how many are acknowledged a second.
    pub(crate) async fn store(&self, part: Duration, at_once: usize) -> f64 {
        let began = Instant::now();
        let mut senders = JoinSet::new();
        for _ in 0..at_once {
            let (ledger, verifier) = (self.ledger.clone(), Arc::clone(&self.verifier));
            let next = Arc::clone(&self.next);
            senders.spawn(async move {
                let mut acknowledged = 0_u32;
                while began.elapsed() < part {
                    let delivered = signed(next.fetch_add(1, Ordering::Relaxed));
                    let header = delivered.signature.as_bytes();
                    let verified =
                        verifier.verify(&[header], delivered.body.clone(), SystemClock.now());
                    let receipt = ledger.receive(verified.expect("it is signed")).await;
                    assert!(!receipt.expect("stored").duplicate);
                    acknowledged += 1;
                }
                acknowledged
            });
        }
        let acknowledged: u32 = senders.join_all().await.into_iter().sum();
        f64::from(acknowledged) / began.elapsed().as_secs_f64()
    }

    /// What is there is applied: how many a second.
    pub(crate) async fn drain(&self, world: &World) -> f64 {
        let began = Instant::now();
        self.work_until_drained(world, async {}).await;
        rate(world.applied().await, began.elapsed())
    }

    /// Deliveries for so long, with workers behind them: how many are applied a second, until all are.
    pub(crate) async fn sustain(&self, world: &World, part: Duration) -> f64 {
        let began = Instant::now();
        self.work_until_drained(world, async {
            self.store(part, AT_ONCE).await;
        })
        .await;
        rate(world.applied().await, began.elapsed())
    }

    async fn work_until_drained(&self, world: &World, meanwhile: impl Future<Output = ()>) {
        let (stop, stopped) = oneshot::channel::<()>();
        let ledger = self.ledger.clone();
        let working = tokio::spawn(async move {
            let until = async {
                let _ = stopped.await;
            };
            ledger.work(Workers { keep_bodies: None, ..Workers::default() }, until).await;
        });
        meanwhile.await;
        let left = "select count(*) from mt.webhook_events \
             where status in ('received', 'processing', 'failed')";
        while world.count(left).await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let _ = stop.send(());
        working.await.expect("workers");
    }
}

#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
pub(crate) fn rate(events: i64, took: Duration) -> f64 {
    events as f64 / took.as_secs_f64()
}
