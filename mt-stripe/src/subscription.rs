//! A subscription as one event shows it.
//!
//! Only what the projection needs is kept, and it is looked for wherever an API version has put it: a
//! field that is missing is unknown, and never an error.

use chrono::{DateTime, Utc};
use mt_core::billing::SubscriptionStatus;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json::{customer, instant, reference, word};
use crate::order::Rank;

/// What is kept of a subscription, from whichever place its API version has it in.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Subscription {
    /// Its identifier.
    pub id: String,
    /// Whose it is.
    pub customer: Option<String>,
    /// Its status; `canceled` after a `deleted` event, whatever the snapshot says.
    pub status: SubscriptionStatus,
    /// The prices of its items, sorted, each once.
    pub prices: Vec<String>,
    /// When it was started. Tells an old subscription from its successor.
    pub started: Option<DateTime<Utc>>,
    /// The end of what is paid for: the latest of its items.
    pub current_period_end: Option<DateTime<Utc>>,
    /// Whether it will end by itself. It is in force until it does.
    pub cancel_at_period_end: bool,
    /// Whether invoices are made and not collected (`pause_collection`); the status stays `active`.
    pub collection_paused: bool,
    /// Whether there are more items than the event shows.
    pub truncated: bool,
}

/// What one event says of a subscription: how it is, and how it was just before.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SubscriptionChange {
    /// The place of the event among those of one second.
    pub rank: Rank,
    /// The object of the event.
    pub after: Subscription,
    /// The same with the event's `previous_attributes` put back, where it has any. Only `updated`
    /// events have.
    pub before: Option<Subscription>,
}

impl SubscriptionChange {
    /// Reads the object of an event and what it replaced; `None` when the object does not say which
    /// subscription it is.
    pub(crate) fn read(object: &Value, previous: Option<&Value>, rank: Rank) -> Option<Self> {
        let after = Subscription::read(object, rank == Rank::Deleted)?;
        let before = previous.filter(|previous| previous.is_object()).and_then(|previous| {
            let mut object = object.clone();
            put_back(&mut object, previous);
            Subscription::read(&object, false)
        });
        Some(Self { rank, after, before })
    }
}

/// Overlays `previous` on `object`. Stripe names the fields that changed, at any depth of objects, and
/// repeats an array whole when anything in it did.
fn put_back(object: &mut Value, previous: &Value) {
    match (object, previous) {
        (Value::Object(object), Value::Object(previous)) => {
            for (field, previous) in previous {
                put_back(object.entry(field).or_insert(Value::Null), previous);
            }
        }
        (object, previous) => *object = previous.clone(),
    }
}

impl Subscription {
    /// Reads a subscription as Stripe's API gives it; `None` when it does not say which one it is.
    ///
    /// ```
    /// use mt_stripe::subscription::Subscription;
    ///
    /// let object = serde_json::json!({
    ///     "id": "sub_1", "customer": "cus_1", "status": "active",
    ///     "items": {"data": [{"price": {"id": "price_pro"}, "current_period_end": 1_795_449_600}]},
    /// });
    /// let subscription = Subscription::from_object(&object).unwrap();
    /// assert_eq!(subscription.prices, ["price_pro"]);
    /// assert!(Subscription::from_object(&serde_json::json!({"status": "active"})).is_none());
    /// ```
    #[must_use]
    pub fn from_object(object: &Value) -> Option<Self> {
        Self::read(object, false)
    }

    /// Reads the object of an event; `None` when it does not say which subscription it is.
    pub(crate) fn read(object: &Value, deleted: bool) -> Option<Self> {
        let id = object.get("id").and_then(word)?.to_owned();
        let status = match object.get("status").and_then(word) {
            _ if deleted => SubscriptionStatus::Canceled,
            Some(word) => SubscriptionStatus::from_word(word),
            None => SubscriptionStatus::Other("unknown".into()),
        };
        let present = |field| object.get(field).is_some_and(|value| !value.is_null());
        let flag = |field| object.get(field).and_then(Value::as_bool).unwrap_or(false);
        Some(Self {
            id,
            customer: customer(object).map(str::to_owned),
            status,
            prices: prices(object),
            started: object.get("created").and_then(instant),
            current_period_end: period_end(object),
            cancel_at_period_end: flag("cancel_at_period_end") || present("cancel_at"),
            collection_paused: present("pause_collection"),
            truncated: object.pointer("/items/has_more").and_then(Value::as_bool).unwrap_or(false),
        })
    }
}

/// What the object of an event lacks of what a subscription needs to have, in words that hold nothing of it.
///
/// A field that an API version has moved is not a flaw; a status or a price that cannot be read is one, since
/// the tenant would be on the free plan because of it.
pub(crate) fn flaw(object: &Value, deleted: bool) -> Option<&'static str> {
    if object.get("id").and_then(word).is_none() {
        return Some("the subscription has no `id`");
    }
    if !deleted && object.get("status").and_then(word).is_none() {
        return Some("the subscription has no usable `status`");
    }
    let items = object.get("items").filter(|items| !items.is_null())?;
    match items.get("data").and_then(Value::as_array) {
        None => Some("the subscription has no list of `items`"),
        Some(items) if items.iter().any(|item| price(item).is_none()) => {
            Some("an item of the subscription has no price")
        }
        Some(_) => None,
    }
}

fn items(object: &Value) -> impl Iterator<Item = &Value> {
    object.pointer("/items/data").and_then(Value::as_array).into_iter().flatten()
}

/// `price` since 2020, `plan` before.
fn price(item: &Value) -> Option<&str> {
    ["price", "plan"].iter().find_map(|field| item.get(field).and_then(reference))
}

/// The prices of the items, or the one `plan` of the subscription itself before items were.
fn prices(object: &Value) -> Vec<String> {
    let mut prices: Vec<String> = items(object).filter_map(price).map(str::to_owned).collect();
    if prices.is_empty() {
        prices.extend(price(object).map(str::to_owned));
    }
    prices.sort_unstable();
    prices.dedup();
    prices
}

/// Of each item since 2025-03-31, of the subscription before.
fn period_end(object: &Value) -> Option<DateTime<Utc>> {
    let of = |value: &Value| value.get("current_period_end").and_then(instant);
    items(object).filter_map(of).max().or_else(|| of(object))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// One fact in the shape of four API versions.
    #[test]
    fn every_shape_reads_the_same() {
        let until = 1_795_449_600;
        let common = |mut shape: Value| {
            let fields = shape.as_object_mut().unwrap();
            fields.insert("id".into(), json!("sub_1"));
            fields.insert("customer".into(), json!("cus_1"));
            fields.insert("status".into(), json!("active"));
            fields.insert("created".into(), json!(1_790_000_000));
            Subscription::read(&shape, false).unwrap()
        };
        let y2017 = common(json!({"plan": {"id": "price_pro"}, "current_period_end": until}));
        let y2018 = common(json!({
            "current_period_end": until, "items": {"data": [{"plan": {"id": "price_pro"}}]},
        }));
        let y2020 = common(json!({
            "current_period_end": until, "cancel_at_period_end": false,
            "items": {"data": [{"price": {"id": "price_pro"}, "plan": {"id": "price_pro"}}]},
        }));
        let y2026 = common(json!({
            "cancel_at": null, "pause_collection": null,
            "items": {"has_more": false, "data": [
                {"price": {"id": "price_pro"}, "current_period_end": until},
            ]},
        }));
        assert_eq!(y2017.prices, ["price_pro"]);
        assert_eq!(y2017.current_period_end, DateTime::from_timestamp(until, 0));
        for other in [y2018, y2020, y2026] {
            assert_eq!(other, y2017);
        }
    }

    #[test]
    fn a_deleted_subscription_is_canceled_whatever_it_shows() {
        let object = json!({"id": "sub_1", "status": "active"});
        let deleted = Subscription::read(&object, true).unwrap();
        assert_eq!(deleted.status, SubscriptionStatus::Canceled);
    }

    #[test]
    fn nothing_but_the_identifier_is_needed() {
        let bare = Subscription::read(&json!({"id": "sub_1", "status": "snoozed"}), false).unwrap();
        assert_eq!(bare.status.as_str(), "snoozed");
        assert!(bare.prices.is_empty());
        assert!(Subscription::read(&json!({"status": "active"}), false).is_none());
    }

    #[test]
    fn what_was_before_is_the_object_with_the_old_values_put_back() {
        let object = json!({
            "id": "sub_1", "status": "active", "cancel_at": null, "metadata": {"kept": "a"},
            "items": {"has_more": false, "data": [{"price": {"id": "price_new"}}]},
        });
        let previous = json!({
            "status": "past_due", "cancel_at": 1_795_449_600, "metadata": {"changed": "b"},
            "items": {"data": [{"price": {"id": "price_old"}}]},
        });
        let change = SubscriptionChange::read(&object, Some(&previous), Rank::Changed).unwrap();
        let before = change.before.unwrap();
        assert_eq!(change.after.prices, ["price_new"]);
        assert_eq!((before.id.as_str(), before.status.as_str()), ("sub_1", "past_due"));
        assert_eq!(before.prices, ["price_old"]);
        assert!(before.cancel_at_period_end && !before.truncated);

        for silent in [None, Some(json!(null)), Some(json!("status"))] {
            let change = SubscriptionChange::read(&object, silent.as_ref(), Rank::Changed).unwrap();
            assert_eq!(change.before, None, "{silent:?}");
        }
        // Something changed that is not kept: before and after are the same.
        let unkept = json!({"metadata": {"kept": "z"}, "description": null});
        let change = SubscriptionChange::read(&object, Some(&unkept), Rank::Changed).unwrap();
        assert_eq!(change.before, Some(change.after));
    }

    #[test]
    fn a_pending_end_is_either_field() {
        for object in [
            json!({"id": "sub_1", "cancel_at_period_end": true}),
            json!({"id": "sub_1", "cancel_at_period_end": false, "cancel_at": 1_795_449_600}),
        ] {
            assert!(Subscription::read(&object, false).unwrap().cancel_at_period_end, "{object}");
        }
    }
}
