//! Fetching a subscription from Stripe where events do not tell its state, and storing the answer.
//!
//! 1. The start, in a transaction of its own: a number from a sequence, and the events that are known.
//! 2. The request, outside of any transaction: nothing is locked while Stripe answers.
//! 3. The answer, in one transaction with the tenant's projection, and only if no answer to a later fetch is stored.
//!
//! The number is taken before the request, so the answer with the greatest number was read after every event that was
//! known when that fetch started. Any number of processes may fetch at once.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use mt_core::billing::PriceTable;
//! use mt_core::pg::System;
//! use mt_stripe::fetch::{SubscriptionFetcher, SubscriptionName};
//! use mt_stripe::refetch::{RefetchError, Refetcher};
//!
//! # async fn run(system: System, stripe: Arc<dyn SubscriptionFetcher>) -> Result<(), RefetchError> {
//! let prices = PriceTable::new("free").plan("pro", ["price_pro"]);
//! let refetcher = Refetcher::new(system, stripe, prices);
//! // One subscription, and then all that are flagged.
//! let name = SubscriptionName { account: "", livemode: true, id: "sub_1" };
//! refetcher.refetch(&name).await?;
//! let settled = refetcher.refetch_flagged(100).await?;
//! # drop(settled);
//! # Ok(())
//! # }
//! ```

use std::sync::Arc;

use chrono::{DateTime, Utc};
use mt_core::billing::PriceTable;
use mt_core::pg::billing::hold_tenant;
use mt_core::pg::{PgError, System, SystemReason, SystemTx};

use crate::PROVIDER;
use crate::fetch::{FetchError, SubscriptionFetcher, SubscriptionName};
use crate::known::{Answer, FetchStart};
use crate::state::{self, answers};

const START: SystemReason = SystemReason::new("start a fetch from Stripe");
const ANSWER: SystemReason = SystemReason::new("store an answer of Stripe");
const FLAGGED: SystemReason = SystemReason::new("find subscriptions that only Stripe knows");

/// Fetches subscriptions and stores the answers. Cheap to clone.
///
/// A ledger whose [`StripeConfig`](crate::StripeConfig) has a fetcher does this for each event that needs it;
/// [`refetch_flagged`](Self::refetch_flagged) is for subscriptions that were flagged before, and for a periodic job.
#[derive(Clone, Debug)]
pub struct Refetcher {
    pub(crate) system: System,
    pub(crate) fetcher: Arc<dyn SubscriptionFetcher>,
    pub(crate) prices: PriceTable,
}

/// The result of a fetch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refetched {
    /// The answer is stored, and the tenant is projected with it.
    Applied,
    /// Stripe knows no such subscription. The known state stays, and is flagged.
    Missing,
    /// The answer to a later fetch is stored already.
    Overtaken,
    /// Its customer pays for no tenant any more. Nothing is stored.
    TenantGone,
    /// No tenant is linked to its customer yet. Nothing is stored.
    Unlinked,
}

/// A subscription that is flagged.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Flagged {
    account: String,
    livemode: bool,
    id: String,
}

impl Refetcher {
    /// A refetcher that asks `fetcher` for the subscriptions in `system`'s database.
    #[must_use]
    pub fn new(system: System, fetcher: Arc<dyn SubscriptionFetcher>, prices: PriceTable) -> Self {
        Self { system, fetcher, prices }
    }

    /// Fetches one subscription and stores the answer.
    ///
    /// # Errors
    ///
    /// [`RefetchError`]; nothing is stored then.
    pub async fn refetch(&self, name: &SubscriptionName<'_>) -> Result<Refetched, RefetchError> {
        self.refetch_since(name, DateTime::<Utc>::MAX_UTC).await
    }

    /// Fetches one subscription because of an event that was received at `received`, by the database's clock, unless the
    /// answer to a fetch that started since is stored already.
    ///
    /// # Errors
    ///
    /// [`RefetchError`]; nothing is stored then.
    pub async fn refetch_since(
        &self,
        name: &SubscriptionName<'_>,
        received: DateTime<Utc>,
    ) -> Result<Refetched, RefetchError> {
        let mut tx = self.system.begin(START).await?;
        let (start, fetched) = answers::start_fetch(&mut tx, name).await?;
        tx.commit().await?;
        if fetched.is_some_and(|fetched| fetched.asked() > received) {
            return Ok(Refetched::Overtaken);
        }
        let answer = self.fetcher.fetch(name).await?;
        Ok(self.store(name, &start, answer).await?)
    }

    /// Fetches flagged subscriptions, the longest flagged first and at most `limit`, and returns how many were settled.
    ///
    /// # Errors
    ///
    /// The first [`RefetchError`]; what was settled before stays so. After one that
    /// [is temporary](FetchError::is_temporary), wait before the next call.
    pub async fn refetch_flagged(&self, limit: u32) -> Result<u32, RefetchError> {
        let mut tx = self.system.begin(FLAGGED).await?;
        let flagged = flagged(&mut tx, limit).await?;
        tx.commit().await?;
        let mut settled = 0;
        for Flagged { account, livemode, id } in &flagged {
            let name = SubscriptionName { account, livemode: *livemode, id };
            settled += u32::from(self.refetch(&name).await? == Refetched::Applied);
        }
        Ok(settled)
    }

    async fn store(
        &self,
        name: &SubscriptionName<'_>,
        start: &FetchStart,
        answer: Answer,
    ) -> Result<Refetched, PgError> {
        let mut tx = self.system.begin(ANSWER).await?;
        let outcome = self.store_in(&mut tx, name, start, answer).await?;
        match outcome {
            Refetched::Applied | Refetched::Missing => tx.commit().await?,
            Refetched::Overtaken | Refetched::TenantGone | Refetched::Unlinked => {
                tx.rollback().await?;
            }
        }
        Ok(outcome)
    }

    async fn store_in(
        &self,
        tx: &mut SystemTx,
        name: &SubscriptionName<'_>,
        start: &FetchStart,
        answer: Answer,
    ) -> Result<Refetched, PgError> {
        // For a subscription that Stripe does not know, the stored row names the customer.
        let (customer, outcome) = match &answer.subscription {
            Some(subscription) => (subscription.customer.clone(), Refetched::Applied),
            None => (answers::customer_of(tx, name).await?, Refetched::Missing),
        };
        let Some(customer) = customer else {
            let has_no_customer = outcome == Refetched::Applied;
            return Ok(if has_no_customer { Refetched::Unlinked } else { outcome });
        };
        let customer = state::customer(name.account, name.livemode, &customer);
        customer.lock(tx).await?;
        let tenant = match customer.tenant(tx).await? {
            Some(tenant) if hold_tenant(tx, tenant).await? => tenant,
            Some(_) => return Ok(Refetched::TenantGone),
            None => match customer.former(tx).await? {
                Some(_) => return Ok(Refetched::TenantGone),
                None => return Ok(Refetched::Unlinked),
            },
        };
        if !answers::write_answer(tx, customer, name.id, start, answer).await? {
            return Ok(Refetched::Overtaken);
        }
        let purchases = state::purchases(tx, customer).await?;
        customer.project(tx, tenant, &purchases, &self.prices).await?;
        Ok(outcome)
    }
}

async fn flagged(tx: &mut SystemTx, limit: u32) -> Result<Vec<Flagged>, PgError> {
    let rows: Vec<(String, bool, String)> = sqlx::query_as(
        // An answer about a former customer's subscription would not be stored.
        "select s.account, s.livemode, s.subscription_id from mt.subscriptions s \
         where s.provider = $1 and s.needs_refetch and exists ( \
             select from mt.billing_customers c where c.provider = s.provider \
                 and c.account = s.account and c.customer_id = s.customer_id) \
         order by s.updated_at limit $2",
    )
    .bind(PROVIDER)
    .bind(i64::from(limit))
    .fetch_all(tx.conn())
    .await?;
    let flagged = |(account, livemode, id)| Flagged { account, livemode, id };
    Ok(rows.into_iter().map(flagged).collect())
}

/// Why a subscription was not fetched, or the answer not stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RefetchError {
    /// Stripe gave no answer, or refused.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Postgres failed, or cannot be reached. Try again.
    #[error(transparent)]
    Pg(#[from] PgError),
}
