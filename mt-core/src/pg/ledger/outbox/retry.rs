//! Trying messages again because an operator asks.

use uuid::Uuid;

use super::MessageStatus;
use crate::pg::decode::word;
use crate::pg::{PgError, SystemTx};
use crate::word::Word as _;

/// What asking for another attempt did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Retried {
    /// It is due now, with all of its attempts before it.
    Due,
    /// There is no such message.
    NotFound,
    /// It was sent or skipped, or is being sent.
    NotWaiting(MessageStatus),
}

/// Makes a message that waits or is dead due at once. A dispatcher delivers it.
///
/// # Errors
///
/// [`PgError`].
pub async fn retry(
    tx: &mut SystemTx,
    topics: &[&'static str],
    message: Uuid,
) -> Result<Retried, PgError> {
    let status: Option<String> = sqlx::query_scalar(
        "select status from mt.outbox where id = $1 and topic = any($2) for update",
    )
    .bind(message)
    .bind(topics)
    .fetch_optional(tx.conn())
    .await?;
    let Some(status) = status else { return Ok(Retried::NotFound) };
    match word("status", &status)? {
        MessageStatus::Pending | MessageStatus::Dead => {}
        other => return Ok(Retried::NotWaiting(other)),
    }
    sqlx::query(
        "update mt.outbox set status = 'pending', attempts = 0, strikes = 0, done_at = null, \
             next_attempt_at = clock_timestamp() where id = $1",
    )
    .bind(message)
    .execute(tx.conn())
    .await?;
    Ok(Retried::Due)
}

/// Makes all messages of a status that waits or is dead due at once, and says which.
///
/// # Errors
///
/// [`PgError`].
pub async fn retry_all(
    tx: &mut SystemTx,
    topics: &[&'static str],
    status: MessageStatus,
) -> Result<Vec<Uuid>, PgError> {
    let ids = sqlx::query_scalar(
        "update mt.outbox set status = 'pending', attempts = 0, strikes = 0, done_at = null, \
             next_attempt_at = clock_timestamp() \
         where status = $1 and status in ('pending', 'dead') and topic = any($2) returning id",
    )
    .bind(status.as_str())
    .bind(topics)
    .fetch_all(tx.conn())
    .await?;
    Ok(ids)
}
