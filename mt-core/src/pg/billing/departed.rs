//! Customers of deleted tenants, whose subscriptions are to be canceled.
//!
//! When a tenant is deleted, its link goes with it, and in the same transaction the database enqueues a message of this
//! topic (`mt.remember_former_customer`). Its handler cancels the customer's subscriptions at the provider. A
//! subscription that shows up later, for example because a payment page was still open, is another message, which its
//! event [enqueues](report).
//!
//! ```
//! use mt_core::pg::billing::departed::DepartedCustomer;
//! use serde_json::json;
//!
//! let payload = json!({"provider": "stripe", "account": "", "customer": "cus_1"});
//! let departed = DepartedCustomer::of("stripe", &payload).unwrap();
//! assert_eq!((departed.account, departed.customer), ("", "cus_1"));
//! assert!(DepartedCustomer::of("another", &payload).is_none());
//! ```

use serde_json::{Value, json};

use crate::billing::{PriceTable, SubscriptionStatus};
use crate::pg::ledger::Customer;
use crate::pg::ledger::outbox::{Lane, NewMessage, enqueue};
use crate::pg::{PgError, SystemTx};

/// The topic of the message in the outbox. Its payload is `{"provider", "account", "customer"}`.
pub const DEPARTED: &str = "customer_of_deleted_tenant";

/// The customer of a message of the topic [`DEPARTED`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DepartedCustomer<'p> {
    /// The connected account that the customer belongs to; empty for the platform's own.
    pub account: &'p str,
    /// The customer's identifier.
    pub customer: &'p str,
}

impl<'p> DepartedCustomer<'p> {
    /// Reads the payload of a message; `None` if it is of another provider.
    #[must_use]
    pub fn of(provider: &str, payload: &'p Value) -> Option<Self> {
        let field = |name| payload.get(name).and_then(Value::as_str);
        if field("provider") != Some(provider) {
            return None;
        }
        Some(Self { account: field("account")?, customer: field("customer")? })
    }
}

/// Enqueues a message about a subscription of a deleted tenant's customer, once for each subscription, unless it has
/// ended or is for another product.
///
/// # Errors
///
/// [`PgError`].
pub async fn report(
    tx: &mut SystemTx,
    customer: Customer<'_>,
    (subscription, status): (&str, &SubscriptionStatus),
    bought: &[String],
    prices: &PriceTable,
) -> Result<(), PgError> {
    if status.has_ended() || prices.plan_of(bought.iter().map(String::as_str)).is_none() {
        return Ok(());
    }
    let Customer { provider, account, id, .. } = customer;
    let message = NewMessage {
        tenant: None,
        topic: DEPARTED,
        lane: Lane::Main,
        dedupe_key: &format!("{DEPARTED}:{provider}:{account}:{subscription}"),
        payload: json!({"provider": provider, "account": account, "customer": id}),
    };
    enqueue(tx.conn(), &message).await?;
    Ok(())
}
