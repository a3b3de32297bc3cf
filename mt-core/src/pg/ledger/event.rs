//! Events as operators see them.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use crate::pg::decode::word;
use crate::pg::{PgError, SystemTx};
use crate::word::Word;

/// How far an event has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EventStatus {
    /// Stored, and not looked at yet.
    Received,
    /// Somebody is at it, until their lease is over.
    Processing,
    /// Its effect is committed.
    Processed,
    /// It could not be applied, and will be tried again.
    Failed,
    /// It could not be applied, and will not be tried again unless somebody asks.
    Dead,
    /// There is nothing to apply.
    Ignored,
}

impl Word for EventStatus {
    const ALL: &'static [Self] = &[
        Self::Received,
        Self::Processing,
        Self::Processed,
        Self::Failed,
        Self::Dead,
        Self::Ignored,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Processing => "processing",
            Self::Processed => "processed",
            Self::Failed => "failed",
            Self::Dead => "dead",
            Self::Ignored => "ignored",
        }
    }
}

/// One event, as an operator sees it.
#[derive(Clone, Debug)]
pub struct LedgerEvent {
    /// The row.
    pub id: Uuid,
    /// The provider's name for it.
    pub event_id: String,
    /// The provider's type.
    pub kind: String,
    /// How far it has come.
    pub status: EventStatus,
    /// Why, in a word.
    pub reason: Option<String>,
    /// Why, in a line. Begins with the word.
    pub last_error: Option<String>,
    /// How often an attempt was begun.
    pub attempts: i32,
    /// How often it was delivered.
    pub deliveries: i32,
    /// When it was stored.
    pub received_at: DateTime<Utc>,
    /// When its effect was committed.
    pub processed_at: Option<DateTime<Utc>>,
    /// When it is due.
    pub next_attempt_at: DateTime<Utc>,
    /// The bytes that were delivered first.
    pub body: Vec<u8>,
}

#[derive(FromRow)]
pub(super) struct Row {
    id: Uuid,
    event_id: String,
    #[sqlx(rename = "type")]
    kind: String,
    status: String,
    reason: Option<String>,
    last_error: Option<String>,
    attempts: i32,
    deliveries: i32,
    received_at: DateTime<Utc>,
    processed_at: Option<DateTime<Utc>>,
    next_attempt_at: DateTime<Utc>,
    body: Vec<u8>,
}

impl TryFrom<Row> for LedgerEvent {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.id,
            status: word("status", &row.status)?,
            event_id: row.event_id,
            kind: row.kind,
            reason: row.reason,
            last_error: row.last_error,
            attempts: row.attempts,
            deliveries: row.deliveries,
            received_at: row.received_at,
            processed_at: row.processed_at,
            next_attempt_at: row.next_attempt_at,
            body: row.body,
        })
    }
}

/// The event that `provider` calls `event_id`.
///
/// # Errors
///
/// [`PgError`].
pub async fn find(
    tx: &mut SystemTx,
    provider: &str,
    event_id: &str,
) -> Result<Option<LedgerEvent>, PgError> {
    let row: Option<Row> = sqlx::query_as(
        "select id, event_id, type, status, reason, last_error, attempts, deliveries, \
             received_at, processed_at, next_attempt_at, body \
         from mt.webhook_events where provider = $1 and event_id = $2",
    )
    .bind(provider)
    .bind(event_id)
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(LedgerEvent::try_from).transpose()?)
}

/// Events of one status or of all, newest first, after the row `before`.
///
/// # Errors
///
/// [`PgError`].
pub async fn list(
    tx: &mut SystemTx,
    provider: &str,
    status: Option<EventStatus>,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<LedgerEvent>, PgError> {
    let rows: Vec<Row> = sqlx::query_as(
        "select id, event_id, type, status, reason, last_error, attempts, deliveries, \
             received_at, processed_at, next_attempt_at, body \
         from mt.webhook_events \
         where provider = $1 and ($2::text is null or status = $2) and ($3::uuid is null or id < $3) \
         order by id desc limit $4",
    )
    .bind(provider)
    .bind(status.map(EventStatus::as_str))
    .bind(before)
    .bind(limit)
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(|row| Ok(LedgerEvent::try_from(row)?)).collect()
}
