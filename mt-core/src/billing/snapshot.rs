//! What an adapter knows of a customer's subscriptions and invoices.

use chrono::{DateTime, Utc};

use super::SubscriptionStatus;

/// A subscription as it is now, by all that the adapter knows.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct SubscriptionSnapshot {
    /// The provider's identifier.
    pub id: String,
    /// The status.
    pub status: SubscriptionStatus,
    /// The provider's identifiers of the prices of its items.
    pub prices: Vec<String>,
    /// Whether there are more items than `prices` shows.
    pub truncated: bool,
    /// When it was started, or first seen. Of two subscriptions, the newer one counts.
    pub started: DateTime<Utc>,
    /// The start of its present run of failed payments, which further failures do not move.
    pub past_due_since: Option<DateTime<Utc>>,
    /// The end of the period that is paid for.
    pub current_period_end: Option<DateTime<Utc>>,
    /// Whether it ends by itself then. It is in force until it does.
    pub cancel_at_period_end: bool,
    /// Whether its invoices are made and not collected. Its status and its plan stay.
    pub collection_paused: bool,
    /// Whether only the provider knows its state, and has not been asked since.
    pub needs_refetch: bool,
    /// Whether the provider was asked and knows no such subscription.
    pub missing: bool,
}

/// An invoice as it is now, by all that the adapter knows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InvoiceSnapshot {
    /// The provider's identifier.
    pub id: String,
    /// The subscription that it belongs to, if it names one.
    pub subscription: Option<String>,
    /// Whether it says that it belongs to no subscription.
    pub one_off: bool,
    /// The provider's identifiers of the prices of its lines.
    pub prices: Vec<String>,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// Whether it is paid; `Some(false)` after a failed payment, and `None` before any, or if it is void.
    pub paid: Option<bool>,
    /// The first payment that failed.
    pub first_failed: Option<DateTime<Utc>>,
}

/// The subscriptions and invoices of one customer, in any order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Purchases {
    /// The subscriptions.
    pub subscriptions: Vec<SubscriptionSnapshot>,
    /// The invoices. Those of a known subscription count for nothing and may be left out.
    pub invoices: Vec<InvoiceSnapshot>,
}
