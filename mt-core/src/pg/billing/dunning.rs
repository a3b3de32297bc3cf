//! Dunning: telling a tenant's owners of a failed payment.

use serde_json::json;
use uuid::Uuid;

use crate::id::TenantId;
use crate::pg::ledger::Customer;
use crate::pg::ledger::outbox::{Lane, NewMessage, enqueue};
use crate::pg::{PgError, SystemTx};

/// The topic of the message in the outbox. Its payload is `{"invoice_id", "attempt"}`, and its dedupe key
/// `dunning:<invoice>:<attempt>`.
pub const DUNNING: &str = "dunning";

/// Enqueues a message about a failed payment, once for each attempt at the invoice, since a provider may make two
/// events of one fact. Enqueues none if the stored invoice is paid or void by now.
///
/// # Errors
///
/// [`PgError`].
pub async fn remind(
    tx: &mut SystemTx,
    customer: Customer<'_>,
    tenant: Uuid,
    invoice: &str,
    attempt: u64,
) -> Result<(), PgError> {
    if is_settled(tx, customer, invoice).await? {
        return Ok(());
    }
    let message = NewMessage {
        tenant: Some(TenantId::from_uuid(tenant)),
        topic: DUNNING,
        lane: Lane::Main,
        dedupe_key: &format!("{DUNNING}:{invoice}:{attempt}"),
        payload: json!({"invoice_id": invoice, "attempt": attempt}),
    };
    enqueue(tx.conn(), &message).await?;
    Ok(())
}

/// Whether nothing is owed any more.
async fn is_settled(
    tx: &mut SystemTx,
    customer: Customer<'_>,
    invoice: &str,
) -> Result<bool, PgError> {
    let settled: Option<bool> = sqlx::query_scalar(
        "select status in ('paid', 'void') from mt.invoices \
         where provider = $1 and account = $2 and livemode = $3 and invoice_id = $4",
    )
    .bind(customer.provider)
    .bind(customer.account)
    .bind(customer.livemode)
    .bind(invoice)
    .fetch_optional(tx.conn())
    .await?;
    Ok(settled.unwrap_or(false))
}
