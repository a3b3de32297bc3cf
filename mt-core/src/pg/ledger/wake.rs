//! Making events due whose time has come.

use crate::pg::{PgError, SystemTx};

/// Makes a customer's failed events due at once: what they were waiting for is there. Says how many, those
/// under way included.
///
/// An attempt that is under way may have looked for it a moment ago, and holds its event's row until it has
/// written down that it waits; so this waits for that. To be called after what they wait for is committed.
///
/// # Errors
///
/// [`PgError`]. Nothing is lost then: the events stay due by their own clock.
pub async fn wake(
    tx: &mut SystemTx,
    provider: &str,
    account: &str,
    customer: &str,
) -> Result<u64, PgError> {
    // In the order in which deliveries lock them.
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

/// The same for whoever holds the customer, which is every [`Provider::apply`](super::Provider::apply) of
/// one of its events: what is under way waits for the customer, and will find what is made here.
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
