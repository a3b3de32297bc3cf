//! Messages, and how a transaction enqueues them.

use std::time::Duration;

use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::id::TenantId;
use crate::pg::{PgError, TxConn};

/// The queue that a message goes through, with dispatchers of its own.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Lane {
    /// For most messages.
    #[default]
    Main,
    /// For messages that a person waits for.
    Urgent,
}

/// A message to enqueue.
#[derive(Clone, Debug)]
pub struct NewMessage<'m> {
    /// The tenant that it concerns; `None` for one that concerns no tenant, such as a link to sign in.
    pub tenant: Option<TenantId>,
    /// The topic, in a word: it tells the handler what to do.
    pub topic: &'m str,
    /// The lane.
    pub lane: Lane,
    /// The natural key of the fact that it reports: `dunning:<invoice>:<attempt>`.
    pub dedupe_key: &'m str,
    /// The data that the handler needs.
    pub payload: Value,
}

/// A message in the outbox.
#[derive(Clone, Debug)]
pub struct Message {
    /// The row's identifier.
    pub id: Uuid,
    /// The tenant that it concerns, if any.
    pub tenant: Option<TenantId>,
    /// The topic.
    pub topic: String,
    /// The natural key of the fact that it reports.
    pub dedupe_key: String,
    /// The data that the handler needs.
    pub payload: Value,
    /// The number of attempts, this one included.
    pub attempts: u32,
}

/// Enqueues a message, to be sent once the transaction of `conn` is committed. Returns `false` if there is a message of
/// that dedupe key already.
///
/// A tenant's transaction may enqueue messages of its tenant, and cannot read the outbox.
///
/// # Errors
///
/// [`PgError`].
pub async fn enqueue(conn: TxConn<'_>, message: &NewMessage<'_>) -> Result<bool, PgError> {
    insert(conn, message, None).await
}

/// Enqueues a message that expires: it is tried until then, and skipped afterwards.
///
/// # Errors
///
/// [`PgError`].
pub async fn enqueue_expiring(
    conn: TxConn<'_>,
    message: &NewMessage<'_>,
    expires_in: Duration,
) -> Result<bool, PgError> {
    insert(conn, message, Some(expires_in)).await
}

async fn insert(
    conn: TxConn<'_>,
    message: &NewMessage<'_>,
    expires_in: Option<Duration>,
) -> Result<bool, PgError> {
    let inserted = sqlx::query(
        "insert into mt.outbox (tenant_id, id, topic, dedupe_key, payload, expires_at, is_urgent) \
         values ($1, $2, $3, $4, $5, now() + make_interval(secs => $6), $7) \
         on conflict do nothing",
    )
    .bind(message.tenant.map(TenantId::as_uuid))
    .bind(Uuid::now_v7())
    .bind(message.topic)
    .bind(message.dedupe_key)
    .bind(Json(&message.payload))
    .bind(expires_in.map(|time| time.as_secs_f64()))
    .bind(message.lane == Lane::Urgent)
    .execute(conn)
    .await?;
    Ok(inserted.rows_affected() == 1)
}
