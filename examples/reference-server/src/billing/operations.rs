//! Stored events as operators see them, over HTTP and on the command line alike.

use chrono::{DateTime, Utc};
use mt_core::pg::ledger::{EventStatus, Filter, HistoryEntry, LedgerEvent};
use mt_core::pg::{PgError, System};
use mt_stripe::operations;
pub use mt_stripe::operations::scope;
use salvo_oapi::ToSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::http::page::{Listing, Page};
use crate::http::text_enum::AsText;

/// An event.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EventView {
    /// The id of the event at Stripe.
    pub event_id: String,
    /// The type of the event at Stripe.
    pub r#type: String,
    /// The status of the event.
    pub status: AsText<EventStatus>,
    /// The number of attempts since the last replay.
    pub attempts: i32,
    /// The number of deliveries.
    pub deliveries: i32,
    /// Why the event was not applied, with a code first.
    #[salvo(schema(required = true))]
    pub last_error: Option<String>,
    /// The time at which it was stored.
    pub received_at: DateTime<Utc>,
    /// The time at which its effect was committed.
    #[salvo(schema(required = true))]
    pub processed_at: Option<DateTime<Utc>>,
    /// The time of the next attempt; `null` if none is planned.
    #[salvo(schema(required = true))]
    pub next_attempt_at: Option<DateTime<Utc>>,
}

/// An event with its delivered body.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventDetails {
    /// The event.
    #[serde(flatten)]
    pub event: EventView,
    /// The delivered body; `null` once it was purged.
    #[salvo(schema(value_type = Option<Object>, required = true))]
    pub payload: Option<Box<RawValue>>,
}

/// One line of an event's history.
#[derive(Debug, Serialize)]
pub struct HistoryView {
    /// `processed`, `ignored`, `failed`, `dead`, `abandoned`, or `replay` for a request of an operator.
    pub outcome: String,
    /// Which attempt, counted from the last replay on.
    pub attempt: i32,
    /// Why; of a replay, how the event stood before.
    pub detail: Option<String>,
    /// Who asked.
    pub actor: Option<String>,
    /// When it began.
    pub began_at: Option<DateTime<Utc>>,
    /// When it ended, or was asked for.
    pub ended_at: DateTime<Utc>,
}

impl From<LedgerEvent> for EventView {
    fn from(event: LedgerEvent) -> Self {
        Self {
            event_id: event.event_id,
            r#type: event.kind,
            status: AsText(event.status),
            attempts: event.attempts,
            deliveries: event.deliveries,
            last_error: event.last_error,
            received_at: event.received_at,
            processed_at: event.processed_at,
            next_attempt_at: event.next_attempt_at,
        }
    }
}

impl From<HistoryEntry> for HistoryView {
    fn from(entry: HistoryEntry) -> Self {
        let HistoryEntry { attempt, outcome, detail, actor, began_at, ended_at } = entry;
        Self { outcome, attempt, detail, actor, began_at, ended_at }
    }
}

/// One page of events, newest first.
///
/// # Errors
///
/// [`PgError`].
pub async fn page_of_events(
    system: &System,
    filter: &Filter,
    page: &Page,
) -> Result<Listing<EventView>, PgError> {
    let events = operations::list(system, filter, page.after(), page.fetch()).await?;
    let Listing { items, next_cursor } = page.answer(events, |event| event.id);
    Ok(Listing { items: items.into_iter().map(EventView::from).collect(), next_cursor })
}

/// One event with its body and its history, if there is one of that name.
///
/// # Errors
///
/// [`PgError`].
pub async fn details(
    system: &System,
    event_id: &str,
) -> Result<Option<(EventDetails, Vec<HistoryView>)>, PgError> {
    let Some(found) = operations::find(system, event_id).await? else { return Ok(None) };
    // What was stored is JSON: it was read before.
    let payload = found.body.and_then(|body| serde_json::from_slice(&body).ok());
    let details = EventDetails { event: found.event.into(), payload };
    Ok(Some((details, found.history.into_iter().map(HistoryView::from).collect())))
}
