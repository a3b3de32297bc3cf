//! Messages as operators see them.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::FromRow;
use sqlx::types::Json;
use uuid::Uuid;

use super::Message;
use crate::id::TenantId;
use crate::pg::transaction::decode::variant;
use crate::pg::{PgError, SystemTx};
use crate::text_enum::TextEnum as _;

crate::text_enum! {
    /// The status of a message.
    pub enum MessageStatus {
        /// It waits for its next attempt.
        Pending = "pending",
        /// It is leased to an attempt.
        Sending = "sending",
        /// It was sent.
        Sent = "sent",
        /// It expired, or has no recipient.
        Skipped = "skipped",
        /// It was not sent, and is tried again only if an operator asks.
        Dead = "dead",
    }
}

/// A message as operators see it.
#[derive(Clone, Debug)]
pub struct OutboxEntry {
    /// The message. Its payload is `null` once it was sent or skipped.
    pub message: Message,
    /// The status.
    pub status: MessageStatus,
    /// Why it was not sent, in a line that begins with a word.
    pub last_error: Option<String>,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
    /// When it is tried next; for one that is being sent, the end of its lease. `None` in a final status.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// When it expires, if it does.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it reached a final status.
    pub done_at: Option<DateTime<Utc>>,
}

#[derive(FromRow)]
struct Row {
    id: Uuid,
    tenant_id: Option<Uuid>,
    topic: String,
    dedupe_key: String,
    payload: Json<Value>,
    status: String,
    last_error: Option<String>,
    attempts: i32,
    created_at: DateTime<Utc>,
    next_attempt_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    done_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for OutboxEntry {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let status = variant("status", &row.status)?;
        let waits = matches!(status, MessageStatus::Pending | MessageStatus::Sending);
        let message = Message {
            id: row.id,
            tenant: row.tenant_id.map(TenantId::from_uuid),
            topic: row.topic,
            dedupe_key: row.dedupe_key,
            payload: row.payload.0,
            attempts: u32::try_from(row.attempts).unwrap_or(0),
        };
        Ok(Self {
            message,
            status,
            last_error: row.last_error,
            created_at: row.created_at,
            next_attempt_at: waits.then_some(row.next_attempt_at),
            expires_at: row.expires_at,
            done_at: row.done_at,
        })
    }
}

/// A filter for [`list`].
#[derive(Clone, Debug, Default)]
pub struct OutboxFilter {
    /// Only messages of this status.
    pub status: Option<MessageStatus>,
    /// Only messages of these topics; of all topics if it is empty.
    pub topics: Vec<&'static str>,
}

/// Lists messages, newest first, that come after the row `before`.
///
/// # Errors
///
/// [`PgError`].
pub async fn list(
    tx: &mut SystemTx,
    filter: &OutboxFilter,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<OutboxEntry>, PgError> {
    let rows: Vec<Row> = sqlx::query_as(
        "select id, tenant_id, topic, dedupe_key, payload, status, last_error, attempts, created_at, \
             next_attempt_at, expires_at, done_at \
         from mt.outbox \
         where ($1::text is null or status = $1) and ($2 = '{}' or topic = any($2)) \
             and ($3::uuid is null or id < $3) \
         order by id desc limit $4",
    )
    .bind(filter.status.map(MessageStatus::as_str))
    .bind(&filter.topics)
    .bind(before)
    .bind(limit)
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(|row| Ok(OutboxEntry::try_from(row)?)).collect()
}
