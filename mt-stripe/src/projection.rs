//! What a tenant has paid for, as a pure function of everything known about it.
//!
//! Nothing is patched: after each event the tenant's state is computed anew from all of its
//! subscriptions and invoices. So a late end of an old subscription cannot take away a new one, and a
//! changed price table takes effect with the next event or replay.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use mt_core::billing::SubscriptionStatus;

use crate::invoice::{InvoiceOutcome, InvoiceState};
use crate::order::SubscriptionState;

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
}

/// What somebody should look at, though nothing failed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Flag {
    /// Two events of one second disagree, or one was cut short: only Stripe knows.
    NeedsRefetch,
    /// A status that this version does not know.
    UnknownStatus,
    /// A price that buys no plan of the table.
    UnmappedPrice,
}

impl Flag {
    /// The word that is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NeedsRefetch => "needs_refetch",
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
    /// Whether it will end by itself.
    pub cancel_at_period_end: bool,
    /// What somebody should look at.
    pub flags: BTreeSet<Flag>,
}

/// Computes the state of a tenant with these subscriptions and invoices, in any order.
///
/// Of several subscriptions the one that entitles decides; then the higher plan, then the newer, then
/// the identifier. Invoices of subscriptions that no snapshot is known of together stand in for one.
#[must_use]
pub fn project(
    subscriptions: &[SubscriptionState],
    invoices: &[InvoiceState],
    prices: &PriceTable,
) -> BillingState {
    let known = subscriptions.iter().map(|state| Candidate::of_subscription(state, prices));
    let stand_in = Candidate::of_invoices(subscriptions, invoices, prices);
    let Some(decides) = known.chain(stand_in).max_by(|a, b| a.precedence().cmp(&b.precedence()))
    else {
        return BillingState {
            plan: prices.free.clone(),
            status: SubscriptionStatus::None,
            past_due_since: None,
            current_period_end: None,
            cancel_at_period_end: false,
            flags: BTreeSet::new(),
        };
    };
    BillingState {
        plan: prices.word(decides.level).to_owned(),
        status: decides.status,
        past_due_since: decides.past_due_since,
        current_period_end: decides.current_period_end,
        cancel_at_period_end: decides.cancel_at_period_end,
        flags: decides.flags,
    }
}

/// One subscription, or what stands in for one.
struct Candidate<'s> {
    status: SubscriptionStatus,
    level: Option<usize>,
    started: DateTime<Utc>,
    id: &'s str,
    past_due_since: Option<DateTime<Utc>>,
    current_period_end: Option<DateTime<Utc>>,
    cancel_at_period_end: bool,
    flags: BTreeSet<Flag>,
}

impl<'s> Candidate<'s> {
    fn precedence(&self) -> (bool, Option<usize>, DateTime<Utc>, &str) {
        let entitles =
            matches!(self.status, SubscriptionStatus::Active | SubscriptionStatus::Trialing);
        (entitles, self.level, self.started, self.id)
    }

    fn of_subscription(state: &'s SubscriptionState, prices: &PriceTable) -> Self {
        let snapshot = &state.snapshot;
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
        if state.needs_refetch() {
            flags.insert(Flag::NeedsRefetch);
        }
        Self {
            status: snapshot.status.clone(),
            level,
            started: snapshot.started.unwrap_or(state.key.created),
            id: &snapshot.id,
            past_due_since: state.past_due_since(),
            current_period_end: snapshot.current_period_end,
            cancel_at_period_end: snapshot.cancel_at_period_end,
            flags,
        }
    }

    /// Of several invoices the newest speaks; of two made in one second, the paid one.
    fn of_invoices(
        subscriptions: &[SubscriptionState],
        invoices: &'s [InvoiceState],
        prices: &PriceTable,
    ) -> Option<Self> {
        let mut open: Vec<&InvoiceState> = invoices
            .iter()
            .filter(|invoice| match &invoice.subscription {
                Some(id) => subscriptions.iter().all(|state| state.snapshot.id != *id),
                // Names none: stands in only where there is none.
                None => subscriptions.is_empty(),
            })
            .collect();
        open.sort_by_key(|invoice| Reverse((invoice.created, invoice.outcome(), &invoice.id)));
        let newest = open.first()?;
        let past_due_since = open
            .iter()
            .take_while(|invoice| invoice.outcome() == InvoiceOutcome::Failed)
            .filter_map(|invoice| invoice.first_failed)
            .min();
        let bought = prices.level(newest.prices.iter().map(String::as_str));
        Some(Self {
            status: match newest.outcome() {
                InvoiceOutcome::Failed => SubscriptionStatus::PastDue,
                InvoiceOutcome::Paid => SubscriptionStatus::Active,
            },
            // An invoice may not show its price; that it is one of a subscription is enough for the
            // lowest plan that costs something.
            level: bought.or(Some(0)),
            started: newest.created,
            id: &newest.id,
            past_due_since,
            current_period_end: None,
            cancel_at_period_end: false,
            flags: BTreeSet::new(),
        })
    }
}

#[cfg(test)]
mod tests;
