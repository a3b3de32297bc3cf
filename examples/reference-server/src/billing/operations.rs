//! Stored events as operators see them on the command line.

use chrono::{DateTime, Utc};
use mt_core::pg::ledger::{Filter, HistoryEntry, LedgerEvent};
use mt_core::pg::{PgError, System};
pub use mt_http::EventView;
use mt_http::page::{Listing, Page};
use mt_stripe::operations;
pub use mt_stripe::operations::scope;
use serde::Serialize;
use serde_json::value::RawValue;

/// An event with its delivered body.
#[derive(Debug, Serialize)]
pub struct EventDetails {
    /// The event.
    #[serde(flatten)]
    pub event: EventView,
    /// The delivered body; `null` once it was purged.
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
    let Listing { items, next_cursor } = page.answer(events, |event: &LedgerEvent| event.id);
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
