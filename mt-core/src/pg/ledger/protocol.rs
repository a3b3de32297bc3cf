//! The ledger of one provider: its transactions, in their order.

use std::error::Error as _;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::sync::{Notify, Semaphore};

use super::claim::claim;
use super::intake::Intake;
use super::settle::{Verdict, hold, settle, undo};
use super::stats::Tally;
use super::steps::{Step, Watcher};
use super::store::Stored;
use super::{Claimed, Delivery, EventStatus, Outcome, Provider, RetryPolicy, Setback};
use crate::pg::audit_log::same_request;
use crate::pg::{PgError, SystemPool, SystemReason, SystemTx};

const MARK: SystemReason = SystemReason::new("mark a webhook event");

/// How many events are applied at once by those who brought them. Whoever comes when there are as many
/// leaves theirs to the workers.
const AT_ONCE: usize = 4;

/// Stores and applies the events of one provider. Cheap to clone; any number of processes may have one.
///
/// See the [module docs](super) for what it promises and an example.
pub struct Ledger<P> {
    pub(super) shared: Arc<Shared<P>>,
}

pub(super) struct Shared<P> {
    pub(super) provider: P,
    pub(super) system: SystemPool,
    pub(super) policy: RetryPolicy,
    /// Rung when something is due that nobody is at.
    pub(super) due: Notify,
    intake: Intake,
    at_once: Semaphore,
    watcher: Watcher,
    pub(super) tally: Tally,
}

/// What became of a delivery.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Receipt {
    /// How far its event has come.
    pub status: EventStatus,
    /// Why it was not applied, in a line that begins with a word for it.
    pub reason: Option<String>,
    /// Whether the event was known.
    pub duplicate: bool,
}

impl<P: Provider> Ledger<P> {
    /// A ledger in `system`'s database.
    #[must_use]
    pub fn new(system: SystemPool, provider: P, policy: RetryPolicy) -> Self {
        Self::with(system, provider, policy, Watcher::default())
    }

    /// The same, with somebody who is told of every [`Step`], and may well end the process at one.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn watched(
        system: SystemPool,
        provider: P,
        policy: RetryPolicy,
        watch: impl Fn(Step) + Send + Sync + 'static,
    ) -> Self {
        Self::with(system, provider, policy, Watcher::new(watch))
    }

    fn with(system: SystemPool, provider: P, policy: RetryPolicy, watcher: Watcher) -> Self {
        let intake = Intake::new(system.clone(), P::NAME, policy.lease);
        let (due, at_once) = (Notify::new(), Semaphore::new(AT_ONCE));
        let tally = Tally::default();
        let shared = Shared { provider, system, policy, due, intake, at_once, watcher, tally };
        Self { shared: Arc::new(shared) }
    }

    /// At most `count` events are applied at once by those who bring them, instead of four. With 0 all are
    /// left to the workers. To be said before the first delivery.
    #[must_use]
    pub fn at_once(self, count: usize) -> Self {
        self.shared.at_once.forget_permits(AT_ONCE);
        self.shared.at_once.add_permits(count);
        self
    }

    /// What its events mean.
    #[must_use]
    pub fn provider(&self) -> &P {
        &self.shared.provider
    }

    /// How often and for how long they are tried.
    #[must_use]
    pub fn policy(&self) -> RetryPolicy {
        self.shared.policy
    }

    /// Where it is.
    #[must_use]
    pub fn system(&self) -> &SystemPool {
        &self.shared.system
    }

    /// Stores a verified delivery. If its event is new and not much else is going on, it is applied at
    /// once; otherwise a [worker](Self::work) does that.
    ///
    /// Once it is stored nothing can fail here any more. A task of its own does it, so that a sender who
    /// hangs up cuts nothing short.
    ///
    /// # Errors
    ///
    /// [`PgError`]: it is not stored. Let the sender try again.
    pub async fn receive(&self, delivery: Delivery) -> Result<Receipt, PgError> {
        let shared = Arc::clone(&self.shared);
        let task = tokio::spawn(same_request(async move { shared.receive(delivery).await }));
        task.await.unwrap_or(Err(PgError::Unavailable(sqlx::Error::WorkerCrashed)))
    }

    /// Applies one event that is due. `false`: none is.
    ///
    /// # Errors
    ///
    /// [`PgError`]; the event stays claimed until its lease is over, and is due again then.
    pub async fn apply_next_due(&self) -> Result<bool, PgError> {
        let Shared { system, policy, .. } = &*self.shared;
        let claimed = claim(system, P::NAME, *policy, 1).await?;
        for claimed in &claimed {
            self.shared.work_on(claimed).await?;
        }
        Ok(!claimed.is_empty())
    }

    /// Tells the workers of this process that something may be due. Those of others look by themselves,
    /// every now and then.
    pub fn nudge(&self) {
        self.shared.due.notify_one();
    }
}

impl<P: Provider> Shared<P> {
    async fn receive(&self, delivery: Delivery) -> Result<Receipt, PgError> {
        // Kept until the event has been applied.
        let permit = self.at_once.try_acquire();
        let stored = self.intake.take(delivery, permit.is_ok()).await?;
        self.watcher.reached(Step::Recorded);
        let duplicate = matches!(stored, Stored::Known { .. });
        self.tally.stored(duplicate);
        let mut receipt = Receipt { status: stored.status(), reason: None, duplicate };
        match stored {
            Stored::Claimed(claimed) => match self.work_on(&claimed).await {
                Ok(Attempted { status, reason }) => receipt = Receipt { status, reason, duplicate },
                Err(error) => {
                    tracing::warn!(
                        event = claimed.event.event_id,
                        cause = error.source(),
                        "a webhook event is stored and could not be looked at",
                    );
                }
            },
            Stored::Known { reason, .. } => receipt.reason = reason,
            Stored::New => self.due.notify_one(),
        }
        Ok(receipt)
    }

    /// Makes one attempt at a claimed event, and returns how far the event has come.
    pub(super) async fn work_on(&self, claimed: &Claimed) -> Result<Attempted, PgError> {
        self.watcher.reached(Step::Claimed);
        // The provider's code may panic: that is a failure like others, and runs out of attempts.
        let failure = match AssertUnwindSafe(self.attempt(claimed)).catch_unwind().await {
            Ok(Ok(attempted)) => {
                self.tally.attempted(attempted.status);
                return Ok(attempted);
            }
            Ok(Err(error)) => {
                tracing::warn!(
                    event = claimed.event.event_id,
                    attempt = claimed.event.attempts,
                    cause = error.source(),
                    "a webhook event could not be applied",
                );
                Outcome::Failed(Setback::new("database", error.to_string()))
            }
            Err(_panic) => {
                let event = &claimed.event.event_id;
                tracing::error!(event, "applying a webhook event panicked");
                Outcome::Failed(Setback::new("panic", "the log says where"))
            }
        };
        let attempted = self.mark(claimed, &failure).await?;
        self.tally.attempted(attempted.status);
        Ok(attempted)
    }

    /// Effect and mark, in one transaction.
    async fn attempt(&self, claimed: &Claimed) -> Result<Attempted, PgError> {
        let prepared = match self.provider.prepare(claimed).await {
            Ok(prepared) => prepared,
            Err(outcome) => return self.mark(claimed, &outcome).await,
        };
        let Some(mut tx) = hold(&self.system, claimed).await? else {
            return Ok(Attempted::fenced_out());
        };
        self.watcher.reached(Step::Held);
        let outcome = self.provider.apply(&mut tx, claimed, prepared).await?;
        self.watcher.reached(Step::Applied);
        let verdict = Verdict::of(&outcome, claimed, self.policy);
        if !verdict.keeps_effect() {
            // Marked with the row held all the same: whoever makes what it waits for, and then looks for
            // who waits, waits for that.
            undo(&mut tx).await?;
        }
        self.conclude(tx, claimed, verdict).await
    }

    /// The mark alone, where there is no effect.
    async fn mark(&self, claimed: &Claimed, outcome: &Outcome) -> Result<Attempted, PgError> {
        let verdict = Verdict::of(outcome, claimed, self.policy);
        let tx = self.system.begin(MARK).await?;
        self.conclude(tx, claimed, verdict).await
    }

    async fn conclude(
        &self,
        mut tx: SystemTx,
        claimed: &Claimed,
        verdict: Verdict,
    ) -> Result<Attempted, PgError> {
        if !settle(&mut tx, claimed, &verdict).await? {
            tx.rollback().await?;
            return Ok(Attempted::fenced_out());
        }
        self.watcher.reached(Step::Marked);
        tx.commit().await?;
        self.watcher.reached(Step::Committed);
        let Verdict { status, line: reason, .. } = verdict;
        if status == EventStatus::Dead {
            let event = &claimed.event.event_id;
            tracing::error!(event, reason, "a webhook event is dead");
        }
        Ok(Attempted { status, reason })
    }
}

/// How far an event has come with an attempt, and why it was not applied.
pub(super) struct Attempted {
    status: EventStatus,
    reason: Option<String>,
}

impl Attempted {
    /// The lease was lost: the attempt that has it now decides.
    const fn fenced_out() -> Self {
        Self { status: EventStatus::Processing, reason: None }
    }
}

impl<P> Clone for Ledger<P> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<P: Provider> fmt::Debug for Ledger<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("provider", &P::NAME).finish_non_exhaustive()
    }
}
