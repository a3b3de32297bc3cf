//! The storm's processes: what receives, what applies, and how they come to their end.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mt_core::clock::{Clock as _, SystemClock};
use mt_core::pg::ledger::{
    Claimed, Ledger, Outcome, Provider, RetryPolicy, Setback, Step, Workers,
};
use mt_core::pg::{Database, DatabaseOptions, PgError, SystemPool, SystemReason, SystemTx};
use mt_stripe::event::Event;
use mt_stripe::processor::{Stripe, delivery};
use mt_stripe::signature::Verifier;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::STEPS;
use crate::support::World;

pub(super) const SECRET: &str = "whsec_of_the_storm";
const EFFECT: SystemReason = SystemReason::new("an effect in a transaction of its own");

/// What decides whether an effect counts once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Protocol {
    /// Effect and mark in one transaction: ours.
    Fenced,
    /// The effect is committed before the mark: the control.
    Split,
}

pub(super) const LEASE: Duration = Duration::from_secs(1);

/// Attempts without end, since it is not the events that are to blame.
fn policy() -> RetryPolicy {
    let backoff = Duration::from_millis(20);
    RetryPolicy { max_attempts: 100_000, backoff, lease: LEASE, ..RetryPolicy::default() }
}

/// What a process is told by its parent.
pub(super) const ROLE: &str = "MT_STORM_ROLE";
pub(super) const DATABASE: &str = "MT_STORM_DATABASE";
pub(super) const PORT: &str = "MT_STORM_PORT";
pub(super) const PROTOCOL: &str = "MT_STORM_PROTOCOL";
/// `STEP:TIMES`: aborts when the step is reached for that time.
pub(super) const DIES: &str = "MT_STORM_DIES";

fn told(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

pub(super) fn run() {
    let Some(role) = told(ROLE) else { return };
    // The parent holds the other end, and its death closes it too.
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
        // Postgres may be on its way up again.
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
    let provider =
        Counting { stripe: Stripe::new(World::config()), system: database.system(), protocol };
    Ledger::watched(database.system(), provider, policy(), end())
}

/// Aborts at the step that the parent chose, the time that it chose.
fn end() -> impl Fn(Step) + Send + Sync + 'static {
    let chosen = told(DIES).and_then(|dies| {
        let (step, times) = dies.split_once(':')?;
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

/// One in `n`, by chance.
fn one_in(n: u128) -> bool {
    uuid::Uuid::new_v4().as_u128().is_multiple_of(n)
}

/// Stripe's effects, each of which also counts itself in a way that does not bear repetition.
struct Counting {
    stripe: Stripe,
    system: SystemPool,
    protocol: Protocol,
}

impl Counting {
    async fn count(
        &self,
        tx: &mut SystemTx,
        claimed: &Claimed,
        event: Event,
    ) -> Result<Outcome, PgError> {
        let outcome = self.stripe.apply(tx, claimed, event).await?;
        if matches!(outcome, Outcome::Processed) {
            sqlx::query("update public.storm_counter set n = n + 1").execute(tx.conn()).await?;
        }
        Ok(outcome)
    }
}

impl Provider for Counting {
    const NAME: &'static str = Stripe::NAME;
    type Prepared = Event;

    async fn prepare(&self, claimed: &Claimed) -> Result<Event, Outcome> {
        if one_in(50) {
            // Past the lease: somebody else finishes it meanwhile.
            tokio::time::sleep(LEASE + LEASE / 2).await;
        }
        self.stripe.prepare(claimed).await
    }

    async fn apply(
        &self,
        tx: &mut SystemTx,
        claimed: &Claimed,
        event: Event,
    ) -> Result<Outcome, PgError> {
        let outcome = match self.protocol {
            Protocol::Fenced => self.count(tx, claimed, event).await?,
            Protocol::Split => {
                let mut own = self.system.begin(EFFECT).await?;
                let outcome = self.count(&mut own, claimed, event).await?;
                own.commit().await?;
                return Ok(outcome);
            }
        };
        if one_in(10) {
            // With the effect in the transaction, which has to go with it.
            return Ok(Outcome::Failed(Setback::new("storm", "an injected failure")));
        }
        Ok(outcome)
    }
}

/// What a receiver answers: stored, or send it again.
pub(super) const STORED: u8 = 0;
const AGAIN: u8 = 1;

async fn receive(ledger: Ledger<Counting>) {
    let port: u16 = told(PORT).unwrap().parse().unwrap();
    let listener = loop {
        // The one that was killed may still hold it for a moment.
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
            // Broken off: the sender sends again.
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
    let is_signed = verifier.verify(&[&signature], &body, SystemClock.now()).is_ok();
    let event = Event::parse(&body).ok().filter(|_| is_signed);
    let stored = match event {
        Some(event) => ledger.receive(delivery(&event, &body)).await.is_ok(),
        None => false,
    };
    stream.write_u8(if stored { STORED } else { AGAIN }).await
}

/// A length and so many bytes.
async fn text(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let length = stream.read_u32().await?;
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}
