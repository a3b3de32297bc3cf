//! Making events due whose time has come.

use sqlx::AssertSqlSafe;

use super::settle::customer_key;
use crate::pg::{PgError, SystemTx};

/// Makes a customer's failed events due at once: what they were waiting for is there. Says how many.
///
/// An attempt that is under way may have looked for it a moment ago. So this takes the customer's lock,
/// which such an attempt holds until it has written down that it waits. To be called after what they wait
/// for is committed, or in the transaction that commits it.
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
    let key = customer_key("$1", "$2", "mode.live", "$3");
    sqlx::query(AssertSqlSafe(format!(
        "select pg_advisory_xact_lock({key}) from (values (false), (true)) mode (live)"
    )))
    .bind(provider)
    .bind(account)
    .bind(customer)
    .execute(tx.conn())
    .await?;
    let woken = sqlx::query(
        "update mt.webhook_events set next_attempt_at = clock_timestamp() \
         where provider = $1 and account = $2 and customer_id = $3 and status = 'failed'",
    )
    .bind(provider)
    .bind(account)
    .bind(customer)
    .execute(tx.conn())
    .await?;
    Ok(woken.rows_affected())
}
