//! Stripe as a provider of the ledger, and of billing.
//!
//! The [`Ledger`] of `mt-core` stores, leases, fences and retries; [`Stripe`] says what an event means:
//!
//! 1. **Prepare**, without a transaction: parse the event, ignore it if it is of another mode or account, and fetch the
//!    subscription if the event alone does not tell its state and there is a fetcher.
//! 2. **Apply**, in the ledger's transaction, which holds the event and its customer: join the event into what is known
//!    of its subscription or invoice, and project the tenant from all of that.
//!
//! A failed payment enqueues a message for the tenant's owners in the same transaction, once for each attempt at the
//! invoice, unless it is paid by then.

mod apply;
mod asking;

use std::sync::Arc;

use mt_core::billing::{PriceTable, Purchases};
use mt_core::pg::billing::BillingProvider;
use mt_core::pg::ledger::{Customer, Ledger, LedgerPolicy};
use mt_core::pg::{PgError, System, SystemTx};

use self::asking::Asking;
use crate::PROVIDER;
use crate::event::Event;
use crate::fetch::SubscriptionFetcher;
use crate::refetch::Refetcher;
use crate::state;

/// Which events count, what they buy, and how often they are tried.
#[derive(Clone, Debug)]
pub struct StripeConfig {
    /// Which price buys which plan.
    pub prices: PriceTable,
    /// The only mode whose events count; `None` for both.
    pub livemode: Option<bool>,
    /// The only connected accounts whose events count, `""` being the platform's own; `None` for all.
    pub accounts: Option<Vec<String>>,
    /// The client that fetches subscriptions where events do not tell their state; `None` flags them instead.
    pub fetcher: Option<Arc<dyn SubscriptionFetcher>>,
    /// How the ledger applies events.
    pub policy: LedgerPolicy,
}

impl StripeConfig {
    /// Counts events of both modes and all accounts, without a fetcher, by the default policy.
    #[must_use]
    pub fn new(prices: PriceTable) -> Self {
        let policy = LedgerPolicy::default();
        Self { prices, livemode: None, accounts: None, fetcher: None, policy }
    }
}

/// Stripe's events and their effects: the [`Provider`](mt_core::pg::ledger::Provider) of a ledger.
///
/// ```no_run
/// use chrono::{DateTime, Utc};
/// use mt_core::billing::PriceTable;
/// use mt_core::pg::Database;
/// use mt_core::pg::ledger::Workers;
/// use mt_stripe::signature::Verifier;
/// use mt_stripe::{Stripe, StripeConfig};
///
/// # async fn run(database: Database, secret: &str, headers: &[&[u8]], body: Vec<u8>, now: DateTime<Utc>)
/// # -> Result<(), Box<dyn std::error::Error>> {
/// let config = StripeConfig::new(PriceTable::new("free").plan("pro", ["price_pro"]));
/// let ledger = Stripe::ledger(database.system(), config);
/// tokio::spawn({
///     let ledger = ledger.clone();
///     async move { ledger.work(Workers::default(), std::future::pending()).await }
/// });
/// // In the HTTP handler: only a verified event can be stored.
/// let verifier = Verifier::new([secret])?;
/// let event = verifier.verify(headers, body, now)?;
/// let receipt = ledger.receive(event).await?;
/// # drop(receipt);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Stripe {
    prices: PriceTable,
    livemode: Option<bool>,
    accounts: Option<Vec<String>>,
    asking: Option<Asking>,
}

impl Stripe {
    /// Stripe with these settings. [`StripeConfig::policy`] is for the ledger.
    #[must_use]
    pub fn new(system: System, config: StripeConfig) -> Self {
        let StripeConfig { prices, livemode, accounts, fetcher, policy: _ } = config;
        let asking = fetcher.map(|fetcher| {
            let refetcher = Refetcher::new(system.clone(), fetcher, prices.clone());
            Asking::new(system, refetcher)
        });
        Self { prices, livemode, accounts, asking }
    }

    /// The ledger of Stripe's events in `system`'s database.
    #[must_use]
    pub fn ledger(system: System, config: StripeConfig) -> Ledger<Self> {
        let policy = config.policy;
        Ledger::new(system.clone(), Self::new(system, config), policy)
    }

    /// Which price buys which plan.
    #[must_use]
    pub const fn prices(&self) -> &PriceTable {
        &self.prices
    }

    /// Why an event does not count, if it does not: it is of another mode or account.
    fn refuses(&self, event: &Event) -> Option<&'static str> {
        let account = event.account().unwrap_or_default();
        if self.livemode.is_some_and(|expected| expected != event.livemode()) {
            return Some("livemode");
        }
        let unknown = |known: &Vec<String>| !known.iter().any(|known| known == account);
        self.accounts.as_ref().is_some_and(unknown).then_some("account")
    }
}

impl BillingProvider for Stripe {
    const NAME: &'static str = PROVIDER;

    async fn purchases(tx: &mut SystemTx, customer: Customer<'_>) -> Result<Purchases, PgError> {
        state::purchases(tx, customer).await
    }
}

/// The reason to ignore an event of a customer whose tenant, or link, is gone.
const TENANT_GONE: &str = "tenant_gone";
