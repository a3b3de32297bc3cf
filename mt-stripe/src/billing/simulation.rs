//! The events of a payment on a simulated page, for development and tests without a key.

use mt_core::pg::{PgError, System, SystemReason};
use serde_json::{Value, json};

use crate::{API_VERSION, PROVIDER};

/// The prefix of a simulated session's identifier.
pub(super) const SIMULATED: &str = "cs_dev_";

const FIND: SystemReason = SystemReason::new("find the customer of a simulated page");

/// The length of a simulated period, in seconds: thirty days.
const PERIOD: i64 = 30 * 24 * 60 * 60;

/// Finds the customer of the simulated page `session`, if this server made it.
pub(super) async fn buyer(system: &System, session: &str) -> Result<Option<String>, PgError> {
    if !session.starts_with(SIMULATED) {
        return Ok(None);
    }
    let mut tx = system.begin(FIND).await?;
    let customer = sqlx::query_scalar(
        "select c.customer_id from mt.checkout_sessions s \
         join mt.billing_customers c on c.tenant_id = s.tenant_id and c.provider = s.provider \
         where s.provider = $1 and s.account = '' and s.session_id = $2",
    )
    .bind(PROVIDER)
    .bind(session)
    .fetch_optional(tx.conn())
    .await?;
    tx.commit().await?;
    Ok(customer)
}

/// The events of a payment of `customer` for `price` on the page `session` at `now` (Unix seconds). Their identifiers are
/// the same each time, so a second payment on one page repeats them.
pub(super) fn events(session: &str, customer: &str, price: &str, now: i64) -> [Value; 3] {
    let name = session.trim_start_matches(SIMULATED);
    let subscription = format!("sub_dev_{name}");
    let invoice = format!("in_dev_{name}");
    let event = |number: u8, kind: &str, object: Value| {
        json!({
            "id": format!("evt_dev_{name}_{number}"), "object": "event", "type": kind,
            "api_version": API_VERSION, "created": now, "livemode": false,
            "pending_webhooks": 1, "data": {"object": object},
        })
    };
    [
        event(
            1,
            "customer.subscription.created",
            json!({
                "id": subscription, "object": "subscription", "customer": customer,
                "status": "active", "created": now, "cancel_at_period_end": false,
                "items": {"object": "list", "has_more": false, "data": [{
                    "price": {"id": price, "object": "price"}, "quantity": 1,
                    "current_period_start": now, "current_period_end": now + PERIOD,
                }]},
            }),
        ),
        event(
            2,
            "invoice.paid",
            json!({
                "id": invoice, "object": "invoice", "customer": customer, "status": "paid",
                "created": now, "attempt_count": 1,
                "parent": {"type": "subscription_details",
                    "subscription_details": {"subscription": subscription}},
            }),
        ),
        event(
            3,
            "checkout.session.completed",
            json!({
                "id": session, "object": "checkout.session", "customer": customer,
                "mode": "subscription", "payment_status": "paid", "status": "complete",
                "subscription": subscription,
            }),
        ),
    ]
}
