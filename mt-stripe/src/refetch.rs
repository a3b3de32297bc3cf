//! Asking Stripe for what events cannot tell, and writing down the answer.
//!
//! 1. A ticket, in a transaction of its own: a number from a sequence, and the events that are known.
//! 2. The question, outside of any transaction: nothing is locked while Stripe is asked.
//! 3. The answer, in one transaction with the tenant's projection, and only if no answer to a later
//!    question came first.
//!
//! The ticket comes before the question, so the answer with the greatest ticket was read after every
//! event that was known when that ticket was taken. Any number of processes may ask at once.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use mt_core::pg::SystemPool;
//! use mt_stripe::fetch::{SubscriptionFetcher, SubscriptionName};
//! use mt_stripe::projection::PriceTable;
//! use mt_stripe::refetch::{RefetchError, Refetcher};
//!
//! # async fn run(system: SystemPool, stripe: Arc<dyn SubscriptionFetcher>) -> Result<(), RefetchError> {
//! let prices = PriceTable::new("free").plan("pro", ["price_pro"]);
//! let refetcher = Refetcher::new(system, stripe, prices);
//! // By hand, and for all that are flagged.
//! let name = SubscriptionName { account: "", livemode: true, id: "sub_1" };
//! refetcher.refetch(&name).await?;
//! let settled = refetcher.refetch_flagged(100).await?;
//! # drop(settled);
//! # Ok(())
//! # }
//! ```

use std::sync::Arc;

use chrono::{DateTime, Utc};
use mt_core::pg::{PgError, SystemPool, SystemReason, SystemTx};

use crate::PROVIDER;
use crate::fetch::{FetchError, SubscriptionFetcher, SubscriptionName};
use crate::known::{Answer, Ticket};
use crate::projection::PriceTable;
use crate::state::{self, Realm, answers};

const TICKET: SystemReason = SystemReason::new("take a ticket for a question to Stripe");
const ANSWER: SystemReason = SystemReason::new("write down an answer of Stripe's");
const FLAGGED: SystemReason =
    SystemReason::new("look for subscriptions that only Stripe can tell of");

/// Asks and writes down. Cheap to clone.
///
/// A [`Processor`](crate::processor::Processor) that has a fetcher does this by itself for each event
/// that needs it; [`refetch_flagged`](Self::refetch_flagged) is for what was flagged before it had one,
/// and for a job that runs now and then.
#[derive(Clone, Debug)]
pub struct Refetcher {
    pub(crate) system: SystemPool,
    pub(crate) fetcher: Arc<dyn SubscriptionFetcher>,
    pub(crate) prices: PriceTable,
}

/// What came of asking.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refetched {
    /// The answer counts, and the tenant is projected with it.
    Applied,
    /// Stripe knows of no such subscription. What is known stays, and is flagged.
    Missing,
    /// The answer to a later question is here already.
    Overtaken,
    /// Its customer pays for no tenant any more. Nothing was written down.
    TenantGone,
    /// No tenant is linked to its customer yet. Nothing was written down.
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
    /// Asks `fetcher` for the subscriptions in `system`'s database.
    #[must_use]
    pub fn new(
        system: SystemPool,
        fetcher: Arc<dyn SubscriptionFetcher>,
        prices: PriceTable,
    ) -> Self {
        Self { system, fetcher, prices }
    }

    /// Asks for one subscription, and writes down the answer.
    ///
    /// # Errors
    ///
    /// [`RefetchError`]; nothing is written down then.
    pub async fn refetch(&self, name: &SubscriptionName<'_>) -> Result<Refetched, RefetchError> {
        self.refetch_since(name, DateTime::<Utc>::MAX_UTC).await
    }

    /// Asks for one subscription because of something that was received at `received`, by the database's
    /// clock; unless it was asked for since, and that answer is here.
    ///
    /// # Errors
    ///
    /// [`RefetchError`]; nothing is written down then.
    pub async fn refetch_since(
        &self,
        name: &SubscriptionName<'_>,
        received: DateTime<Utc>,
    ) -> Result<Refetched, RefetchError> {
        let mut tx = self.system.begin(TICKET).await?;
        let (ticket, fetched) = answers::take_ticket_for(&mut tx, name).await?;
        tx.commit().await?;
        if fetched.is_some_and(|fetched| fetched.asked() > received) {
            return Ok(Refetched::Overtaken);
        }
        let answer = self.fetcher.fetch(name).await?;
        Ok(self.write_down(name, &ticket, answer).await?)
    }

    /// Asks for those that are flagged, longest first, `limit` at most, and says how many were settled.
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

    async fn write_down(
        &self,
        name: &SubscriptionName<'_>,
        ticket: &Ticket,
        answer: Answer,
    ) -> Result<Refetched, PgError> {
        let mut tx = self.system.begin(ANSWER).await?;
        let outcome = self.write_in(&mut tx, name, ticket, answer).await?;
        match outcome {
            Refetched::Applied | Refetched::Missing => tx.commit().await?,
            Refetched::Overtaken | Refetched::TenantGone | Refetched::Unlinked => {
                tx.rollback().await?;
            }
        }
        Ok(outcome)
    }

    async fn write_in(
        &self,
        tx: &mut SystemTx,
        name: &SubscriptionName<'_>,
        ticket: &Ticket,
        answer: Answer,
    ) -> Result<Refetched, PgError> {
        // Of one that Stripe does not know, the row says whose it was.
        let (customer, outcome) = match &answer.subscription {
            Some(subscription) => (subscription.customer.clone(), Refetched::Applied),
            None => (answers::customer_of(tx, name).await?, Refetched::Missing),
        };
        let Some(customer) = customer else {
            let nobodys = outcome == Refetched::Applied;
            return Ok(if nobodys { Refetched::Unlinked } else { outcome });
        };
        let realm = Realm { account: name.account, livemode: name.livemode, customer: &customer };
        realm.lock(tx).await?;
        let tenant = match realm.tenant(tx).await? {
            Some(tenant) if state::hold_tenant(tx, tenant).await? => tenant,
            Some(_) => return Ok(Refetched::TenantGone),
            None => match realm.former(tx).await? {
                Some(_) => return Ok(Refetched::TenantGone),
                None => return Ok(Refetched::Unlinked),
            },
        };
        if !realm.write_answer(tx, name.id, ticket, answer).await? {
            return Ok(Refetched::Overtaken);
        }
        realm.project(tx, tenant, &self.prices).await?;
        Ok(outcome)
    }
}

async fn flagged(tx: &mut SystemTx, limit: u32) -> Result<Vec<Flagged>, PgError> {
    let rows: Vec<(String, bool, String)> = sqlx::query_as(
        // An answer about a former customer's would not be written down.
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

/// Why a subscription was not asked for, or the answer not written down.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RefetchError {
    /// Stripe gave no answer.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Postgres did not play along.
    #[error(transparent)]
    Pg(#[from] PgError),
}
