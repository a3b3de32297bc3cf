//! Making a customer's deferred events due.

use crate::pg::{PgError, SystemTx};

/// Makes a customer's failed events due at once, because what they need is there now. Returns how many, those that are
/// being processed included.
///
/// An attempt may have looked for it a moment ago, and holds its event's row until it has marked the event as failed.
/// This waits for such attempts. Call it after what the events need is committed.
///
/// # Errors
///
/// [`PgError`]. No event is lost then: each is due when its backoff ends.
pub async fn wake(
    tx: &mut SystemTx,
    provider: &str,
    account: &str,
    customer: &str,
) -> Result<u64, PgError> {
    // In the order in which deliveries lock rows.
    let woken = sqlx::query(
        "update mt.webhook_events set next_attempt_at = clock_timestamp() where id in ( \
             select id from mt.webhook_events \
             where provider = $1 and account = $2 and customer_id = $3 \
                 and status in ('failed', 'processing') \
             order by event_id for update)",
    )
    .bind(provider)
    .bind(account)
    .bind(customer)
    .execute(tx.conn())
    .await?;
    Ok(woken.rows_affected())
}

/// Makes a customer's failed events due at once, from a transaction that holds the customer, as every
/// [`Provider::apply`](super::Provider::apply) of one of its events does. It need not wait for attempts that are under
/// way: they wait for the customer, and see what this transaction has made.
///
/// # Errors
///
/// [`PgError`].
pub async fn wake_held(
    tx: &mut SystemTx,
    provider: &str,
    account: &str,
    customer: &str,
) -> Result<u64, PgError> {
    let woken = sqlx::query(
        "update mt.webhook_events set next_attempt_at = clock_timestamp() where id in ( \
             select id from mt.webhook_events \
             where provider = $1 and account = $2 and customer_id = $3 and status = 'failed' \
             for update skip locked)",
    )
    .bind(provider)
    .bind(account)
    .bind(customer)
    .execute(tx.conn())
    .await?;
    Ok(woken.rows_affected())
}
