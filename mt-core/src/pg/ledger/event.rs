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

impl EventStatus {
    /// Whether nothing more happens to it by itself.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Dead | Self::Ignored | Self::Processed => true,
            Self::Failed | Self::Processing | Self::Received => false,
        }
    }
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

/// One event, as an operator sees it. Its body is kept apart: it may be large, or gone.
#[derive(Clone, Debug)]
pub struct LedgerEvent {
    /// The row.
    pub id: Uuid,
    /// The provider's name for it.
    pub event_id: String,
    /// The provider's type.
    pub kind: String,
    /// The connected account that it is about; empty for the provider's own.
    pub account: String,
    /// Whether it is about real money.
    pub livemode: bool,
    /// Whose it is.
    pub customer_id: Option<String>,
    /// How far it has come.
    pub status: EventStatus,
    /// Why, in a word.
    pub reason: Option<String>,
    /// Why, in a line. Begins with the word.
    pub last_error: Option<String>,
    /// How often an attempt was begun since somebody last asked for one.
    pub attempts: i32,
    /// How often it was delivered.
    pub deliveries: i32,
    /// When it was stored.
    pub received_at: DateTime<Utc>,
    /// When its effect was committed.
    pub processed_at: Option<DateTime<Utc>>,
    /// When it is due: of one under way, when its lease is over. `None` if nothing more happens by
    /// itself.
    pub next_attempt_at: Option<DateTime<Utc>>,
}

/// The columns of a [`Row`], of the table that is called `e`.
macro_rules! columns {
    () => {
        "e.id, e.event_id, e.type, e.account, e.livemode, e.customer_id, e.status, e.reason, \
         e.last_error, e.attempts, e.deliveries, e.received_at, e.processed_at, e.next_attempt_at"
    };
}
pub(super) use columns;

#[derive(FromRow)]
pub(super) struct Row {
    id: Uuid,
    event_id: String,
    #[sqlx(rename = "type")]
    kind: String,
    account: String,
    livemode: bool,
    customer_id: Option<String>,
    status: String,
    reason: Option<String>,
    last_error: Option<String>,
    attempts: i32,
    deliveries: i32,
    received_at: DateTime<Utc>,
    processed_at: Option<DateTime<Utc>>,
    next_attempt_at: DateTime<Utc>,
}

impl TryFrom<Row> for LedgerEvent {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let status: EventStatus = word("status", &row.status)?;
        Ok(Self {
            id: row.id,
            status,
            event_id: row.event_id,
            kind: row.kind,
            account: row.account,
            livemode: row.livemode,
            customer_id: row.customer_id,
            reason: row.reason,
            last_error: row.last_error,
            attempts: row.attempts,
            deliveries: row.deliveries,
            received_at: row.received_at,
            processed_at: row.processed_at,
            next_attempt_at: (!status.is_final()).then_some(row.next_attempt_at),
        })
    }
}

/// Which events to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only of this status.
    pub status: Option<EventStatus>,
    /// Only of this type.
    pub kind: Option<String>,
    /// Only of this customer.
    pub customer_id: Option<String>,
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
    let row: Option<Row> = sqlx::query_as(concat!(
        "select ",
        columns!(),
        " from mt.webhook_events e where provider = $1 and event_id = $2"
    ))
    .bind(provider)
    .bind(event_id)
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(LedgerEvent::try_from).transpose()?)
}

/// The bytes of an event as they were first delivered, until they are purged.
///
/// # Errors
///
/// [`PgError`].
pub async fn body(tx: &mut SystemTx, event: Uuid) -> Result<Option<Vec<u8>>, PgError> {
    let body: Option<Option<Vec<u8>>> =
        sqlx::query_scalar("select body from mt.webhook_events where id = $1")
            .bind(event)
            .fetch_optional(tx.conn())
            .await?;
    Ok(body.flatten())
}

/// Events, newest first, after the row `before`.
///
/// # Errors
///
/// [`PgError`].
pub async fn list(
    tx: &mut SystemTx,
    provider: &str,
    filter: &Filter,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<LedgerEvent>, PgError> {
    let rows: Vec<Row> = sqlx::query_as(concat!(
        "select ",
        columns!(),
        " from mt.webhook_events e \
         where provider = $1 and ($2::text is null or status = $2) and ($3::text is null or type = $3) \
             and ($4::text is null or customer_id = $4) and ($5::uuid is null or id < $5) \
         order by id desc limit $6"
    ))
    .bind(provider)
    .bind(filter.status.map(EventStatus::as_str))
    .bind(&filter.kind)
    .bind(&filter.customer_id)
    .bind(before)
    .bind(limit)
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(|row| Ok(LedgerEvent::try_from(row)?)).collect()
}
