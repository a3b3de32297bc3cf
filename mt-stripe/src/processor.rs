//! The ledger's transactions.
//!
//! 1. **Receive**: one insert, committed before the delivery is acknowledged.
//! 2. **Claim**: the attempt is counted and leased, committed before it begins.
//! 3. **Effect and mark** in one transaction, fenced by the lease: both or neither, and only by
//!    whoever holds the lease. The locks are taken in one order: ledger row, customer, tenant.
//! 4. **Failure** is marked in a transaction of its own, with the same fence.
//!
//! So a process can be killed anywhere: what was acknowledged is in the ledger, and what was applied
//! is marked as applied.

mod asking;

use std::error::Error;

use mt_core::pg::ledger::{
    self, Claimed, Delivery, EventStatus, LedgerEvent, Outcome, Recorded, RetryPolicy, Which,
};
use mt_core::pg::{PgError, SystemPool, SystemReason, SystemTx};

use crate::PROVIDER;
use crate::event::{Effect, Event};
use crate::invoice::InvoiceState;
use crate::order::SubscriptionState;
use crate::projection::PriceTable;
use crate::refetch::Refetcher;
use crate::state::{self, Realm};

const RECEIVE: SystemReason = SystemReason::new("store a webhook event");
const CLAIM: SystemReason = SystemReason::new("claim a webhook event");
const APPLY: SystemReason = SystemReason::new("apply a webhook event");
const FAIL: SystemReason = SystemReason::new("mark a webhook event as failed");
const REPLAY: SystemReason = SystemReason::new("replay a webhook event");
const LOOK: SystemReason = SystemReason::new("look at a webhook event");

/// Which events count, what they buy, and how often they are tried.
#[derive(Clone, Debug)]
pub struct ProcessorConfig {
    /// Which price buys which plan.
    pub prices: PriceTable,
    /// The only mode whose events count; `None` for any.
    pub livemode: Option<bool>,
    /// The only connected accounts whose events count, `""` being our own; `None` for any.
    pub accounts: Option<Vec<String>>,
    /// How often and for how long an event is tried.
    pub retry: RetryPolicy,
}

impl ProcessorConfig {
    /// Why an event does not count here, if it does not: it is of another mode or account.
    fn refuses(&self, event: &Event) -> Option<&'static str> {
        let account = event.account().unwrap_or_default();
        if self.livemode.is_some_and(|expected| expected != event.livemode()) {
            return Some("livemode");
        }
        let unknown = |known: &Vec<String>| !known.iter().any(|known| known == account);
        self.accounts.as_ref().is_some_and(unknown).then_some("account")
    }
}

/// Stores and applies events. Cheap to clone; any number of replicas may run it.
#[derive(Clone, Debug)]
pub struct Processor {
    system: SystemPool,
    config: ProcessorConfig,
    refetcher: Option<Refetcher>,
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Receipt {
    /// How far its event has come.
    pub status: EventStatus,
    /// Whether the event was known.
    pub duplicate: bool,
}

impl Processor {
    /// Works on the ledger of `system`'s database.
    #[must_use]
    pub const fn new(system: SystemPool, config: ProcessorConfig) -> Self {
        Self { system, config, refetcher: None }
    }

    /// Stores a verified delivery and, if its event is new, applies it at once.
    ///
    /// Once it is stored nothing else can fail here: what cannot be applied now is tried again by
    /// whoever calls [`apply_next_due`](Self::apply_next_due).
    ///
    /// # Errors
    ///
    /// [`PgError`]: it is not stored. Let the sender try again.
    pub async fn receive(&self, event: &Event, body: &[u8]) -> Result<Receipt, PgError> {
        let mut tx = self.system.begin(RECEIVE).await?;
        let Recorded { status, duplicate } = ledger::record(&mut tx, delivery(event, body)).await?;
        tx.commit().await?;
        if status != EventStatus::Received {
            return Ok(Receipt { status, duplicate });
        }
        match self.apply(Which::Named(event.id())).await {
            Ok(Some(status)) => Ok(Receipt { status, duplicate }),
            // Somebody else is at it.
            Ok(None) => Ok(Receipt { status, duplicate }),
            Err(error) => {
                tracing::warn!(event = event.id(), cause = error.source(), "stored, not applied");
                Ok(Receipt { status, duplicate })
            }
        }
    }

    /// Applies the event that has been due for longest. `false`: none is due.
    ///
    /// # Errors
    ///
    /// [`PgError`]; the event stays claimed until its lease is over, and is due again then.
    pub async fn apply_next_due(&self) -> Result<bool, PgError> {
        Ok(self.apply(Which::NextDue).await?.is_some())
    }

    /// Tries an event again because somebody asks, and returns it as it stands then. One that was
    /// processed stays as it is.
    ///
    /// # Errors
    ///
    /// [`ReplayError`].
    pub async fn replay(&self, event_id: &str) -> Result<LedgerEvent, ReplayError> {
        let mut tx = self.system.begin(REPLAY).await?;
        let before = ledger::requeue(&mut tx, PROVIDER, event_id).await?;
        tx.commit().await?;
        match before {
            None => return Err(ReplayError::NotFound),
            Some(EventStatus::Processing) => return Err(ReplayError::UnderWay),
            Some(EventStatus::Processed) => {}
            Some(_) => {
                self.apply(Which::Named(event_id)).await?;
            }
        }
        let mut tx = self.system.begin(LOOK).await?;
        let event = ledger::find(&mut tx, PROVIDER, event_id).await?;
        tx.commit().await?;
        event.ok_or(ReplayError::NotFound)
    }

    async fn apply(&self, which: Which<'_>) -> Result<Option<EventStatus>, PgError> {
        let mut tx = self.system.begin(CLAIM).await?;
        let claimed = ledger::claim(&mut tx, PROVIDER, which, self.config.retry).await?;
        tx.commit().await?;
        match claimed {
            Some(claimed) => Ok(Some(self.work_on(&claimed).await?)),
            None => Ok(None),
        }
    }

    /// One attempt at a claimed event.
    async fn work_on(&self, claimed: &Claimed) -> Result<EventStatus, PgError> {
        let failure = match self.ask_then_attempt(claimed).await {
            Ok(Attempt::Settled(status)) => return Ok(status),
            Ok(Attempt::Fenced) => return Ok(EventStatus::Processing),
            Ok(Attempt::Undone(outcome)) => outcome,
            Err(error) => {
                tracing::warn!(
                    event = claimed.event.event_id,
                    attempt = claimed.event.attempts,
                    cause = error.source(),
                    "a webhook event could not be applied",
                );
                let detail = error.to_string();
                Outcome::Failed { reason: "database", detail }
            }
        };
        let mut tx = self.system.begin(FAIL).await?;
        ledger::settle(&mut tx, claimed, &failure, self.config.retry).await?;
        let event = ledger::find(&mut tx, PROVIDER, &claimed.event.event_id).await?;
        tx.commit().await?;
        Ok(event.map_or(EventStatus::Failed, |event| event.status))
    }

    /// Effect and mark, in one transaction.
    async fn attempt(&self, claimed: &Claimed) -> Result<Attempt, PgError> {
        let mut tx = self.system.begin(APPLY).await?;
        if !ledger::hold(&mut tx, claimed).await? {
            return Ok(Attempt::Fenced);
        }
        let outcome = self.effect(&mut tx, &claimed.event.body).await?;
        let status = match outcome {
            Outcome::Processed => EventStatus::Processed,
            Outcome::Ignored(_) => EventStatus::Ignored,
            Outcome::Waiting { .. } | Outcome::Failed { .. } => {
                tx.rollback().await?;
                return Ok(Attempt::Undone(outcome));
            }
        };
        if !ledger::settle(&mut tx, claimed, &outcome, self.config.retry).await? {
            return Ok(Attempt::Fenced);
        }
        tx.commit().await?;
        Ok(Attempt::Settled(status))
    }

    async fn effect(&self, tx: &mut SystemTx, body: &[u8]) -> Result<Outcome, PgError> {
        let Ok(event) = Event::parse(body) else { return Ok(Outcome::Ignored("unreadable")) };
        if let Some(reason) = self.config.refuses(&event) {
            return Ok(Outcome::Ignored(reason));
        }
        let account = event.account().unwrap_or_default();
        let effect = match event.effect() {
            Effect::None(reason) => return Ok(Outcome::Ignored(reason)),
            effect => effect,
        };
        let Some(customer) = event.customer() else { return Ok(Outcome::Ignored("no_customer")) };
        let Some(created) = event.created() else { return Ok(Outcome::Ignored("no_created")) };
        let realm = Realm { account, livemode: event.livemode(), customer };
        realm.lock(tx).await?;
        let Some(tenant) = realm.tenant(tx).await? else {
            let detail = "no tenant is linked to this customer yet".to_owned();
            return Ok(Outcome::Waiting { reason: "unlinked_customer", detail });
        };
        if !state::hold_tenant(tx, tenant).await? {
            return Ok(Outcome::Ignored("tenant_gone"));
        }
        match effect {
            Effect::Subscription(seen) => {
                let seen = SubscriptionState::of(seen, event.kind(), event.id(), created);
                if realm.join_subscription(tx, &seen).await?.is_none() {
                    return Ok(Outcome::Ignored("other_customer"));
                }
            }
            Effect::Invoice(seen) => {
                if !realm.join_invoice(tx, &InvoiceState::of(seen, created)).await? {
                    return Ok(Outcome::Ignored("other_customer"));
                }
            }
            Effect::None(reason) => return Ok(Outcome::Ignored(reason)),
        }
        realm.project(tx, tenant, &self.config.prices).await?;
        Ok(Outcome::Processed)
    }
}

/// How an attempt ended.
enum Attempt {
    /// Committed.
    Settled(EventStatus),
    /// The lease was lost; whoever has it decides.
    Fenced,
    /// Rolled back, and this is to be written down.
    Undone(Outcome),
}

fn delivery<'d>(event: &'d Event, body: &'d [u8]) -> Delivery<'d> {
    Delivery {
        provider: PROVIDER,
        event_id: event.id(),
        kind: event.kind(),
        account: event.account().unwrap_or_default(),
        livemode: event.livemode(),
        api_version: event.api_version(),
        created: event.created(),
        object_id: event.object_id(),
        customer_id: event.customer(),
        body,
    }
}

/// Why an event was not tried again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// There is no such event.
    #[error("no such event")]
    NotFound,
    /// Postgres did not play along.
    #[error(transparent)]
    Pg(#[from] PgError),
    /// Somebody is at it.
    #[error("the event is being processed")]
    UnderWay,
}
