//! Messages, and how they are put in.

use std::time::Duration;

use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::id::TenantId;
use crate::pg::{PgError, TxConn};

/// A message to be sent.
#[derive(Clone, Debug)]
pub struct NewMessage<'m> {
    /// Whom it concerns; `None` where that is nobody yet, as with a link to sign in.
    pub tenant: Option<TenantId>,
    /// What it is about, in a word: tells the courier what to make of it.
    pub topic: &'m str,
    /// The fact that it tells of, by its natural name: `dunning:<invoice>:<attempt>`.
    pub dedupe_key: &'m str,
    /// What the courier needs to know.
    pub payload: Value,
}

/// A message on its way.
#[derive(Clone, Debug)]
pub struct Message {
    /// The row.
    pub id: Uuid,
    /// Whom it concerns, if anybody yet.
    pub tenant: Option<TenantId>,
    /// What it is about, in a word.
    pub topic: String,
    /// The fact that it tells of.
    pub dedupe_key: String,
    /// What the courier needs to know.
    pub payload: Value,
    /// How often it was taken up, this time included.
    pub attempts: u32,
}

/// Puts a message in, to be sent once the transaction of `conn` is committed. `false`: the fact is known.
///
/// A tenant's transaction may put messages of its tenant in, and cannot read what is there.
///
/// # Errors
///
/// [`PgError`].
pub async fn enqueue(conn: TxConn<'_>, message: &NewMessage<'_>) -> Result<bool, PgError> {
    put(conn, message, None).await
}

/// Puts a message in that is of use for so long. It is tried until then, and skipped after.
///
/// # Errors
///
/// [`PgError`].
pub async fn enqueue_expiring(
    conn: TxConn<'_>,
    message: &NewMessage<'_>,
    expires_in: Duration,
) -> Result<bool, PgError> {
    put(conn, message, Some(expires_in)).await
}

async fn put(
    conn: TxConn<'_>,
    message: &NewMessage<'_>,
    expires_in: Option<Duration>,
) -> Result<bool, PgError> {
    let put = sqlx::query(
        "insert into mt.outbox (tenant_id, id, topic, dedupe_key, payload, expires_at) \
         values ($1, $2, $3, $4, $5, now() + make_interval(secs => $6)) on conflict do nothing",
    )
    .bind(message.tenant.map(TenantId::as_uuid))
    .bind(Uuid::now_v7())
    .bind(message.topic)
    .bind(message.dedupe_key)
    .bind(Json(&message.payload))
    .bind(expires_in.map(|time| time.as_secs_f64()))
    .execute(conn)
    .await?;
    Ok(put.rows_affected() == 1)
}
