//! Customers of deleted tenants: what they subscribe to is to be canceled.
//!
//! With a tenant its link goes, in whichever way the tenant is deleted, and in the same transaction the database
//! puts a message of this topic into the outbox (`migrations/0015_billing_calls.sql`). Whoever delivers it
//! cancels the customer's subscriptions at Stripe. A subscription that shows up later, because a payment page
//! was still open for instance, is another message, put in by its event.
//!
//! ```
//! use mt_stripe::departed::DepartedCustomer;
//! use serde_json::json;
//!
//! let payload = json!({"provider": "stripe", "account": "", "customer": "cus_1"});
//! let departed = DepartedCustomer::of(&payload).unwrap();
//! assert_eq!((departed.account, departed.customer), ("", "cus_1"));
//! assert!(DepartedCustomer::of(&json!({"provider": "another"})).is_none());
//! ```

use mt_core::pg::ledger::outbox::{NewMessage, enqueue};
use mt_core::pg::{PgError, SystemTx};
use serde_json::{Value, json};

use crate::PROVIDER;
use crate::event::{Effect, Event};
use crate::order::Phase;
use crate::projection::PriceTable;

/// The topic of the message in the outbox. Its payload is `{"provider", "account", "customer"}`.
pub const DEPARTED: &str = "customer_of_deleted_tenant";

/// The customer that a message of the topic [`DEPARTED`] is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DepartedCustomer<'p> {
    /// The connected account that the customer belongs to; empty for the platform's own.
    pub account: &'p str,
    /// The customer's identifier.
    pub customer: &'p str,
}

impl<'p> DepartedCustomer<'p> {
    /// Reads the payload of a message; `None` where it is of another provider, or of none.
    #[must_use]
    pub fn of(payload: &'p Value) -> Option<Self> {
        let field = |name| payload.get(name).and_then(Value::as_str);
        if field("provider") != Some(PROVIDER) {
            return None;
        }
        Some(Self { account: field("account")?, customer: field("customer")? })
    }
}

/// Puts a message in for an event that shows a subscription of a deleted tenant's customer in force. Once for
/// each subscription, and not for what is of another product.
pub(crate) async fn report(
    tx: &mut SystemTx,
    event: &Event,
    prices: &PriceTable,
) -> Result<(), PgError> {
    let Effect::Subscription(change) = event.effect() else { return Ok(()) };
    let subscription = change.after;
    let bought = prices.plan_of(subscription.prices.iter().map(String::as_str));
    if Phase::of(&subscription.status) == Phase::Ended || bought.is_none() {
        return Ok(());
    }
    let account = event.account().unwrap_or_default();
    let message = NewMessage {
        tenant: None,
        topic: DEPARTED,
        dedupe_key: &format!("{DEPARTED}:{PROVIDER}:{account}:{}", subscription.id),
        payload: json!({"provider": PROVIDER, "account": account, "customer": event.customer()}),
    };
    enqueue(tx.conn(), &message).await?;
    Ok(())
}
