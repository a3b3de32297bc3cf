//! An invoice as one event shows it, and what all its events come to.
//!
//! Invoices carry no subscription status. They are recorded, and speak for a tenant only as long as
//! no snapshot of the subscription has been seen (see [`projection`](crate::projection)).

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
    /// Paid.
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

    /// What a type of event says by itself; `None` for types that are not recorded.
    fn told_by(kind: &str) -> Option<Self> {
        match kind {
            "invoice.updated" => Some(Self::Draft),
            "invoice.finalized" | "invoice.payment_action_required" | FAILED => Some(Self::Open),
            "invoice.marked_uncollectible" => Some(Self::Uncollectible),
            "invoice.voided" => Some(Self::Void),
            "invoice.paid" | "invoice.payment_succeeded" => Some(Self::Paid),
            _ => None,
        }
    }
}

const FAILED: &str = "invoice.payment_failed";

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
        found.ok_or_else(|| format!("`{number}` is no status of an invoice"))
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
    /// Whether events of type `kind` are recorded.
    pub(crate) fn is_told_by(kind: &str) -> bool {
        InvoiceStatus::told_by(kind).is_some()
    }

    /// Reads the object of an event of type `kind`; `None` when it does not say which invoice it is, or
    /// the type is none that is recorded.
    pub(crate) fn read(object: &Value, kind: &str) -> Option<Self> {
        let told = InvoiceStatus::told_by(kind)?;
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
            subscription: subscription.map(str::to_owned),
            // `date` before 2019.
            created: ["created", "date"].iter().find_map(|field| instant(object.get(field)?)),
            prices: prices(object),
            status: shown.map_or(told, |shown| shown.max(told)),
            failed: kind == FAILED,
        })
    }
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
            prices: self.prices,
            status: self.status.max(other.status),
            created: self.created.max(other.created),
            first_seen: self.first_seen.min(other.first_seen),
            first_failed: least(self.first_failed, other.first_failed),
            paid: self.paid.max(other.paid),
        }
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
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_shape_reads_the_same() {
        let read = |mut shape: Value| {
            let fields = shape.as_object_mut().unwrap();
            fields.insert("id".into(), json!("in_1"));
            fields.insert("customer".into(), json!("cus_1"));
            Invoice::read(&shape, "invoice.paid").unwrap()
        };
        let newest = read(json!({
            "parent": {"subscription_details": {"subscription": "sub_1"}},
            "lines": {"data": [{"pricing": {"price_details": {"price": "price_pro"}}}]},
        }));
        assert_eq!(newest.subscription.as_deref(), Some("sub_1"));
        assert_eq!(newest.prices, ["price_pro"]);
        for older in [
            json!({"subscription": {"id": "sub_1"}, "lines": {"data": [{"price": {"id": "price_pro"}}]}}),
            json!({"lines": {"data": [{"subscription": "sub_1", "plan": {"id": "price_pro"}}]}}),
            json!({"parent": null, "lines": {"data": [{
                "parent": {"subscription_item_details": {"subscription": "sub_1"}},
                "pricing": {"price_details": {"price": "price_pro"}},
            }]}}),
        ] {
            assert_eq!(read(older), newest);
        }
    }

    #[test]
    fn the_type_and_the_object_both_speak() {
        let status = |kind: &str, mut object: Value| {
            object["id"] = json!("in_1");
            Invoice::read(&object, kind).unwrap().status
        };
        for (kind, object, expected) in [
            ("invoice.updated", json!({"status": "open"}), InvoiceStatus::Open),
            ("invoice.updated", json!({"status": "frozen"}), InvoiceStatus::Draft),
            ("invoice.finalized", json!({}), InvoiceStatus::Open),
            ("invoice.payment_failed", json!({"status": "open"}), InvoiceStatus::Open),
            // Rendered after the payment had been made up for.
            ("invoice.payment_failed", json!({"status": "paid"}), InvoiceStatus::Paid),
            ("invoice.paid", json!({"status": "open"}), InvoiceStatus::Paid),
            ("invoice.payment_succeeded", json!({}), InvoiceStatus::Paid),
            ("invoice.updated", json!({"paid": true}), InvoiceStatus::Paid),
            ("invoice.marked_uncollectible", json!({}), InvoiceStatus::Uncollectible),
            ("invoice.voided", json!({"status": "void"}), InvoiceStatus::Void),
        ] {
            assert_eq!(status(kind, object.clone()), expected, "{kind} {object}");
        }
        assert!(Invoice::read(&json!({"id": "in_1"}), "invoice.upcoming").is_none());
    }

    fn event() -> impl Strategy<Value = InvoiceState> {
        let status = prop::sample::select(InvoiceStatus::ALL.to_vec());
        let maker = (0..4_i64, status, 0..4_u8, prop::option::of(0..2_i64), any::<bool>());
        maker.prop_map(|(second, status, id, created, failed)| {
            let at = |second| DateTime::from_timestamp(second, 0).unwrap();
            let invoice = Invoice {
                id: "in_1".into(),
                customer: Some("cus_1".into()),
                subscription: (id > 1).then(|| format!("sub_{id}")),
                created: created.map(at),
                prices: vec![format!("price_{id}")],
                status,
                failed,
            };
            InvoiceState::of(invoice, at(second))
        })
    }

    proptest! {
        #[test]
        fn join_is_a_semilattice(a in event(), b in event(), c in event()) {
            let join = InvoiceState::join;
            prop_assert_eq!(join(a.clone(), a.clone()), a.clone());
            prop_assert_eq!(join(a.clone(), b.clone()), join(b.clone(), a.clone()));
            prop_assert_eq!(join(join(a.clone(), b.clone()), c.clone()), join(a, join(b, c)));
        }
    }

    /// The same generator finds a rule that asks the clock instead.
    #[test]
    fn the_latest_event_is_no_semilattice() {
        let invoice = |kind: &str, second: i64| {
            let object = json!({"id": "in_1", "customer": "cus_1"});
            let at = DateTime::from_timestamp(second, 0).unwrap();
            InvoiceState::of(Invoice::read(&object, kind).unwrap(), at)
        };
        let (paid, failed) = (invoice("invoice.paid", 7), invoice("invoice.payment_failed", 7));
        let latest =
            |a: InvoiceState, b: InvoiceState| if b.first_seen >= a.first_seen { b } else { a };
        assert_ne!(latest(paid.clone(), failed.clone()), latest(failed.clone(), paid.clone()));
        assert_eq!(paid.clone().join(failed.clone()), failed.join(paid));
    }
}
