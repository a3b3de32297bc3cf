//! Stripe's events as the ledger applies them.
//!
//! The [`Ledger`] of `mt-core` stores, claims, fences and retries; [`Stripe`] says what an event means:
//!
//! 1. **Prepared** without a transaction: read, looked at for whether it concerns us at all, and, where
//!    there is a fetcher, turned into a question to Stripe if the event alone cannot tell.
//! 2. **Applied** in the ledger's transaction, which holds the event and its customer: joined into what is
//!    known of its subscription or invoice, and the tenant projected anew from all of that. The locks are
//!    taken in one order: ledger row, customer, tenant.
//!
//! What somebody is to be told goes into the outbox in that same transaction: a failed payment, once for
//! each attempt at an invoice ([`DUNNING`]), and not if the money has come meanwhile.
//!
//! # Example
//!
//! ```no_run
//! use mt_core::pg::ledger::{RetryPolicy, Workers};
//! use mt_core::pg::{Database, PgError};
//! use mt_stripe::event::Event;
//! use mt_stripe::processor::{Processor, ProcessorConfig};
//! use mt_stripe::projection::PriceTable;
//!
//! # async fn run(database: Database, event: Event, body: Vec<u8>) -> Result<(), PgError> {
//! let config = ProcessorConfig {
//!     prices: PriceTable::new("free").plan("pro", ["price_pro"]),
//!     livemode: Some(true),
//!     accounts: None,
//!     retry: RetryPolicy::default(),
//! };
//! let processor = Processor::new(database.system(), config);
//! let ledger = processor.ledger().clone();
//! tokio::spawn(async move { ledger.work(Workers::default(), std::future::pending()).await });
//! // In the handler, once the signature over `body` stands:
//! let receipt = processor.receive(&event, &body).await?;
//! # drop(receipt);
//! # Ok(())
//! # }
//! ```

mod asking;
mod dunning;
mod stripe;

use mt_core::pg::ledger::{Delivery, Ledger, LedgerEvent, RetryPolicy};
pub use mt_core::pg::ledger::{Receipt, ReplayError, ReplayRequest};
use mt_core::pg::{PgError, SystemPool};

pub use self::dunning::DUNNING;
pub use self::stripe::Stripe;
use crate::event::Event;
use crate::projection::PriceTable;
use crate::reproject::reproject;

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
    ledger: Ledger<Stripe>,
}

impl Processor {
    /// Works on the ledger of `system`'s database.
    #[must_use]
    pub fn new(system: SystemPool, config: ProcessorConfig) -> Self {
        let retry = config.retry;
        Self { ledger: Ledger::new(system, Stripe::new(config), retry) }
    }

    /// Stores a verified delivery and, if its event is new and not much else is going on, applies it.
    ///
    /// Once it is stored nothing else can fail here: what is not applied now is for the workers of the
    /// [`ledger`](Self::ledger).
    ///
    /// # Errors
    ///
    /// [`PgError`]: it is not stored. Let the sender try again.
    pub async fn receive(&self, event: &Event, body: &[u8]) -> Result<Receipt, PgError> {
        self.ledger.receive(delivery(event, body)).await
    }

    /// Applies one event that is due. `false`: none is.
    ///
    /// # Errors
    ///
    /// [`PgError`]; the event stays claimed until its lease is over, and is due again then.
    pub async fn apply_next_due(&self) -> Result<bool, PgError> {
        self.ledger.apply_next_due().await
    }

    /// Tries an event again because somebody asks, and returns it as it stands then.
    ///
    /// # Errors
    ///
    /// [`ReplayError`].
    pub async fn replay(
        &self,
        event_id: &str,
        request: &ReplayRequest,
    ) -> Result<LedgerEvent, ReplayError> {
        self.ledger.replay(event_id, request).await
    }

    /// Projects tenants again that were projected with another price table, and says how many.
    ///
    /// # Errors
    ///
    /// [`PgError`]; those that were done before stay done.
    pub async fn reproject(&self) -> Result<u64, PgError> {
        reproject(self.ledger.system(), &self.ledger.provider().config.prices).await
    }

    /// The ledger itself: its workers, its events.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger<Stripe> {
        &self.ledger
    }
}

/// A delivery of `event`, for the ledger.
#[must_use]
pub fn delivery(event: &Event, body: &[u8]) -> Delivery {
    Delivery {
        account: event.account().unwrap_or_default().to_owned(),
        livemode: event.livemode(),
        api_version: event.api_version().map(str::to_owned),
        created: event.created(),
        object_id: event.object_id().map(str::to_owned),
        customer_id: event.customer().map(str::to_owned),
        ..Delivery::new(event.id(), event.kind(), body)
    }
}
