//! Stored events as operators see them.

use chrono::{DateTime, Utc};
use mt_core::pg::ledger::{Filter, HistoryEntry, LedgerEvent};
use mt_core::pg::{PgError, System};
use mt_http::EventView;
use mt_http::page::{Listing, Page};
use mt_stripe::operations;
use serde::Serialize;
use serde_json::value::RawValue;

/// An event with its delivered body and its history.
#[derive(Debug, Serialize)]
pub(super) struct EventDetails {
    #[serde(flatten)]
    pub(super) event: EventView,
    /// `null` once it was purged.
    pub(super) payload: Option<Box<RawValue>>,
    pub(super) history: Vec<HistoryView>,
}

/// An attempt or a replay in an event's history.
#[derive(Debug, Serialize)]
pub(super) struct HistoryView {
    /// `processed`, `ignored`, `failed`, `dead`, `abandoned`, or `replay` for a request of an operator.
    pub(super) outcome: String,
    /// The number of the attempt since the last replay.
    pub(super) attempt: i32,
    /// The reason; of a replay, the status before it.
    pub(super) detail: Option<String>,
    /// The operator who asked for the replay.
    pub(super) actor: Option<String>,
    /// The time at which it began.
    pub(super) began_at: Option<DateTime<Utc>>,
    /// The time at which it ended, or was asked for.
    pub(super) ended_at: DateTime<Utc>,
}

impl From<HistoryEntry> for HistoryView {
    fn from(entry: HistoryEntry) -> Self {
        let HistoryEntry { attempt, outcome, detail, actor, began_at, ended_at } = entry;
        Self { outcome, attempt, detail, actor, began_at, ended_at }
    }
}

/// Returns one page of events, newest first.
pub(super) async fn page_of_events(
    system: &System,
    filter: &Filter,
    page: &Page,
) -> Result<Listing<EventView>, PgError> {
    let events = operations::list(system, filter, page.after(), page.fetch()).await?;
    let Listing { items, next_cursor } = page.answer(events, |event: &LedgerEvent| event.id);
    Ok(Listing { items: items.into_iter().map(EventView::from).collect(), next_cursor })
}

/// Returns the event with its body and its history; `None` if there is no such event.
pub(super) async fn details(
    system: &System,
    event_id: &str,
) -> Result<Option<EventDetails>, PgError> {
    let Some(found) = operations::find(system, event_id).await? else { return Ok(None) };
    // What was stored is JSON: it was read before.
    let payload = found.body.and_then(|body| serde_json::from_slice(&body).ok());
    let history = found.history.into_iter().map(HistoryView::from).collect();
    Ok(Some(EventDetails { event: found.event.into(), payload, history }))
}
