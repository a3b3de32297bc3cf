//! The processes under test: receivers and workers, and the steps at which they abort.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mt_core::clock::{Clock as _, SystemClock};
use mt_core::pg::ledger::{
    Failure, LeasedEvent, Ledger, Outcome, Provider, RetryPolicy, Step, Workers,
};
use mt_core::pg::{Database, DatabaseOptions, PgError, System, SystemReason, SystemTx};
use mt_stripe::event::Event;
use mt_stripe::signature::Verifier;
use mt_stripe::{Stripe, VerifiedEvent};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::STEPS;
use crate::support::World;

pub(super) const SECRET: &str = "whsec_of_the_storm";
const EFFECT: SystemReason = SystemReason::new("an effect in a transaction of its own");

/// How an effect and its mark are committed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Protocol {
    /// Effect and mark in one transaction, as the ledger does it.
    Fenced,
    /// The effect is committed before the mark: the control.
    Split,
}

pub(super) const LEASE: Duration = Duration::from_secs(1);

/// Unlimited attempts, since failures are not caused by the events.
fn policy() -> RetryPolicy {
    let backoff = Duration::from_millis(20);
    RetryPolicy { max_attempts: 100_000, backoff, lease: LEASE, ..RetryPolicy::default() }
}

/// The variables that a child process gets from its parent.
pub(super) const ROLE: &str = "MT_STORM_ROLE";
pub(super) const DATABASE: &str = "MT_STORM_DATABASE";
pub(super) const PORT: &str = "MT_STORM_PORT";
pub(super) const PROTOCOL: &str = "MT_STORM_PROTOCOL";
/// `STEP:TIMES`: the process aborts when it reaches the step for that time.
pub(super) const ABORT_AT: &str = "MT_STORM_ABORT_AT";

fn told(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

pub(super) fn run() {
    let Some(role) = told(ROLE) else { return };
    // The parent holds the other end, which is closed when the parent ends.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(async {
        let ledger = ledger().await;
        match role.as_str() {
            "receiver" => receive(ledger).await,
            _ => {
                let poll = Duration::from_millis(50);
                let workers = Workers { count: 2, batch: 8, poll, keep_bodies: None };
                ledger.work(workers, std::future::pending()).await;
            }
        }
    });
}

async fn ledger() -> Ledger<Counting> {
    let database = loop {
        // Postgres may be restarting.
        let options = DatabaseOptions::new(told(DATABASE).unwrap().parse().unwrap());
        match Database::connect(options.max_connections(6)).await {
            Ok(database) => break database,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let protocol = match told(PROTOCOL).as_deref() {
        Some("split") => Protocol::Split,
        _ => Protocol::Fenced,
    };
    let stripe = Stripe::new(database.system(), World::config());
    let provider = Counting { stripe, system: database.system(), protocol };
    Ledger::watched(database.system(), provider, policy(), end())
}

/// Aborts at the step and the time that the parent chose.
fn end() -> impl Fn(Step) + Send + Sync + 'static {
    let chosen = told(ABORT_AT).and_then(|abort_at| {
        let (step, times) = abort_at.split_once(':')?;
        let step = STEPS.into_iter().find(|known| format!("{known:?}") == step)?;
        Some((step, times.parse::<usize>().ok()?))
    });
    let reached = AtomicUsize::new(0);
    move |step| {
        if let Some((at, times)) = chosen
            && at == step
            && reached.fetch_add(1, Ordering::SeqCst) + 1 == times
        {
            std::process::abort();
        }
    }
}

/// Returns `true` once in `n` times, at random.
fn one_in(n: u128) -> bool {
    uuid::Uuid::new_v4().as_u128().is_multiple_of(n)
}

/// Stripe's effects, each of which also increments a counter, which is not idempotent.
struct Counting {
    stripe: Stripe,
    system: System,
    protocol: Protocol,
}

impl Counting {
    async fn count(
        &self,
        tx: &mut SystemTx,
        leased: &LeasedEvent,
        event: Event,
    ) -> Result<Outcome, PgError> {
        let outcome = self.stripe.apply(tx, leased, event).await?;
        if matches!(outcome, Outcome::Processed) {
            sqlx::query("update public.effect_counter set n = n + 1").execute(tx.conn()).await?;
        }
        Ok(outcome)
    }
}

impl Provider for Counting {
    const NAME: &'static str = mt_stripe::PROVIDER;
    type Event = VerifiedEvent;
    type Prepared = Event;

    async fn prepare(&self, leased: &LeasedEvent) -> Result<Event, Outcome> {
        if one_in(50) {
            // Past the lease: another worker finishes it meanwhile.
            tokio::time::sleep(LEASE + LEASE / 2).await;
        }
        self.stripe.prepare(leased).await
    }

    async fn apply(
        &self,
        tx: &mut SystemTx,
        leased: &LeasedEvent,
        event: Event,
    ) -> Result<Outcome, PgError> {
        let outcome = match self.protocol {
            Protocol::Fenced => self.count(tx, leased, event).await?,
            Protocol::Split => {
                let mut own = self.system.begin(EFFECT).await?;
                let outcome = self.count(&mut own, leased, event).await?;
                own.commit().await?;
                return Ok(outcome);
            }
        };
        if one_in(10) {
            // After the effect, which has to be rolled back with the attempt.
            return Ok(Outcome::Failed(Failure::new("injected", "an injected failure")));
        }
        Ok(outcome)
    }
}

/// The answers of a receiver: stored, or send it again.
pub(super) const STORED: u8 = 0;
const AGAIN: u8 = 1;

async fn receive(ledger: Ledger<Counting>) {
    let port: u16 = told(PORT).unwrap().parse().unwrap();
    let listener = loop {
        // The killed process may still hold the port for a moment.
        match TcpListener::bind(("127.0.0.1", port)).await {
            Ok(listener) => break listener,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let verifier = Arc::new(Verifier::new([SECRET]).unwrap());
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (ledger, verifier) = (ledger.clone(), Arc::clone(&verifier));
        tokio::spawn(async move {
            // On an error the sender sends again.
            let _ = answer(stream, &ledger, &verifier).await;
        });
    }
}

async fn answer(
    mut stream: TcpStream,
    ledger: &Ledger<Counting>,
    verifier: &Verifier,
) -> std::io::Result<()> {
    let (signature, body) = (text(&mut stream).await?, text(&mut stream).await?);
    let stored = match verifier.verify(&[&signature], body, SystemClock.now()) {
        Ok(event) => ledger.receive(event).await.is_ok(),
        Err(_) => false,
    };
    stream.write_u8(if stored { STORED } else { AGAIN }).await
}

/// Reads a length and that many bytes.
async fn text(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let length = stream.read_u32().await?;
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}
