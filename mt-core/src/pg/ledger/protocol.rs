//! The ledger of one provider: its transactions, in their order.

use std::error::Error as _;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::sync::Semaphore;

use super::batch::Batcher;
use super::lease::lease;
use super::settle::{Transition, hold, mark, undo};
use super::stats::Counters;
use super::step::{Step, Watcher};
use super::store::{Store, Stored};
use super::{EventStatus, Failure, LeasedEvent, LedgerPolicy, NewEvent, Outcome, Provider};
use crate::pg::audit_log::same_request;
use crate::pg::work::wake_up::WakeUp;
use crate::pg::{PgError, System, SystemReason, SystemTx};

const MARK: SystemReason = SystemReason::new("mark a webhook event");

/// Stores and applies the events of one provider. Cheap to clone; any number of processes may have one.
///
/// See the [module docs](super) for its invariants and an example.
pub struct Ledger<P> {
    pub(super) inner: Arc<Inner<P>>,
}

pub(super) struct Inner<P> {
    pub(super) provider: P,
    pub(super) system: System,
    pub(super) policy: LedgerPolicy,
    /// Wakes a worker of this process.
    pub(super) wake_up: WakeUp,
    pub(super) counters: Counters,
    batcher: Batcher,
    /// Bounds the events that are applied in the calls that receive them.
    on_receipt: Semaphore,
    watcher: Watcher,
}

/// The answer to a delivery.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Received {
    /// The status of the event.
    pub status: EventStatus,
    /// Why the event was not applied, in a line that begins with a word for it.
    pub reason: Option<String>,
    /// Whether the event was delivered before.
    pub duplicate: bool,
}

impl<P: Provider> Ledger<P> {
    /// A ledger in `system`'s database, with a [`LedgerPolicy`] or just a [`RetryPolicy`](super::RetryPolicy).
    #[must_use]
    pub fn new(system: System, provider: P, policy: impl Into<LedgerPolicy>) -> Self {
        Self::with(system, provider, policy.into(), Watcher::default())
    }

    /// A ledger that calls `watch` at every [`Step`]; the callback may end the process there.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn watched(
        system: System,
        provider: P,
        policy: impl Into<LedgerPolicy>,
        watch: impl Fn(Step) + Send + Sync + 'static,
    ) -> Self {
        Self::with(system, provider, policy.into(), Watcher::new(watch))
    }

    fn with(system: System, provider: P, policy: LedgerPolicy, watcher: Watcher) -> Self {
        let store = Store { system: system.clone(), provider: P::NAME, lease: policy.retry.lease };
        Self {
            inner: Arc::new(Inner {
                provider,
                system,
                policy,
                wake_up: WakeUp::default(),
                counters: Counters::default(),
                batcher: Batcher::new(store),
                on_receipt: Semaphore::new(policy.apply_on_receipt),
                watcher,
            }),
        }
    }

    /// The provider.
    #[must_use]
    pub fn provider(&self) -> &P {
        &self.inner.provider
    }

    /// The pool of the ledger's database.
    #[must_use]
    pub fn system(&self) -> &System {
        &self.inner.system
    }

    /// Stores a verified event. If it is new and fewer than [`LedgerPolicy::apply_on_receipt`] are under way, applies
    /// it at once; otherwise a [worker](Self::work) does.
    ///
    /// Once the event is stored, the call succeeds. It is done in a task of its own, so that a caller who drops the
    /// future interrupts nothing.
    ///
    /// # Errors
    ///
    /// [`PgError`]: the event is not stored. Let the provider deliver it again.
    pub async fn receive(&self, event: P::Event) -> Result<Received, PgError> {
        let (inner, event) = (Arc::clone(&self.inner), event.into());
        let task = tokio::spawn(same_request(async move { inner.receive(event).await }));
        task.await.unwrap_or(Err(PgError::Unavailable(sqlx::Error::WorkerCrashed)))
    }

    /// Applies one event that is due. Returns `false` if none is.
    ///
    /// # Errors
    ///
    /// [`PgError`]; the event is due again when its lease is over.
    pub async fn apply_next_due(&self) -> Result<bool, PgError> {
        let Inner { system, policy, .. } = &*self.inner;
        let leased = lease(system, P::NAME, policy.retry, 1).await?;
        for event in &leased {
            self.inner.work_on(event).await?;
        }
        Ok(!leased.is_empty())
    }

    /// Wakes a worker of this process, because an event may be due. Workers of other processes poll.
    pub fn wake_workers(&self) {
        self.inner.wake_up.notify();
    }
}

impl<P: Provider> Inner<P> {
    async fn receive(&self, event: NewEvent) -> Result<Received, PgError> {
        // Held until the event has been applied.
        let permit = self.on_receipt.try_acquire();
        let stored = self.batcher.store(event, permit.is_ok()).await?;
        self.watcher.reached(Step::Recorded);
        let duplicate = matches!(stored, Stored::Known { .. });
        self.counters.stored(duplicate);
        let mut receipt = Received { status: stored.status(), reason: None, duplicate };
        match stored {
            Stored::Known { reason, .. } => receipt.reason = reason,
            Stored::Leased(leased) => match self.work_on(&leased).await {
                Ok(Attempted { status, reason }) => {
                    receipt = Received { status, reason, duplicate }
                }
                Err(error) => {
                    tracing::warn!(
                        event = leased.event.event_id,
                        cause = error.source(),
                        "a webhook event is stored, and applying it failed",
                    );
                }
            },
            Stored::New => self.wake_up.notify(),
        }
        Ok(receipt)
    }

    /// Makes one attempt at a leased event, and returns the status of the event after it.
    pub(super) async fn work_on(&self, leased: &LeasedEvent) -> Result<Attempted, PgError> {
        self.watcher.reached(Step::Leased);
        // A panic in the provider's code counts as a failed attempt.
        let failure = match AssertUnwindSafe(self.attempt(leased)).catch_unwind().await {
            Ok(Ok(attempted)) => {
                self.counters.attempted(attempted.status);
                return Ok(attempted);
            }
            Ok(Err(error)) => {
                tracing::warn!(
                    event = leased.event.event_id,
                    attempt = leased.event.attempts,
                    cause = error.source(),
                    "a webhook event could not be applied",
                );
                Outcome::Failed(Failure::new("database", error.to_string()))
            }
            Err(_panic) => {
                let event = &leased.event.event_id;
                tracing::error!(event, "applying a webhook event panicked");
                Outcome::Failed(Failure::new("panic", "the log says where"))
            }
        };
        let attempted = self.mark_only(leased, &failure).await?;
        self.counters.attempted(attempted.status);
        Ok(attempted)
    }

    /// Applies the event and marks it, in one transaction.
    async fn attempt(&self, leased: &LeasedEvent) -> Result<Attempted, PgError> {
        let prepared = match self.provider.prepare(leased).await {
            Ok(prepared) => prepared,
            Err(outcome) => return self.mark_only(leased, &outcome).await,
        };
        let Some(mut tx) = hold(&self.system, leased).await? else {
            return Ok(Attempted::lease_lost());
        };
        self.watcher.reached(Step::Held);
        let outcome = self.provider.apply(&mut tx, leased, prepared).await?;
        self.watcher.reached(Step::Applied);
        let transition = Transition::of(&outcome, leased, self.policy.retry);
        if !transition.keeps_effect() {
            // The mark is written with the row still held: a transaction that makes what the event waits for, and
            // then wakes events that wait, blocks until the mark is there.
            undo(&mut tx).await?;
        }
        self.commit(tx, leased, transition).await
    }

    /// Marks the event, without an effect.
    async fn mark_only(
        &self,
        leased: &LeasedEvent,
        outcome: &Outcome,
    ) -> Result<Attempted, PgError> {
        let transition = Transition::of(outcome, leased, self.policy.retry);
        let tx = self.system.begin(MARK).await?;
        self.commit(tx, leased, transition).await
    }

    async fn commit(
        &self,
        mut tx: SystemTx,
        leased: &LeasedEvent,
        transition: Transition,
    ) -> Result<Attempted, PgError> {
        if !mark(&mut tx, leased, &transition).await? {
            tx.rollback().await?;
            return Ok(Attempted::lease_lost());
        }
        self.watcher.reached(Step::Marked);
        tx.commit().await?;
        self.watcher.reached(Step::Committed);
        let Transition { status, line: reason, .. } = transition;
        if status == EventStatus::Dead {
            let event = &leased.event.event_id;
            tracing::error!(event, reason, "a webhook event is dead");
        }
        Ok(Attempted { status, reason })
    }
}

/// The status of an event after an attempt, and why it was not applied.
pub(super) struct Attempted {
    status: EventStatus,
    reason: Option<String>,
}

impl Attempted {
    /// Another attempt has the lease by now, and decides.
    const fn lease_lost() -> Self {
        Self { status: EventStatus::Processing, reason: None }
    }
}

impl<P> Clone for Ledger<P> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<P: Provider> fmt::Debug for Ledger<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("provider", &P::NAME).finish_non_exhaustive()
    }
}
