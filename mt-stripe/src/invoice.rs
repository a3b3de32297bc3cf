//! An invoice as one event shows it, and what all its events come to.
//!
//! Invoices carry no subscription status. They are recorded, and speak for a tenant only as long as
//! no snapshot of the subscription has been seen (see [`project`](mt_core::billing::project)).

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json::{Second, customer, instant, reference_at, word};

/// Where an invoice is in its life, from the least to the most decided. Two snapshots of one invoice
/// need no clock: the greater one is the later one, or the one that stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum InvoiceStatus {
    /// Not final yet.
    Draft,
    /// Final, and to be paid.
    Open,
    /// Given up on, and can still be paid or voided.
    Uncollectible,
    /// Taken back.
    Void,
    /// The invoice is paid.
    Paid,
}

impl InvoiceStatus {
    /// All of them, in order.
    pub const ALL: [Self; 5] =
        [Self::Draft, Self::Open, Self::Uncollectible, Self::Void, Self::Paid];

    /// Stripe's word, which is also what is stored.
    ///
    /// ```
    /// use mt_stripe::invoice::InvoiceStatus;
    ///
    /// assert!(InvoiceStatus::ALL.is_sorted());
    /// assert_eq!(InvoiceStatus::ALL.map(InvoiceStatus::as_str).join(" < "),
    ///     "draft < open < uncollectible < void < paid");
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Open => "open",
            Self::Uncollectible => "uncollectible",
            Self::Void => "void",
            Self::Paid => "paid",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

impl From<InvoiceStatus> for u8 {
    fn from(status: InvoiceStatus) -> Self {
        match status {
            InvoiceStatus::Draft => 0,
            InvoiceStatus::Open => 1,
            InvoiceStatus::Uncollectible => 2,
            InvoiceStatus::Void => 3,
            InvoiceStatus::Paid => 4,
        }
    }
}

impl TryFrom<u8> for InvoiceStatus {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, Self::Error> {
        let found = Self::ALL.get(usize::from(number)).copied();
        found.ok_or_else(|| format!("`{number}` is not an invoice status"))
    }
}

/// What one event shows of an invoice, from whichever place its API version has it in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Invoice {
    /// Its identifier.
    pub id: String,
    /// Whose it is.
    pub customer: Option<String>,
    /// The subscription that it is for, if for any.
    pub subscription: Option<String>,
    /// Whether it says that it is for none, as opposed to saying nothing of one.
    pub one_off: bool,
    /// When it was made.
    pub created: Option<DateTime<Utc>>,
    /// The prices of its lines, sorted, each once.
    pub prices: Vec<String>,
    /// The greater of what the event's type says and what the object shows.
    pub status: InvoiceStatus,
    /// Whether the event tells of a payment that failed.
    pub failed: bool,
}

impl Invoice {
    /// Reads the object of an invoice event; `None` if it does not say which invoice it is. `told` is the least status
    /// that the type of the event implies, and `failed` whether the event is about a failed payment.
    pub(crate) fn read(object: &Value, told: InvoiceStatus, failed: bool) -> Option<Self> {
        let shown = match object.get("status").and_then(word) {
            Some(word) => InvoiceStatus::from_word(word),
            // Before 2018 there was only this.
            None if object.get("paid").and_then(Value::as_bool) == Some(true) => {
                Some(InvoiceStatus::Paid)
            }
            None => None,
        };
        let subscription = [
            "/parent/subscription_details/subscription",
            "/subscription",
            "/lines/data/0/parent/subscription_item_details/subscription",
            "/lines/data/0/subscription",
        ]
        .iter()
        .find_map(|place| reference_at(object, place));
        Some(Self {
            id: object.get("id").and_then(word)?.to_owned(),
            customer: customer(object).map(str::to_owned),
            one_off: subscription.is_none() && says_no_subscription(object),
            subscription: subscription.map(str::to_owned),
            // `date` before 2019.
            created: ["created", "date"].iter().find_map(|field| instant(object.get(field)?)),
            prices: prices(object),
            status: shown.map_or(told, |shown| shown.max(told)),
            failed,
        })
    }
}

/// Whether an invoice that names no subscription says that it has none: by a parent of another kind or no
/// parent since 2025-03-31, by a null `subscription` before, and by its `billing_reason`.
fn says_no_subscription(object: &Value) -> bool {
    let reason = object.get("billing_reason").and_then(word).unwrap_or_default();
    if reason.starts_with("subscription") {
        return false;
    }
    let other_parent = object.get("parent").is_some_and(|parent| {
        parent.get("subscription_details").is_none_or(Value::is_null)
            && parent.get("type").and_then(word) != Some("subscription_details")
    });
    let null_subscription = object.get("subscription").is_some_and(Value::is_null);
    reason == "manual" || other_parent || null_subscription
}

fn prices(object: &Value) -> Vec<String> {
    let lines = object.pointer("/lines/data").and_then(Value::as_array).into_iter().flatten();
    let mut prices: Vec<String> = lines
        .filter_map(|line| {
            ["/pricing/price_details/price", "/price", "/plan"]
                .iter()
                .find_map(|place| reference_at(line, place))
        })
        .map(str::to_owned)
        .collect();
    prices.sort_unstable();
    prices.dedup();
    prices
}

/// What all events of one invoice come to: registers of which each only grows, or only shrinks.
///
/// ```
/// use mt_stripe::event::{Effect, Event};
/// use mt_stripe::invoice::{InvoiceState, InvoiceStatus};
///
/// let seen = |body: &str| {
///     let event = Event::parse(body.as_bytes()).unwrap();
///     let Effect::Invoice(invoice) = event.effect() else { panic!("{body}") };
///     InvoiceState::of(invoice, event.created().unwrap())
/// };
/// let paid = seen(r#"{"id": "evt_1", "type": "invoice.paid", "created": 1795449600,
///     "data": {"object": {"id": "in_1", "status": "paid"}}}"#);
/// // Made before, delivered after.
/// let failed = seen(r#"{"id": "evt_2", "type": "invoice.payment_failed", "created": 1795449500,
///     "data": {"object": {"id": "in_1", "status": "open"}}}"#);
/// let invoice = paid.join(failed);
/// assert_eq!(invoice.status, InvoiceStatus::Paid);
/// assert_eq!(invoice.first_failed().unwrap().timestamp(), 1_795_449_500);
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct InvoiceState {
    /// The invoice's identifier.
    pub id: String,
    /// The subscription that it is for, if any event named one.
    pub subscription: Option<String>,
    /// Whether any event said that it is for none.
    #[serde(default)]
    one_off: bool,
    /// The prices that any event showed.
    pub prices: BTreeSet<String>,
    /// The greatest status.
    pub status: InvoiceStatus,
    created: Option<Second>,
    first_seen: Second,
    first_failed: Option<Second>,
    paid: Option<Second>,
}

impl InvoiceState {
    /// What one event, made at `at`, comes to.
    #[must_use]
    pub fn of(invoice: Invoice, at: DateTime<Utc>) -> Self {
        let at = Second::of(at);
        Self {
            id: invoice.id,
            subscription: invoice.subscription,
            one_off: invoice.one_off,
            prices: invoice.prices.into_iter().collect(),
            status: invoice.status,
            created: invoice.created.map(Second::of),
            first_seen: at,
            first_failed: invoice.failed.then_some(at),
            paid: (invoice.status == InvoiceStatus::Paid).then_some(at),
        }
    }

    /// What the events behind both come to: associative, commutative and idempotent. Postgres does the
    /// same in one statement (`state/join.rs`).
    #[must_use]
    pub fn join(mut self, other: Self) -> Self {
        self.prices.extend(other.prices);
        Self {
            id: self.id,
            subscription: self.subscription.max(other.subscription),
            one_off: self.one_off || other.one_off,
            prices: self.prices,
            status: self.status.max(other.status),
            created: self.created.max(other.created),
            first_seen: self.first_seen.min(other.first_seen),
            first_failed: least(self.first_failed, other.first_failed),
            paid: self.paid.max(other.paid),
        }
    }

    /// Whether it belongs to no subscription, and says so: it buys no plan.
    #[must_use]
    pub const fn is_one_off(&self) -> bool {
        self.one_off && self.subscription.is_none()
    }

    /// When it was made, or first heard of where no event says.
    #[must_use]
    pub fn created(&self) -> DateTime<Utc> {
        self.created.unwrap_or(self.first_seen).into()
    }

    /// The first payment that failed.
    #[must_use]
    pub fn first_failed(&self) -> Option<DateTime<Utc>> {
        self.first_failed.map(DateTime::from)
    }

    /// The last event that showed it paid.
    #[must_use]
    pub fn paid_at(&self) -> Option<DateTime<Utc>> {
        self.paid.map(DateTime::from)
    }
}

fn least(a: Option<Second>, b: Option<Second>) -> Option<Second> {
    a.into_iter().chain(b).min()
}

#[cfg(test)]
mod tests;
