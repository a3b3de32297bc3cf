//! Messages as operators see them.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::FromRow;
use sqlx::types::Json;
use uuid::Uuid;

use super::Message;
use crate::id::TenantId;
use crate::pg::decode::word;
use crate::pg::{PgError, SystemTx};
use crate::word::Word;

/// How far a message has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MessageStatus {
    /// It waits for its next attempt.
    Pending,
    /// A dispatcher is delivering it.
    Sending,
    /// It has gone out.
    Sent,
    /// It was of no use any more.
    Skipped,
    /// It could not be delivered, and is not tried again unless an operator asks.
    Dead,
}

impl Word for MessageStatus {
    const ALL: &'static [Self] =
        &[Self::Pending, Self::Sending, Self::Sent, Self::Skipped, Self::Dead];

    fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Skipped => "skipped",
            Self::Dead => "dead",
        }
    }
}

/// One message, as an operator sees it.
#[derive(Clone, Debug)]
pub struct OutboxEntry {
    /// The message. Its payload is `null` once it was sent or skipped.
    pub message: Message,
    /// How far it has come.
    pub status: MessageStatus,
    /// Why, in a line that begins with a word.
    pub last_error: Option<String>,
    /// When it was put in.
    pub created_at: DateTime<Utc>,
    /// When it is tried next: of one under way, when its lease is over. `None` if nothing more happens by
    /// itself.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// When it is of no use any more, if it says so.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was done with.
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
        let status = word("status", &row.status)?;
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

/// Which messages to list.
#[derive(Clone, Debug, Default)]
pub struct OutboxFilter {
    /// Only of this status.
    pub status: Option<MessageStatus>,
    /// Only of these topics; of all, if none is named.
    pub topics: Vec<&'static str>,
}

/// Messages, newest first, after the row `before`.
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
