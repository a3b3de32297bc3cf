//! What a tenant has paid for, as a pure function of everything known about it.
//!
//! Nothing is patched: after each event the tenant's state is computed anew from all of its
//! subscriptions and invoices. So a late end of an old subscription cannot take away a new one. What is
//! stored names prices and not plans; which plan a price buys is looked up here, and tenants that were
//! projected with another [`PriceTable`] are projected again ([`reproject`](mod@crate::reproject)).
//!
//! What a status means for access is not decided here: a tenant's standing, and the grace that counts
//! from [`past_due_since`](BillingState::past_due_since), is
//! [`StandingPolicy`](mt_core::billing::StandingPolicy)'s.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use mt_core::billing::SubscriptionStatus;
use sha2::{Digest as _, Sha256};

use crate::invoice::{InvoiceState, InvoiceStatus};
use crate::known::KnownSubscription;
use crate::subscription::Subscription;

/// Which price buys which plan. Plans are words: this crate does not know an application's own.
///
/// ```
/// use mt_stripe::projection::PriceTable;
///
/// let table = PriceTable::new("free")
///     .plan("pro", ["price_monthly", "price_yearly"])
///     .plan("scale", ["price_scale"]);
/// assert_eq!(table.plan_of(["price_seat", "price_yearly"]), Some("pro"));
/// assert_eq!(table.plan_of(["price_of_2019"]), None);
/// ```
#[derive(Clone, Debug)]
pub struct PriceTable {
    free: String,
    /// From the lowest to the highest.
    paid: Vec<(String, BTreeSet<String>)>,
}

impl PriceTable {
    /// A table without prices, and the plan of whoever pays nothing.
    #[must_use]
    pub fn new(free: impl Into<String>) -> Self {
        Self { free: free.into(), paid: Vec::new() }
    }

    /// Adds a plan above those that were added before, and the prices that buy it.
    #[must_use]
    pub fn plan<P: Into<String>>(
        mut self,
        plan: impl Into<String>,
        prices: impl IntoIterator<Item = P>,
    ) -> Self {
        self.paid.push((plan.into(), prices.into_iter().map(Into::into).collect()));
        self
    }

    /// The highest plan that one of `prices` buys.
    #[must_use]
    pub fn plan_of<'p>(&self, prices: impl IntoIterator<Item = &'p str>) -> Option<&str> {
        self.level(prices).map(|level| self.word(Some(level)))
    }

    /// Whether `prices` are shown and none of them buys a plan: they are for another product.
    fn is_foreign<'p>(&self, prices: impl IntoIterator<Item = &'p str>) -> bool {
        let mut prices = prices.into_iter().peekable();
        prices.peek().is_some() && self.level(prices).is_none()
    }

    /// The place of that plan: what "higher" compares.
    fn level<'p>(&self, prices: impl IntoIterator<Item = &'p str>) -> Option<usize> {
        prices
            .into_iter()
            .filter_map(|price| self.paid.iter().position(|(_, known)| known.contains(price)))
            .max()
    }

    fn word(&self, level: Option<usize>) -> &str {
        level.and_then(|level| self.paid.get(level)).map_or(&self.free, |(plan, _)| plan)
    }

    /// A short name for what the table says: equal tables have the same, others do not.
    ///
    /// ```
    /// use mt_stripe::projection::PriceTable;
    ///
    /// let table = |prices: [&str; 2]| PriceTable::new("free").plan("pro", prices).fingerprint();
    /// assert_eq!(table(["price_a", "price_b"]), table(["price_b", "price_a"]));
    /// assert_ne!(table(["price_a", "price_b"]), table(["price_a", "price_c"]));
    /// ```
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let written = serde_json::to_vec(&(&self.free, &self.paid)).expect("words serialise");
        hex::encode(&Sha256::digest(&written)[..16])
    }
}

/// What somebody should look at, though nothing failed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Flag {
    /// Stripe was asked for the subscription and knows of none. What is known stays.
    MissingAtStripe,
    /// Two events of one second disagree, or one was cut short: only Stripe knows.
    NeedsRefetch,
    /// Several subscriptions that buy a plan are in force at once: the tenant pays more than once.
    SeveralSubscriptions,
    /// A status that this version does not know.
    UnknownStatus,
    /// A subscription is in force whose prices buy no plan of the table, and there is none that buys one. It
    /// counts for nothing.
    UnmappedPrice,
}

impl Flag {
    /// The word that is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MissingAtStripe => "missing_at_stripe",
            Self::NeedsRefetch => "needs_refetch",
            Self::SeveralSubscriptions => "several_subscriptions",
            Self::UnknownStatus => "unknown_status",
            Self::UnmappedPrice => "unmapped_price",
        }
    }
}

/// The billing state of one tenant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BillingState {
    /// The plan's word.
    pub plan: String,
    /// The status of the subscription that decides.
    pub status: SubscriptionStatus,
    /// The start of its present run of `past_due`.
    pub past_due_since: Option<DateTime<Utc>>,
    /// The end of what is paid for.
    pub current_period_end: Option<DateTime<Utc>>,
    /// Whether it will end by itself. It is in force until it does.
    pub cancel_at_period_end: bool,
    /// Whether its invoices are not being collected (`pause_collection`). That is no status: it stays
    /// what it is, and so does the plan.
    pub collection_paused: bool,
    /// What somebody should look at.
    pub flags: BTreeSet<Flag>,
}

/// Computes the state of a tenant with these subscriptions and invoices, in any order.
///
/// Subscriptions and invoices whose prices buy no plan of the table are for another product and count for
/// nothing, and neither do invoices that say that they belong to no subscription. Of the other subscriptions the
/// one that entitles decides; then the higher plan, then one whose first payment came, then the newer, then the
/// identifier. Invoices of subscriptions that no snapshot is known of together stand in for one.
///
/// ```
/// use mt_stripe::projection::{PriceTable, project};
///
/// // Who never subscribed.
/// let state = project(&[], &[], &PriceTable::new("free"));
/// assert_eq!((state.plan.as_str(), state.status.as_str()), ("free", "none"));
/// ```
#[must_use]
pub fn project(
    subscriptions: &[KnownSubscription],
    invoices: &[InvoiceState],
    prices: &PriceTable,
) -> BillingState {
    let (foreign, ours): (Vec<_>, Vec<_>) = subscriptions
        .iter()
        .filter_map(|known| Candidate::of_subscription(known, prices))
        .partition(|candidate| candidate.is_foreign);
    let several = ours.iter().filter(|candidate| candidate.level.is_some()).count() > 1;
    let stand_in = Candidate::of_invoices(subscriptions, ours.is_empty(), invoices, prices);
    let decides =
        ours.into_iter().chain(stand_in).max_by(|a, b| a.precedence().cmp(&b.precedence()));
    let is_free = decides.as_ref().is_none_or(|decides| decides.level.is_none());
    // What another product sells is no news where a plan was bought.
    let mut flags: BTreeSet<Flag> = match is_free {
        true => foreign.into_iter().flat_map(|candidate| candidate.flags).collect(),
        false => BTreeSet::new(),
    };
    if several {
        flags.insert(Flag::SeveralSubscriptions);
    }
    let Some(decides) = decides else {
        return BillingState {
            plan: prices.free.clone(),
            status: SubscriptionStatus::None,
            past_due_since: None,
            current_period_end: None,
            cancel_at_period_end: false,
            collection_paused: false,
            flags,
        };
    };
    flags.extend(decides.flags);
    BillingState {
        plan: prices.word(decides.level).to_owned(),
        status: decides.status,
        past_due_since: decides.past_due_since,
        current_period_end: decides.current_period_end,
        cancel_at_period_end: decides.cancel_at_period_end,
        collection_paused: decides.collection_paused,
        flags,
    }
}

/// Whether an invoice is about a plan, as far as is known: not about another product, nor about no subscription.
pub(crate) fn concerns(
    invoice: &InvoiceState,
    subscriptions: &[KnownSubscription],
    prices: &PriceTable,
) -> bool {
    let named = invoice.subscription.as_deref();
    let mut all = subscriptions.iter().filter_map(KnownSubscription::current);
    match all.find(|current| Some(current.subscription.id.as_str()) == named) {
        Some(current) => !is_foreign(current.subscription, prices),
        None => buys_a_plan(invoice, prices),
    }
}

/// The same of an invoice whose subscription is not known. One that shows no prices is taken for one of ours.
fn buys_a_plan(invoice: &InvoiceState, prices: &PriceTable) -> bool {
    !invoice.is_one_off() && !prices.is_foreign(invoice.prices.iter().map(String::as_str))
}

/// Whether a subscription is for another product. One that shows no prices, or not all of them, may be ours.
fn is_foreign(subscription: &Subscription, prices: &PriceTable) -> bool {
    !subscription.truncated && prices.is_foreign(subscription.prices.iter().map(String::as_str))
}

/// One subscription, or what stands in for one.
struct Candidate<'s> {
    status: SubscriptionStatus,
    /// Whether it is for another product.
    is_foreign: bool,
    level: Option<usize>,
    started: DateTime<Utc>,
    id: &'s str,
    past_due_since: Option<DateTime<Utc>>,
    current_period_end: Option<DateTime<Utc>>,
    cancel_at_period_end: bool,
    collection_paused: bool,
    flags: BTreeSet<Flag>,
}

impl<'s> Candidate<'s> {
    /// A purchase whose first payment has not come, or never came, leaves a tenant as it was before.
    fn precedence(&self) -> (bool, Option<usize>, bool, DateTime<Utc>, &str) {
        let entitles =
            matches!(self.status, SubscriptionStatus::Active | SubscriptionStatus::Trialing);
        let is_purchase = matches!(
            self.status,
            SubscriptionStatus::Incomplete | SubscriptionStatus::IncompleteExpired
        );
        (entitles, self.level, !is_purchase, self.started, self.id)
    }

    fn of_subscription(known: &'s KnownSubscription, prices: &PriceTable) -> Option<Self> {
        let current = known.current()?;
        let snapshot = current.subscription;
        let bought = prices.level(snapshot.prices.iter().map(String::as_str));
        let mut flags = BTreeSet::new();
        let level = match &snapshot.status {
            SubscriptionStatus::Active
            | SubscriptionStatus::PastDue
            | SubscriptionStatus::Paused
            | SubscriptionStatus::Trialing
            | SubscriptionStatus::Unpaid => {
                if bought.is_none() {
                    flags.insert(Flag::UnmappedPrice);
                }
                bought
            }
            SubscriptionStatus::None | SubscriptionStatus::Other(_) => {
                flags.insert(Flag::UnknownStatus);
                None
            }
            SubscriptionStatus::Canceled
            | SubscriptionStatus::Incomplete
            | SubscriptionStatus::IncompleteExpired => None,
        };
        if current.needs_refetch {
            flags.insert(Flag::NeedsRefetch);
        }
        if current.missing {
            flags.insert(Flag::MissingAtStripe);
        }
        Some(Self {
            status: snapshot.status.clone(),
            is_foreign: is_foreign(snapshot, prices),
            level,
            started: snapshot.started.unwrap_or(current.seen),
            id: &snapshot.id,
            past_due_since: current.past_due_since,
            current_period_end: snapshot.current_period_end,
            cancel_at_period_end: snapshot.cancel_at_period_end,
            collection_paused: snapshot.collection_paused,
            flags,
        })
    }

    /// Of several invoices the newest speaks; of two made in one second, the paid one. One that is
    /// neither paid nor failed says nothing yet, and a void one nothing any more.
    fn of_invoices(
        subscriptions: &[KnownSubscription],
        none_is_ours: bool,
        invoices: &'s [InvoiceState],
        prices: &PriceTable,
    ) -> Option<Self> {
        let known = |id: &str| {
            let mut all = subscriptions.iter().filter_map(KnownSubscription::current);
            all.any(|current| current.subscription.id == id)
        };
        let mut open: Vec<(&InvoiceState, bool)> = invoices
            .iter()
            .filter(|invoice| match &invoice.subscription {
                Some(id) => !known(id),
                // Names none: stands in only where there is none.
                None => none_is_ours,
            })
            .filter(|invoice| buys_a_plan(invoice, prices))
            .filter_map(|invoice| Some((invoice, is_paid(invoice)?)))
            .collect();
        open.sort_by_key(|(invoice, paid)| Reverse((invoice.created(), *paid, &invoice.id)));
        let (newest, paid) = open.first()?;
        let past_due_since =
            open.iter().take_while(|(_, paid)| !paid).filter_map(|(i, _)| i.first_failed()).min();
        let bought = prices.level(newest.prices.iter().map(String::as_str));
        Some(Self {
            status: match paid {
                false => SubscriptionStatus::PastDue,
                true => SubscriptionStatus::Active,
            },
            is_foreign: false,
            // An invoice may not show its price; that it may be one of a subscription is enough for the
            // lowest plan that costs something.
            level: bought.or(Some(0)),
            started: newest.created(),
            id: &newest.id,
            past_due_since,
            current_period_end: None,
            cancel_at_period_end: false,
            collection_paused: false,
            flags: BTreeSet::new(),
        })
    }
}

/// Whether the money came; `None` where the invoice tells neither that it did nor that it did not.
fn is_paid(invoice: &InvoiceState) -> Option<bool> {
    match invoice.status {
        InvoiceStatus::Paid => Some(true),
        InvoiceStatus::Void => None,
        InvoiceStatus::Draft | InvoiceStatus::Open | InvoiceStatus::Uncollectible => {
            invoice.first_failed().map(|_| false)
        }
    }
}

#[cfg(test)]
mod tests;
