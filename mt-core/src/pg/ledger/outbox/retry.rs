//! Trying messages again at an operator's request.

use uuid::Uuid;

use super::MessageStatus;
use crate::pg::transaction::decode::variant;
use crate::pg::{PgError, SystemTx};
use crate::text_enum::TextEnum as _;

/// The answer to a request for another attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Retried {
    /// It is due now, with a fresh count of attempts.
    Due,
    /// There is no message of that identifier and these topics.
    NotFound,
    /// It was sent or skipped, or is being sent; its status.
    NotWaiting(MessageStatus),
}

/// Makes a pending or dead message due at once. A dispatcher sends it.
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
    match variant("status", &status)? {
        MessageStatus::Pending | MessageStatus::Dead => {}
        other => return Ok(Retried::NotWaiting(other)),
    }
    sqlx::query(
        "update mt.outbox set status = 'pending', attempts = 0, failures = 0, done_at = null, \
             next_attempt_at = clock_timestamp() where id = $1",
    )
    .bind(message)
    .execute(tx.conn())
    .await?;
    Ok(Retried::Due)
}

/// Makes all messages of `status`, which is pending or dead, due at once, and returns their identifiers.
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
        "update mt.outbox set status = 'pending', attempts = 0, failures = 0, done_at = null, \
             next_attempt_at = clock_timestamp() \
         where status = $1 and status in ('pending', 'dead') and topic = any($2) returning id",
    )
    .bind(status.as_str())
    .bind(topics)
    .fetch_all(tx.conn())
    .await?;
    Ok(ids)
}
