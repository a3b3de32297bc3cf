//! A subscription as one event shows it.

use chrono::{DateTime, Utc};
use mt_core::billing::SubscriptionStatus;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json::{instant, reference, word};

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

impl Subscription {
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
            customer: object.get("customer").and_then(reference).map(str::to_owned),
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

fn items(object: &Value) -> impl Iterator<Item = &Value> {
    object.pointer("/items/data").and_then(Value::as_array).into_iter().flatten()
}

/// `price` since 2020, `plan` before, and one `plan` of the subscription itself before items were.
fn prices(object: &Value) -> Vec<String> {
    let of = |value: &Value| {
        ["price", "plan"]
            .iter()
            .find_map(|field| value.get(field).and_then(reference))
            .map(str::to_owned)
    };
    let mut prices: Vec<String> = items(object).filter_map(of).collect();
    if prices.is_empty() {
        prices.extend(of(object));
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
    fn a_pending_end_is_either_field() {
        for object in [
            json!({"id": "sub_1", "cancel_at_period_end": true}),
            json!({"id": "sub_1", "cancel_at_period_end": false, "cancel_at": 1_795_449_600}),
        ] {
            assert!(Subscription::read(&object, false).unwrap().cancel_at_period_end, "{object}");
        }
    }
}
