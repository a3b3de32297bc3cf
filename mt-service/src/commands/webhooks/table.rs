//! Events and what was tried of them, as tables.

use mt_http::EventView;

use super::Replayed;
use super::view::HistoryView;
use crate::commands::table::{Table, time};

pub(super) fn of_events(events: &[EventView]) -> Table {
    let mut table =
        Table::new(&["EVENT", "TYPE", "STATUS", "TRIED", "SENT", "RECEIVED", "DUE", "ERROR"]);
    for event in events {
        table.row([
            event.event_id.clone(),
            event.r#type.clone(),
            event.status.to_string(),
            event.attempts.to_string(),
            event.deliveries.to_string(),
            time(Some(event.received_at)),
            time(event.next_attempt_at),
            event.last_error.clone().unwrap_or_default(),
        ]);
    }
    table
}

pub(super) fn of_event(event: &EventView) -> Table {
    let mut table = Table::new(&[]);
    for (name, value) in [
        ("event", event.event_id.clone()),
        ("type", event.r#type.clone()),
        ("status", event.status.to_string()),
        ("attempts", event.attempts.to_string()),
        ("deliveries", event.deliveries.to_string()),
        ("received", time(Some(event.received_at))),
        ("processed", time(event.processed_at)),
        ("due", time(event.next_attempt_at)),
        ("error", event.last_error.clone().unwrap_or_default()),
    ] {
        table.row([name.to_owned(), value]);
    }
    table
}

pub(super) fn of_history(entries: &[HistoryView]) -> Table {
    let mut table = Table::new(&["AT", "ATTEMPT", "OUTCOME", "DETAIL", "BY"]);
    for entry in entries {
        table.row([
            time(Some(entry.ended_at)),
            entry.attempt.to_string(),
            entry.outcome.clone(),
            entry.detail.clone().unwrap_or_default(),
            entry.actor.clone().unwrap_or_default(),
        ]);
    }
    table
}

pub(super) fn of_replays(replayed: &[Replayed]) -> Table {
    let mut table = Table::new(&["EVENT", "STATUS", "ERROR"]);
    for one in replayed {
        let event = one.event.as_ref();
        let error = one.error.clone().or_else(|| event?.last_error.clone());
        table.row([
            one.event_id.clone(),
            event.map_or_else(|| "-".to_owned(), |event| event.status.to_string()),
            error.unwrap_or_default(),
        ]);
    }
    table
}
