//! Objects and envelopes as each API version renders them.

use serde_json::{Value, json};

use crate::support::START;

pub(super) const END: i64 = START + 2_592_000;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Version {
    /// 2017-08-15: plans and no prices, an envelope with little in it.
    Y2017,
    /// 2020-08-27: prices beside plans, periods of the subscription.
    Y2020,
    /// 2025-03-31.basil: periods of items, invoices with parents.
    Basil,
    /// 2026-10-28.endive: no plans, accounts in a customer's place, reasons for a pause.
    Endive,
}

pub(super) const VERSIONS: [Version; 4] =
    [Version::Y2017, Version::Y2020, Version::Basil, Version::Endive];

impl Version {
    fn has_prices(self) -> bool {
        self != Self::Y2017
    }

    /// Basil moved the periods to the items and the invoice's subscription to its parent.
    fn is_basil(self) -> bool {
        matches!(self, Self::Basil | Self::Endive)
    }

    pub(super) fn envelope(
        self,
        id: &str,
        kind: &str,
        created: i64,
        object: &Value,
        previous: &Value,
    ) -> Value {
        let mut event = json!({
            "id": id, "object": "event", "type": kind, "created": created, "livemode": false,
            "data": {"object": object},
        });
        if !previous.is_null() {
            event["data"]["previous_attributes"] = previous.clone();
        }
        match self {
            Self::Y2017 => {
                event["api_version"] = json!("2017-08-15");
                event["request"] = json!("req_1");
            }
            Self::Y2020 => {
                event["api_version"] = json!("2020-08-27");
                event["pending_webhooks"] = json!(1);
                event["request"] = json!({"id": "req_1", "idempotency_key": null});
            }
            Self::Basil => {
                event["api_version"] = json!("2025-03-31.basil");
                event["pending_webhooks"] = json!(2);
                event["request"] = json!({"id": null, "idempotency_key": null});
            }
            Self::Endive => {
                // Null for events of the newer namespace.
                event["api_version"] = Value::Null;
                event["pending_webhooks"] = json!(2);
                event["request"] = Value::Null;
                event["context"] = Value::Null;
            }
        }
        event
    }

    fn customer(self, id: &str) -> Value {
        match self {
            // Expanded, as an endpoint may have asked for.
            Self::Y2020 => json!({"id": id, "object": "customer", "email": null}),
            _ => json!(id),
        }
    }

    fn item(self, price: &str) -> Value {
        let plan = json!({
            "id": price, "object": "plan", "amount": 2000, "currency": "usd", "interval": "month",
            "interval_count": 1, "product": "prod_1", "usage_type": "licensed",
        });
        let full = json!({
            "id": price, "object": "price", "active": true, "lookup_key": null, "type": "recurring",
            "product": "prod_1", "recurring": {"interval": "month", "interval_count": 1},
            "unit_amount": 2000, "unit_amount_decimal": "2000",
        });
        let mut item = json!({
            "id": "si_1", "object": "subscription_item", "created": START, "quantity": 1,
            "metadata": {}, "subscription": "sub_1",
        });
        if self != Self::Endive {
            item["plan"] = plan;
        }
        if self.has_prices() {
            item["price"] = full;
        }
        if self.is_basil() {
            item["current_period_start"] = json!(START);
            item["current_period_end"] = json!(END);
        }
        item
    }

    fn items(self, price: &str) -> Value {
        let mut items = json!({
            "object": "list", "has_more": false, "data": [self.item(price)],
            "url": "/v1/subscription_items?subscription=sub_1",
        });
        if self == Self::Y2017 {
            items["total_count"] = json!(1);
        }
        items
    }

    pub(super) fn subscription(self, fact: &Fact) -> Value {
        let mut object = json!({
            "id": "sub_1", "object": "subscription", "customer": self.customer("cus_1"),
            "status": fact.status, "created": START, "start_date": START, "livemode": false,
            "cancel_at_period_end": fact.ends, "canceled_at": fact.ends.then_some(START + 5),
            "ended_at": null, "metadata": {"org_id": "another org's"}, "items": self.items(fact.price),
            "trial_start": null, "trial_end": null, "latest_invoice": "in_1", "quantity": 1,
        });
        let fields = object.as_object_mut().unwrap();
        match self {
            Self::Y2017 => {
                fields.insert("billing".into(), json!("charge_automatically"));
                fields.remove("start_date");
                fields.remove("latest_invoice");
            }
            Self::Y2020 => {
                fields.insert("cancel_at".into(), json!(fact.ends.then_some(END)));
                fields.insert("pause_collection".into(), Value::Null);
            }
            Self::Basil => {
                fields.insert("pause_collection".into(), Value::Null);
                fields.insert("billing_mode".into(), json!({"type": "classic"}));
            }
            Self::Endive => {
                // A date instead of the flag, as flexible billing sets it.
                fields.insert("cancel_at".into(), json!(fact.ends.then_some(END)));
                fields.insert("cancel_at_period_end".into(), json!(false));
                fields.insert("customer_account".into(), json!("acct_1"));
                fields.insert("status_details".into(), json!({"paused": null}));
                fields.remove("quantity");
            }
        }
        if !self.is_basil() {
            fields.insert("current_period_start".into(), json!(START));
            fields.insert("current_period_end".into(), json!(END));
            fields.insert("plan".into(), self.item(fact.price)["plan"].clone());
        }
        object
    }

    pub(super) fn invoice(self, id: &str, status: &str, created: i64) -> Value {
        let mut line = json!({
            "id": "il_1", "object": "line_item", "amount": 2000, "currency": "usd",
            "period": {"start": START, "end": END},
        });
        let mut invoice = json!({
            "id": id, "object": "invoice", "customer": self.customer("cus_1"), "created": created,
            "amount_due": 2000, "attempt_count": 1, "attempted": true, "livemode": false,
            "billing_reason": "subscription_cycle", "metadata": {},
        });
        let fields = invoice.as_object_mut().unwrap();
        if self == Self::Y2017 {
            fields.remove("created");
            fields.insert("date".into(), json!(created));
            fields.insert("closed".into(), json!(status == "paid"));
        } else {
            fields.insert("status".into(), json!(status));
        }
        if self.is_basil() {
            fields.insert(
                "parent".into(),
                json!({"type": "subscription_details", "quote_details": null,
                    "subscription_details": {"subscription": "sub_1", "metadata": {}}}),
            );
            line["parent"] = json!({"type": "subscription_item_details",
                "subscription_item_details": {"subscription": "sub_1", "subscription_item": "si_1"}});
            line["pricing"] = json!({"type": "price_details",
                "price_details": {"price": "price_pro", "product": "prod_1"}});
        } else {
            fields.insert("subscription".into(), json!("sub_1"));
            fields.insert("paid".into(), json!(status == "paid"));
            line["subscription"] = json!("sub_1");
            line["plan"] = self.item("price_pro")["plan"].clone();
            if self.has_prices() {
                line["price"] = self.item("price_pro")["price"].clone();
            }
        }
        fields.insert("lines".into(), json!({"object": "list", "has_more": false, "data": [line]}));
        invoice
    }
}

/// A subscription at one time, independent of an API version.
#[derive(Clone, Copy)]
pub(super) struct Fact {
    pub(super) status: &'static str,
    pub(super) price: &'static str,
    pub(super) ends: bool,
}
