//! `mt-server webhooks`: the history of Stripe's events.
//!
//! Works on the database, whether or not a server runs on it. Tables are for people; `--json` prints what
//! the routes of `/admin/webhook-events` answer. Exit codes: 0 fine; 1 no such event, or not every replayed
//! one is applied; 2 wrong usage.

mod table;

use clap::{Args, Subcommand};
use mt_core::pg::System;
use mt_core::pg::ledger::{EventStatus, Filter, LedgerEvent, ReplayError, ReplayRequest};
use mt_core::text_enum::TextEnum as _;
use mt_stripe::billing::StripeBilling;
use serde::Serialize;

use super::CommandError;
use super::output::{print, print_json};
use crate::billing::billing;
use crate::billing::operations::{self, EventView};
use crate::causes::with_causes;
use crate::config::Config;
use crate::server::{Embedded, cursors, database};
use mt_http::Cursors;
use mt_http::page::{MAX_LIMIT, Page};

/// What `webhooks` takes.
#[derive(Debug, Subcommand)]
pub(super) enum Arguments {
    /// Lists events, newest first.
    List(ListArguments),
    /// Shows an event: its payload, and everything that was tried.
    Show(ShowArguments),
    /// Tries events again: those that are named, or all of a status.
    Replay(ReplayArguments),
}

#[derive(Debug, Args)]
pub(super) struct ListArguments {
    #[command(flatten)]
    filter: FilterArguments,
    /// At most so many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u8).range(1..=i64::from(MAX_LIMIT)))]
    limit: u8,
    /// The `next_cursor` of the page before.
    #[arg(long)]
    cursor: Option<String>,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Debug, Args)]
struct FilterArguments {
    /// received, processing, processed, failed, dead or ignored.
    #[arg(long, value_parser = status)]
    status: Option<EventStatus>,
    /// Stripe's type, such as `invoice.paid`.
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Stripe's name for the customer.
    #[arg(long)]
    customer: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct ShowArguments {
    /// Stripe's name for the event.
    event_id: String,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ReplayArguments {
    /// Stripe's names for the events.
    #[arg(required_unless_present = "status", conflicts_with_all = ["status", "kind", "customer"])]
    event_ids: Vec<String>,
    #[command(flatten)]
    filter: FilterArguments,
    /// Applies also what was applied before, which should change nothing.
    #[arg(long)]
    force: bool,
    /// Who asks, for the event's history.
    #[arg(long, env = "USER", default_value = "unknown")]
    actor: String,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

fn status(word: &str) -> Result<EventStatus, String> {
    EventStatus::parse(word).map_err(|error| error.to_string())
}

impl From<FilterArguments> for Filter {
    fn from(arguments: FilterArguments) -> Self {
        let FilterArguments { status, kind, customer } = arguments;
        Self { status, kind, customer_id: customer }
    }
}

pub(super) async fn run(config: &Config, arguments: Arguments) -> Result<(), CommandError> {
    let (database, embedded) = database::open(config, Embedded::Persistent).await?;
    let system = database.system();
    let done = match arguments {
        Arguments::List(arguments) => list(&system, &cursors(&config.auth), arguments).await,
        Arguments::Show(arguments) => show(&system, &arguments).await,
        Arguments::Replay(arguments) => {
            let billing = billing(system, config)?;
            replay(&billing, &cursors(&config.auth), arguments).await
        }
    };
    database.close().await;
    if let Some(embedded) = embedded {
        embedded.stop().await?;
    }
    done
}

async fn list(
    system: &System,
    cursors: &Cursors,
    arguments: ListArguments,
) -> Result<(), CommandError> {
    let filter = Filter::from(arguments.filter);
    let cursors = cursors.list(&operations::scope(&filter));
    let page = Page::at(arguments.limit, arguments.cursor.as_deref(), cursors)
        .ok_or("`--cursor` takes the `next_cursor` of this very list")?;
    let listing = operations::page_of_events(system, &filter, &page).await?;
    if arguments.json {
        return print_json(&listing);
    }
    print(&table::of_events(&listing.items));
    if let Some(cursor) = listing.next_cursor {
        print(&format!("\nmore: --cursor {cursor}\n"));
    }
    Ok(())
}

async fn show(system: &System, arguments: &ShowArguments) -> Result<(), CommandError> {
    #[derive(Serialize)]
    struct Shown {
        #[serde(flatten)]
        details: operations::EventDetails,
        history: Vec<operations::HistoryView>,
    }
    let found = operations::details(system, &arguments.event_id).await?;
    let (details, history) = found.ok_or(ReplayError::NotFound)?;
    if arguments.json {
        return print_json(&Shown { details, history });
    }
    print(&table::of_event(&details.event));
    print(&format!("\n{}", table::of_history(&history)));
    match details.payload {
        Some(payload) => print(&format!("\n{payload}\n")),
        None => print("\nThe payload was purged.\n"),
    }
    Ok(())
}

/// What became of one.
#[derive(Debug, Serialize)]
struct Replayed {
    event_id: String,
    #[serde(flatten)]
    event: Option<EventView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

async fn replay(
    billing: &StripeBilling,
    cursors: &Cursors,
    arguments: ReplayArguments,
) -> Result<(), CommandError> {
    let mut request = ReplayRequest::by(format!("mt-server, {}", arguments.actor));
    if arguments.force {
        request = request.force();
    }
    let ids = if arguments.event_ids.is_empty() {
        all_of(billing, cursors, &arguments.filter.into()).await?
    } else {
        arguments.event_ids
    };
    let mut replayed = Vec::with_capacity(ids.len());
    let mut left = 0;
    for event_id in ids {
        let outcome = billing.ledger().replay(&event_id, &request).await;
        left += usize::from(!outcome.as_ref().is_ok_and(is_done_with));
        let (event, error) = match outcome {
            Ok(event) => (Some(event.into()), None),
            Err(error) => (None, Some(with_causes(&error))),
        };
        replayed.push(Replayed { event_id, event, error });
    }
    if arguments.json {
        print_json(&replayed)?;
    } else {
        print(&table::of_replays(&replayed));
    }
    if left == 0 {
        Ok(())
    } else {
        Err(format!("{left} of {} are not applied", replayed.len()).into())
    }
}

const fn is_done_with(event: &LedgerEvent) -> bool {
    matches!(event.status, EventStatus::Ignored | EventStatus::Processed)
}

/// The names of all events that there are of `filter`, oldest first: the order in which they came.
async fn all_of(
    billing: &StripeBilling,
    cursors: &Cursors,
    filter: &Filter,
) -> Result<Vec<String>, CommandError> {
    let cursors = cursors.list(&operations::scope(filter));
    let (mut ids, mut cursor) = (Vec::new(), None);
    loop {
        let page = Page::at(MAX_LIMIT, cursor.as_deref(), cursors.clone())
            .ok_or("the list was cut short")?;
        let system = billing.ledger().system();
        let listing = operations::page_of_events(system, filter, &page).await?;
        ids.extend(listing.items.into_iter().map(|event| event.event_id));
        cursor = listing.next_cursor;
        if cursor.is_none() {
            ids.reverse();
            return Ok(ids);
        }
    }
}
