//! Reconciliation: comparing every tenant with Stripe, and correcting what differs.
//!
//! Events can be lost before they are delivered: the endpoint was switched off, or Stripe never made the event (which it
//! says [happens very rarely]). So a periodic job, for example each night, fetches all subscriptions of each linked
//! customer. The answers are stored like any other [answer](crate::refetch), under a number that was taken before the
//! request: a later event, or a later answer, is not overwritten. A subscription that is known here, has not ended and is
//! not in the list is fetched by its identifier, and flagged if Stripe does not know it.
//!
//! The run visits customers in the order of their tenants, one request at a time, so that it leaves most of Stripe's
//! rate limit to others, and can be resumed where it ended. It does not retry: an error says where to continue, and
//! after how long.
//!
//! [happens very rarely]: https://docs.stripe.com/webhooks
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use mt_core::billing::PriceTable;
//! use mt_core::pg::System;
//! use mt_stripe::fetch::SubscriptionFetcher;
//! use mt_stripe::reconcile::{ReconcileError, Reconciler};
//! use mt_stripe::refetch::Refetcher;
//!
//! # async fn run(system: System, stripe: Arc<dyn SubscriptionFetcher>) -> Result<(), ReconcileError> {
//! let prices = PriceTable::new("free").plan("pro", ["price_pro"]);
//! let reconciler = Reconciler::new(Refetcher::new(system, stripe, prices));
//! reconciler
//!     .run(None, |tenant| {
//!         if tenant.is_corrected() {
//!             println!("{}: {:?} was {:?}", tenant.tenant, tenant.after, tenant.before);
//!         }
//!     })
//!     .await?;
//! # Ok(())
//! # }
//! ```

use std::time::Duration;

use chrono::{DateTime, Utc};
use mt_core::id::TenantId;
use mt_core::pg::billing::hold_tenant;
use mt_core::pg::ledger::Customer;
use mt_core::pg::{PgError, System, SystemReason, SystemTx};
use uuid::Uuid;

use crate::PROVIDER;
use crate::fetch::{CustomerName, FetchError, SubscriptionName};
use crate::known::{Answer, FetchStart, KnownSubscription};
use crate::order::{Phase, SubscriptionState};
use crate::refetch::{RefetchError, Refetcher};
use crate::state::{self, answers};

const CUSTOMERS: SystemReason =
    SystemReason::new("go through customers to compare them with Stripe");
const START: SystemReason = SystemReason::new("start to compare a customer with Stripe");
const ANSWER: SystemReason = SystemReason::new("store what Stripe has of a customer");

/// The status of an answer to a key that is not valid.
const UNAUTHORIZED: u16 = 401;

/// How many customers are looked up at a time.
const BATCH: i64 = 500;

/// Compares customers with Stripe. See the [module docs](self).
#[derive(Clone, Debug)]
pub struct Reconciler {
    refetcher: Refetcher,
    keeps: bool,
}

/// What a tenant has paid for, as stored.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct PaidFor {
    /// Its plan.
    pub plan: String,
    /// The status of its subscription.
    pub subscription_status: String,
    /// The start of its present run of `past_due`.
    pub past_due_since: Option<DateTime<Utc>>,
    /// The end of what is paid for.
    pub current_period_end: Option<DateTime<Utc>>,
    /// Whether it ends by itself then.
    pub cancel_at_period_end: bool,
}

/// The comparison of one tenant.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Reconciled {
    /// The tenant.
    pub tenant: TenantId,
    /// The customer that pays for it.
    pub customer: String,
    /// The number of its subscriptions at Stripe.
    pub subscriptions: usize,
    /// The subscriptions that are known here, have not ended, and are unknown to Stripe.
    pub missing: Vec<String>,
    /// Why Stripe refuses to answer for this customer, if it does; nothing was compared then.
    pub refused: Option<String>,
    /// What it had paid for before the comparison.
    pub before: PaidFor,
    /// What it has paid for after it.
    pub after: PaidFor,
}

impl Reconciled {
    /// Whether the comparison corrected what the tenant has paid for.
    #[must_use]
    pub fn is_corrected(&self) -> bool {
        self.before != self.after
    }
}

impl Reconciler {
    /// A reconciler with the fetcher and the database of `refetcher`.
    #[must_use]
    pub const fn new(refetcher: Refetcher) -> Self {
        Self { refetcher, keeps: true }
    }

    /// Reports what it would correct, and writes nothing.
    #[must_use]
    pub const fn dry(mut self) -> Self {
        self.keeps = false;
        self
    }

    /// The number of customers that a run compares.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn count(&self) -> Result<u64, PgError> {
        let mut tx = self.system().begin(CUSTOMERS).await?;
        let count: i64 =
            sqlx::query_scalar("select count(*) from mt.billing_customers where provider = $1")
                .bind(PROVIDER)
                .fetch_one(tx.conn())
                .await?;
        tx.commit().await?;
        Ok(count.unsigned_abs())
    }

    /// Compares all customers, or those whose tenant comes after `after`, and passes each result to `seen`. If Stripe
    /// refuses to answer for one customer, the run continues; if it refuses the key, the run ends.
    ///
    /// # Errors
    ///
    /// [`ReconcileError`], which says where to go on. What was compared before stays so.
    pub async fn run(
        &self,
        after: Option<TenantId>,
        mut seen: impl FnMut(&Reconciled),
    ) -> Result<(), ReconcileError> {
        let mut done = after;
        loop {
            let customers = match self.customers(done).await {
                Ok(customers) if customers.is_empty() => return Ok(()),
                Ok(customers) => customers,
                Err(error) => return Err(ReconcileError { done, source: error.into() }),
            };
            for customer in customers {
                match self.reconcile(&customer).await {
                    Ok(Some(reconciled)) => seen(&reconciled),
                    Ok(None) => {}
                    Err(RefetchError::Fetch(error @ FetchError::Refused { status, .. }))
                        if status != UNAUTHORIZED =>
                    {
                        match self.refused(&customer, &error).await {
                            Ok(refused) => seen(&refused),
                            Err(source) => {
                                return Err(ReconcileError { done, source: source.into() });
                            }
                        }
                    }
                    Err(source) => return Err(ReconcileError { done, source }),
                }
                done = Some(TenantId::from_uuid(customer.tenant));
            }
        }
    }

    fn system(&self) -> &System {
        &self.refetcher.system
    }

    async fn customers(&self, after: Option<TenantId>) -> Result<Vec<LinkedCustomer>, PgError> {
        let mut tx = self.system().begin(CUSTOMERS).await?;
        let customers = sqlx::query_as(
            "select tenant_id as tenant, account, customer_id as id from mt.billing_customers \
             where provider = $1 and tenant_id > $2 order by tenant_id limit $3",
        )
        .bind(PROVIDER)
        .bind(after.map_or(Uuid::nil(), TenantId::as_uuid))
        .bind(BATCH)
        .fetch_all(tx.conn())
        .await?;
        tx.commit().await?;
        Ok(customers)
    }

    /// Compares one customer. `None` if it pays for no tenant any more.
    async fn reconcile(
        &self,
        customer: &LinkedCustomer,
    ) -> Result<Option<Reconciled>, RefetchError> {
        let mut tx = self.system().begin(START).await?;
        let (number, asked) = answers::next_number(&mut tx).await?;
        let known = answers::subscriptions(&mut tx, customer.in_mode(false)).await?;
        tx.commit().await?;

        let name = CustomerName { account: &customer.account, id: &customer.id };
        let listed = self.refetcher.fetcher.fetch_all_of(&name).await?;
        let subscriptions = listed.len();
        let mut told: Vec<((bool, String), Answer)> = Vec::with_capacity(subscriptions);
        for found in listed {
            let key = (found.livemode, found.subscription.id.clone());
            told.push((key, Answer { subscription: Some(found.subscription), at: found.at }));
        }
        let mut missing = Vec::new();
        for ((livemode, id), known) in &known {
            let is_told = told.iter().any(|((_, told), _)| told == id);
            if is_told || has_ended(known) {
                continue;
            }
            let name = SubscriptionName { account: &customer.account, livemode: *livemode, id };
            let answer = self.refetcher.fetcher.fetch(&name).await?;
            if answer.subscription.is_none() {
                missing.push(id.clone());
            }
            told.push(((*livemode, id.clone()), answer));
        }

        let mut tx = self.system().begin(ANSWER).await?;
        let locked = told.first().is_some_and(|((livemode, _), _)| *livemode);
        customer.in_mode(locked).lock(&mut tx).await?;
        let tenant = customer.in_mode(locked).tenant(&mut tx).await?;
        if tenant != Some(customer.tenant) || !hold_tenant(&mut tx, customer.tenant).await? {
            tx.rollback().await?;
            return Ok(None);
        }
        let before = paid_for(&mut tx, customer.tenant).await?;
        let nothing = SubscriptionState::default();
        for (key, answer) in told {
            let events = known.get(&key).map_or(&nothing, KnownSubscription::events);
            let start = FetchStart::new(number, asked, events);
            let customer = customer.in_mode(key.0);
            answers::write_answer(&mut tx, customer, &key.1, &start, answer).await?;
        }
        let (tenant, prices) = (customer.tenant, &self.refetcher.prices);
        let purchases = state::purchases(&mut tx, customer.in_mode(locked)).await?;
        customer.in_mode(locked).project(&mut tx, tenant, &purchases, prices).await?;
        let after = paid_for(&mut tx, customer.tenant).await?;
        if self.keeps {
            tx.commit().await?;
        } else {
            tx.rollback().await?;
        }
        let (tenant, customer) = (TenantId::from_uuid(customer.tenant), customer.id.clone());
        let refused = None;
        Ok(Some(Reconciled { tenant, customer, subscriptions, missing, refused, before, after }))
    }

    /// The result for a customer for whom Stripe refuses to answer: nothing changes.
    async fn refused(
        &self,
        customer: &LinkedCustomer,
        why: &FetchError,
    ) -> Result<Reconciled, PgError> {
        let mut tx = self.system().begin(CUSTOMERS).await?;
        let before = paid_for(&mut tx, customer.tenant).await?;
        tx.commit().await?;
        Ok(Reconciled {
            tenant: TenantId::from_uuid(customer.tenant),
            customer: customer.id.clone(),
            subscriptions: 0,
            missing: Vec::new(),
            refused: Some(why.to_string()),
            after: before.clone(),
            before,
        })
    }
}

/// A linked customer.
#[derive(sqlx::FromRow)]
struct LinkedCustomer {
    tenant: Uuid,
    account: String,
    id: String,
}

impl LinkedCustomer {
    fn in_mode(&self, livemode: bool) -> Customer<'_> {
        state::customer(&self.account, livemode, &self.id)
    }
}

fn has_ended(known: &KnownSubscription) -> bool {
    let current = known.current();
    current.is_some_and(|current| Phase::of(&current.subscription.status) == Phase::Ended)
}

async fn paid_for(tx: &mut SystemTx, tenant: Uuid) -> Result<PaidFor, PgError> {
    type Row = (String, String, Option<DateTime<Utc>>, Option<DateTime<Utc>>, bool);
    let row: Row = sqlx::query_as(
        "select plan, subscription_status, past_due_since, current_period_end, cancel_at_period_end \
         from mt.tenants where id = $1",
    )
    .bind(tenant)
    .fetch_one(tx.conn())
    .await?;
    let (plan, subscription_status, past_due_since, current_period_end, cancel_at_period_end) = row;
    Ok(PaidFor {
        plan,
        subscription_status,
        past_due_since,
        current_period_end,
        cancel_at_period_end,
    })
}

/// Why a run ended early, and where to resume it.
#[derive(Debug, thiserror::Error)]
#[error("not all customers could be compared with Stripe")]
#[non_exhaustive]
pub struct ReconcileError {
    /// The last tenant that was compared: what [`run`](Reconciler::run) takes to go on.
    pub done: Option<TenantId>,
    /// The error that ended it.
    #[source]
    pub source: RefetchError,
}

impl ReconcileError {
    /// How long to wait before the run is resumed; `None` if that cannot help.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match &self.source {
            RefetchError::Fetch(error) if error.is_temporary() => {
                Some(error.retry_after().unwrap_or_default())
            }
            RefetchError::Fetch(_) | RefetchError::Pg(_) => None,
        }
    }
}
