//! Having somebody told that a payment has failed.

use mt_core::id::TenantId;
use mt_core::pg::ledger::outbox::{NewMessage, enqueue};
use mt_core::pg::{PgError, SystemTx};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::PROVIDER;
use crate::event::Event;
use crate::state::Realm;

/// The topic of the message in the outbox. Its payload is `{"invoice_id", "attempt"}`, and its name
/// `dunning:<invoice>:<attempt>`.
pub const DUNNING: &str = "dunning";

/// Puts a message into the outbox, once for each attempt at the invoice: Stripe may make two events of one
/// fact. None if the money has come, by whatever events are known.
pub(super) async fn dun(
    tx: &mut SystemTx,
    realm: Realm<'_>,
    tenant: Uuid,
    event: &Event,
    invoice: &str,
) -> Result<(), PgError> {
    if is_settled(tx, realm, invoice).await? {
        return Ok(());
    }
    let attempt = event.object().and_then(|object| object.get("attempt_count"));
    let attempt = attempt.and_then(Value::as_u64).unwrap_or(0);
    let message = NewMessage {
        tenant: Some(TenantId::from_uuid(tenant)),
        topic: DUNNING,
        dedupe_key: &format!("{DUNNING}:{invoice}:{attempt}"),
        payload: json!({"invoice_id": invoice, "attempt": attempt}),
    };
    enqueue(tx.conn(), &message).await?;
    Ok(())
}

/// Whether nothing is owed any more.
async fn is_settled(tx: &mut SystemTx, realm: Realm<'_>, invoice: &str) -> Result<bool, PgError> {
    let settled: Option<bool> = sqlx::query_scalar(
        "select status in ('paid', 'void') from mt.invoices \
         where provider = $1 and account = $2 and livemode = $3 and invoice_id = $4",
    )
    .bind(PROVIDER)
    .bind(realm.account)
    .bind(realm.livemode)
    .bind(invoice)
    .fetch_optional(tx.conn())
    .await?;
    Ok(settled.unwrap_or(false))
}
