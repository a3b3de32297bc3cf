//! Stored events as operators look at them: a list in pages, and one event with its body and its history.
//!
//! ```no_run
//! use mt_core::pg::System;
//! use mt_core::pg::ledger::{EventStatus, Filter};
//! use mt_stripe::operations;
//!
//! # async fn show(system: &System) -> Result<(), mt_core::pg::PgError> {
//! let dead = Filter { status: Some(EventStatus::Dead), ..Filter::default() };
//! let mut last = None;
//! loop {
//!     let page = operations::list(system, &dead, last, 50).await?;
//!     let Some(event) = page.last() else { break };
//!     last = Some(event.id);
//! }
//! # Ok(())
//! # }
//! ```

use mt_core::pg::ledger::{self, EventStatus, Filter, HistoryEntry, LedgerEvent};
use mt_core::pg::{PgError, System, SystemReason};
use mt_core::text_enum::TextEnum as _;
use uuid::Uuid;

use crate::PROVIDER;

const LIST: SystemReason = SystemReason::new("list webhook events for an operator");
const SHOW: SystemReason = SystemReason::new("show a webhook event to an operator");

/// How much of an event's history is shown.
const HISTORY: i64 = 1000;

/// A stored event with its body and its history.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EventDetails {
    /// The event.
    pub event: LedgerEvent,
    /// The delivered body, which is JSON; `None` once it was purged.
    pub body: Option<Vec<u8>>,
    /// The attempts and replays, newest first.
    pub history: Vec<HistoryEntry>,
}

/// Returns the text that names the list of `filter`. A cursor is valid for the list that it came from only, so bind it to
/// this.
#[must_use]
pub fn scope(filter: &Filter) -> String {
    let Filter { status, kind, customer_id } = filter;
    let status = status.map_or("", EventStatus::as_str);
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    format!("webhook-events:{status}:{}:{}", text(kind), text(customer_id))
}

/// Returns at most `limit` events of `filter`, newest first, that come after the event with the row id `last` in the list.
///
/// # Errors
///
/// [`PgError`].
pub async fn list(
    system: &System,
    filter: &Filter,
    last: Option<Uuid>,
    limit: i64,
) -> Result<Vec<LedgerEvent>, PgError> {
    let mut tx = system.begin(LIST).await?;
    let events = ledger::list(&mut tx, PROVIDER, filter, last, limit).await?;
    tx.commit().await?;
    Ok(events)
}

/// Returns the event with Stripe's id `event_id`, if it is stored.
///
/// # Errors
///
/// [`PgError`].
pub async fn find(system: &System, event_id: &str) -> Result<Option<EventDetails>, PgError> {
    let mut tx = system.begin(SHOW).await?;
    let Some(event) = ledger::find(&mut tx, PROVIDER, event_id).await? else { return Ok(None) };
    let body = ledger::body(&mut tx, event.id).await?;
    let history = ledger::history(&mut tx, event.id, HISTORY).await?;
    tx.commit().await?;
    Ok(Some(EventDetails { event, body, history }))
}
