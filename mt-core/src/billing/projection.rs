//! The projection: what a tenant has paid for, as a pure function of everything known about it.
//!
//! After each event, the tenant's state is computed anew from all of its subscriptions and invoices. So a late end of
//! an old subscription cannot take away a new one. Stored subscriptions name prices and not plans; which plan a price
//! buys is looked up here, and tenants that were projected with another [`PriceTable`] are projected again.
//!
//! What a status means for access is not decided here: [`StandingPolicy`](super::StandingPolicy) does that.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{InvoiceSnapshot, PriceTable, Purchases, SubscriptionSnapshot, SubscriptionStatus};

/// A reason for an operator to look at a tenant's billing, although nothing failed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Flag {
    /// The provider was asked for the subscription and knows none. The known state stays.
    MissingAtProvider,
    /// The events do not tell the state of the subscription: only the provider knows.
    NeedsRefetch,
    /// Several subscriptions that buy a plan are in force at once: the tenant pays more than once.
    SeveralSubscriptions,
    /// The subscription has a status that this version does not know.
    UnknownStatus,
    /// A subscription is in force whose prices buy no plan of the table, and no other one buys a plan. It counts for
    /// nothing.
    UnmappedPrice,
}

impl Flag {
    /// The word that is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MissingAtProvider => "missing_at_provider",
            Self::NeedsRefetch => "needs_refetch",
            Self::SeveralSubscriptions => "several_subscriptions",
            Self::UnknownStatus => "unknown_status",
            Self::UnmappedPrice => "unmapped_price",
        }
    }
}

/// What a tenant has paid for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BillingState {
    /// The plan.
    pub plan: String,
    /// The status of the subscription that decides.
    pub status: SubscriptionStatus,
    /// The start of its present run of `past_due`.
    pub past_due_since: Option<DateTime<Utc>>,
    /// The end of what is paid for.
    pub current_period_end: Option<DateTime<Utc>>,
    /// Whether it will end by itself. It is in force until it does.
    pub cancel_at_period_end: bool,
    /// Whether its invoices are not being collected. The status and the plan stay.
    pub collection_paused: bool,
    /// Reasons for an operator to look at it.
    pub flags: BTreeSet<Flag>,
}

/// Computes what a tenant with these purchases has paid for.
///
/// Subscriptions and invoices whose prices buy no plan of the table are for another product and count for nothing, as
/// do invoices that say that they belong to no subscription. Of the other subscriptions, an active or trialing one
/// decides; then the one of the higher plan, then one whose first payment came, then the newer one, then the greater
/// identifier. Invoices of an unknown subscription together stand in for it.
///
/// ```
/// use mt_core::billing::{PriceTable, Purchases, project};
///
/// // A tenant that never subscribed.
/// let state = project(&Purchases::default(), &PriceTable::new("free"));
/// assert_eq!((state.plan.as_str(), state.status.as_str()), ("free", "none"));
/// ```
#[must_use]
pub fn project(purchases: &Purchases, prices: &PriceTable) -> BillingState {
    let (foreign, ours): (Vec<_>, Vec<_>) = purchases
        .subscriptions
        .iter()
        .map(|snapshot| Candidate::of_subscription(snapshot, prices))
        .partition(|candidate| candidate.is_foreign);
    let several = ours.iter().filter(|candidate| candidate.level.is_some()).count() > 1;
    let stand_in = Candidate::of_invoices(purchases, ours.is_empty(), prices);
    let decides =
        ours.into_iter().chain(stand_in).max_by(|a, b| a.precedence().cmp(&b.precedence()));
    let is_free = decides.as_ref().is_none_or(|decides| decides.level.is_none());
    // Subscriptions to another product are not reported beside one that buys a plan.
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

/// Whether an invoice pays for a plan, as far as is known, and not for another product or for a single sale.
#[must_use]
pub fn pays_for_a_plan(
    invoice: &InvoiceSnapshot,
    subscriptions: &[SubscriptionSnapshot],
    prices: &PriceTable,
) -> bool {
    let named = invoice.subscription.as_ref();
    match subscriptions.iter().find(|snapshot| Some(&snapshot.id) == named) {
        Some(snapshot) => !is_foreign(snapshot, prices),
        None => may_pay_for_a_plan(invoice, prices),
    }
}

/// Whether an invoice of an unknown subscription may pay for a plan. An invoice without prices may.
fn may_pay_for_a_plan(invoice: &InvoiceSnapshot, prices: &PriceTable) -> bool {
    !invoice.one_off && !prices.is_foreign(invoice.prices.iter().map(String::as_str))
}

/// Whether a subscription is for another product. One that shows no prices, or not all of them, may be for a plan.
fn is_foreign(subscription: &SubscriptionSnapshot, prices: &PriceTable) -> bool {
    !subscription.truncated && prices.is_foreign(subscription.prices.iter().map(String::as_str))
}

/// A subscription, or the invoices that stand in for one.
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

    fn of_subscription(snapshot: &'s SubscriptionSnapshot, prices: &PriceTable) -> Self {
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
        if snapshot.needs_refetch {
            flags.insert(Flag::NeedsRefetch);
        }
        if snapshot.missing {
            flags.insert(Flag::MissingAtProvider);
        }
        Self {
            status: snapshot.status.clone(),
            is_foreign: is_foreign(snapshot, prices),
            level,
            started: snapshot.started,
            id: &snapshot.id,
            past_due_since: snapshot.past_due_since,
            current_period_end: snapshot.current_period_end,
            cancel_at_period_end: snapshot.cancel_at_period_end,
            collection_paused: snapshot.collection_paused,
            flags,
        }
    }

    /// Of several invoices the newest counts; of two made in one second, the paid one. One that is neither paid nor
    /// failed does not count.
    fn of_invoices(
        purchases: &'s Purchases,
        none_is_ours: bool,
        prices: &PriceTable,
    ) -> Option<Self> {
        let known = |id: &str| purchases.subscriptions.iter().any(|snapshot| snapshot.id == id);
        let mut decided: Vec<(&InvoiceSnapshot, bool)> = purchases
            .invoices
            .iter()
            .filter(|invoice| match &invoice.subscription {
                Some(id) => !known(id),
                // It names none, so it stands in only where there is none.
                None => none_is_ours,
            })
            .filter(|invoice| may_pay_for_a_plan(invoice, prices))
            .filter_map(|invoice| Some((invoice, invoice.paid?)))
            .collect();
        decided.sort_by_key(|(invoice, paid)| Reverse((invoice.created, *paid, &invoice.id)));
        let (newest, paid) = decided.first()?;
        let past_due_since =
            decided.iter().take_while(|(_, paid)| !paid).filter_map(|(i, _)| i.first_failed).min();
        let bought = prices.level(newest.prices.iter().map(String::as_str));
        Some(Self {
            status: match paid {
                false => SubscriptionStatus::PastDue,
                true => SubscriptionStatus::Active,
            },
            is_foreign: false,
            // An invoice may not show its price: then it pays for the lowest paid plan.
            level: bought.or(Some(0)),
            started: newest.created,
            id: &newest.id,
            past_due_since,
            current_period_end: None,
            cancel_at_period_end: false,
            collection_paused: false,
            flags: BTreeSet::new(),
        })
    }
}
