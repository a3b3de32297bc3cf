//! Storing deliveries, and making events due again.

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use uuid::Uuid;

use super::EventStatus;
use crate::pg::decode::word;
use crate::pg::{PgError, SystemTx};

/// A verified delivery, with what its envelope says.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'d> {
    /// Who sent it.
    pub provider: &'d str,
    /// What they call the event: the same in each delivery of it.
    pub event_id: &'d str,
    /// Their type.
    pub kind: &'d str,
    /// The connected account that it is about; empty for our own.
    pub account: &'d str,
    /// Whether it is about real money.
    pub livemode: bool,
    /// The version that it is rendered in.
    pub api_version: Option<&'d str>,
    /// When they made it.
    pub created: Option<DateTime<Utc>>,
    /// What it is about.
    pub object_id: Option<&'d str>,
    /// Whose that is.
    pub customer_id: Option<&'d str>,
    /// The bytes, as received.
    pub body: &'d [u8],
}

/// What the ledger says of a delivery.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Recorded {
    /// How far the event has come.
    pub status: EventStatus,
    /// Whether it was there already.
    pub duplicate: bool,
}

/// Stores a delivery, or counts it if its event is known. Commit before you acknowledge it.
///
/// The body of a repeated delivery may differ, for providers render it anew; the first is kept.
///
/// # Errors
///
/// [`PgError`].
pub async fn record(tx: &mut SystemTx, delivery: Delivery<'_>) -> Result<Recorded, PgError> {
    let row = sqlx::query(
        "insert into mt.webhook_events as e \
             (id, provider, event_id, type, account, livemode, api_version, event_created, \
              object_id, customer_id, body) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
         on conflict (provider, event_id) do update \
             set deliveries = e.deliveries + 1, last_delivery_at = now() \
         returning status, deliveries > 1 as duplicate",
    )
    .bind(Uuid::now_v7())
    .bind(delivery.provider)
    .bind(delivery.event_id)
    .bind(delivery.kind)
    .bind(delivery.account)
    .bind(delivery.livemode)
    .bind(delivery.api_version)
    .bind(delivery.created)
    .bind(delivery.object_id)
    .bind(delivery.customer_id)
    .bind(delivery.body)
    .fetch_one(tx.conn())
    .await?;
    Ok(Recorded {
        status: word("status", row.try_get("status")?)?,
        duplicate: row.try_get("duplicate")?,
    })
}

/// Makes an event due again because somebody asks: it starts over with all its attempts. One that was
/// processed stays so, and one under way is left alone.
///
/// Says how the event stood before, or `None` if there is none.
///
/// # Errors
///
/// [`PgError`].
pub async fn requeue(
    tx: &mut SystemTx,
    provider: &str,
    event_id: &str,
) -> Result<Option<EventStatus>, PgError> {
    let status: Option<String> = sqlx::query_scalar(
        "select case when status = 'processing' and lease_until < clock_timestamp() \
             then 'received' else status end \
         from mt.webhook_events where provider = $1 and event_id = $2 for update",
    )
    .bind(provider)
    .bind(event_id)
    .fetch_optional(tx.conn())
    .await?;
    let Some(status) = status else { return Ok(None) };
    let status = word("status", &status)?;
    if !matches!(status, EventStatus::Processed | EventStatus::Processing) {
        sqlx::query(
            "update mt.webhook_events set status = 'received', attempts = 0, \
                 next_attempt_at = clock_timestamp(), lease_token = null, lease_until = null \
             where provider = $1 and event_id = $2",
        )
        .bind(provider)
        .bind(event_id)
        .execute(tx.conn())
        .await?;
    }
    Ok(Some(status))
}

/// Makes a customer's failed events due at once: what they were waiting for has come.
///
/// # Errors
///
/// [`PgError`].
pub async fn wake(tx: &mut SystemTx, provider: &str, customer: &str) -> Result<u64, PgError> {
    let woken = sqlx::query(
        "update mt.webhook_events set next_attempt_at = clock_timestamp() \
         where provider = $1 and customer_id = $2 and status = 'failed'",
    )
    .bind(provider)
    .bind(customer)
    .execute(tx.conn())
    .await?;
    Ok(woken.rows_affected())
}
