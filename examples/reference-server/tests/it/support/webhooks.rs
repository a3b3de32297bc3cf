//! Webhook events, and their delivery to a server.

use mt_core::clock::{Clock as _, SystemClock};
use mt_stripe::signature::sign;
use serde_json::{Value, json};

use super::{Answer, SECRET, Server, answer};

/// Sends a signed event to the webhook route, as Stripe does.
pub(crate) async fn deliver(server: &Server, event: &Value) -> Answer {
    let body = event.to_string();
    let request = reqwest::Client::new()
        .post(format!("{}/webhooks/stripe", server.base_url()))
        .header("stripe-signature", sign(SECRET, body.as_bytes(), SystemClock.now()))
        .body(body);
    answer(request.send().await.unwrap()).await
}

/// Returns an event `customer.subscription.updated`.
pub(crate) fn subscription(id: &str, customer: &str, status: &str) -> Value {
    json!({
        "id": id, "type": "customer.subscription.updated", "created": 1_795_449_600,
        "data": {"object": {
            "id": format!("sub_of_{customer}"), "object": "subscription", "customer": customer,
            "status": status, "items": {"data": [{"price": {"id": "price_pro"}}]},
        }},
    })
}

/// Returns the customer id that a server without a Stripe key makes for the org at `path`.
pub(crate) fn customer_of(path: &str) -> String {
    format!("cus_dev_{}", path.rsplit('/').next().unwrap().replace('-', ""))
}
