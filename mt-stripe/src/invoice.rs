//! An invoice as one event shows it, and what all its events come to.
//!
//! Invoices carry no subscription status. They are recorded, and speak for a tenant only as long as
//! no snapshot of the subscription has been seen (see [`projection`](crate::projection)).

use std::cmp::max;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json::{instant, reference, reference_at, word};

/// What became of an attempt to collect an invoice. Paid is the greater: between two events of one
/// second, the money came.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InvoiceOutcome {
    /// A payment failed; more may be tried.
    Failed,
    /// It is paid.
    Paid,
}

impl InvoiceOutcome {
    /// The word that is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Paid => "paid",
        }
    }
}

/// What is kept of an invoice, from whichever place its API version has it in.
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
    /// What became of it.
    pub outcome: InvoiceOutcome,
}

impl Invoice {
    /// Reads the object of an event; `None` when it does not say which invoice it is.
    pub(crate) fn read(object: &Value, outcome: InvoiceOutcome) -> Option<Self> {
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
            customer: object.get("customer").and_then(reference).map(str::to_owned),
            subscription: subscription.map(str::to_owned),
            created: object.get("created").and_then(instant),
            prices: prices(object),
            outcome,
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

/// What all events of one invoice come to. [`join`](Self::join) gives the same for any order and
/// any repetition of them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct InvoiceState {
    /// The invoice's identifier.
    pub id: String,
    /// Whose it is.
    pub customer: String,
    /// The subscription that it is for, if any event named one.
    pub subscription: Option<String>,
    /// When it was made; the event's time where the invoice does not say.
    pub created: DateTime<Utc>,
    /// The prices in the deciding event.
    pub prices: Vec<String>,
    /// The deciding event: its time, what it says, and its identifier.
    pub decided: (DateTime<Utc>, InvoiceOutcome, String),
    /// The first failed payment.
    pub first_failed: Option<DateTime<Utc>>,
}

impl InvoiceState {
    /// What one event comes to; `None` when the invoice is nobody's.
    #[must_use]
    pub fn of(invoice: Invoice, event: &str, at: DateTime<Utc>) -> Option<Self> {
        Some(Self {
            id: invoice.id,
            customer: invoice.customer?,
            subscription: invoice.subscription,
            created: invoice.created.unwrap_or(at),
            prices: invoice.prices,
            first_failed: (invoice.outcome == InvoiceOutcome::Failed).then_some(at),
            decided: (at, invoice.outcome, event.to_owned()),
        })
    }

    /// What the events behind both come to.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        let subscription = max(self.subscription.clone(), other.subscription.clone());
        let created = max(self.created, other.created);
        let first_failed = match (self.first_failed, other.first_failed) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let deciding = if other.decided > self.decided { other } else { self };
        Self { subscription, created, first_failed, ..deciding }
    }

    /// Whether it is paid.
    #[must_use]
    pub fn outcome(&self) -> InvoiceOutcome {
        self.decided.1
    }
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
            Invoice::read(&shape, InvoiceOutcome::Paid).unwrap()
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

    fn event() -> impl Strategy<Value = InvoiceState> {
        (0..3_i64, any::<bool>(), 0..4_u8, prop::option::of(0..2_i64)).prop_map(
            |(second, paid, id, created)| {
                let at = |second| DateTime::from_timestamp(second, 0).unwrap();
                let invoice = Invoice {
                    id: "in_1".into(),
                    customer: Some("cus_1".into()),
                    subscription: (id > 1).then(|| "sub_1".into()),
                    created: created.map(at),
                    prices: vec![format!("price_{id}")],
                    outcome: if paid { InvoiceOutcome::Paid } else { InvoiceOutcome::Failed },
                };
                InvoiceState::of(invoice, &format!("evt_{id}_{paid}"), at(second)).unwrap()
            },
        )
    }

    proptest! {
        #[test]
        fn join_is_a_semilattice(a in event(), b in event(), c in event()) {
            // One event has one content.
            prop_assume!([(&a, &b), (&b, &c), (&a, &c)].iter().all(|(x, y)| x.decided != y.decided || x == y));
            let join = InvoiceState::join;
            prop_assert_eq!(join(a.clone(), a.clone()), a.clone());
            prop_assert_eq!(join(a.clone(), b.clone()), join(b.clone(), a.clone()));
            prop_assert_eq!(join(join(a.clone(), b.clone()), c.clone()), join(a, join(b, c)));
        }
    }
}
