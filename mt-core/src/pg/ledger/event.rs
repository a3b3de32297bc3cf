//! Events as operators see them.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use crate::pg::transaction::decode::variant;
use crate::pg::{PgError, SystemTx};
use crate::text_enum::TextEnum as _;

crate::text_enum! {
    /// The status of an event.
    pub enum EventStatus {
        /// Stored, and due.
        Received = "received",
        /// Leased to an attempt.
        Processing = "processing",
        /// Its effect is committed.
        Processed = "processed",
        /// Its last attempt did not apply it; it is tried again.
        Failed = "failed",
        /// It was not applied, and is tried again only if an operator replays it.
        Dead = "dead",
        /// It has no effect.
        Ignored = "ignored",
    }
}

impl EventStatus {
    /// Whether the ledger does nothing more with the event by itself.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Dead | Self::Ignored | Self::Processed => true,
            Self::Failed | Self::Processing | Self::Received => false,
        }
    }
}

/// An event as operators see it, without its body, which may be large or purged.
#[derive(Clone, Debug)]
pub struct LedgerEvent {
    /// The row's identifier.
    pub id: Uuid,
    /// The provider's identifier of the event.
    pub event_id: String,
    /// The provider's type of the event.
    pub kind: String,
    /// The connected account that the event belongs to; empty for the platform's own.
    pub account: String,
    /// Whether the event is about real money.
    pub livemode: bool,
    /// The customer that the event is about.
    pub customer_id: Option<String>,
    /// The status.
    pub status: EventStatus,
    /// Why the event was not applied, in a word.
    pub reason: Option<String>,
    /// Why the event was not applied, in a line that begins with the word.
    pub last_error: Option<String>,
    /// The number of attempts begun since the last replay.
    pub attempts: i32,
    /// The number of deliveries.
    pub deliveries: i32,
    /// When it was stored.
    pub received_at: DateTime<Utc>,
    /// When its effect was committed.
    pub processed_at: Option<DateTime<Utc>>,
    /// When the event is due; for one that is being processed, the end of its lease. `None` in a final status.
    pub next_attempt_at: Option<DateTime<Utc>>,
}

/// The columns of a [`Row`], of the table `e`.
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
        let status: EventStatus = variant("status", &row.status)?;
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

/// A filter for [`list`].
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only events of this status.
    pub status: Option<EventStatus>,
    /// Only events of this type.
    pub kind: Option<String>,
    /// Only events of this customer.
    pub customer_id: Option<String>,
}

/// Finds an event by the provider's identifier.
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

/// Reads the body of an event's first delivery; `None` after it was purged.
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

/// Lists events, newest first, that come after the row `before`.
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
