//! Lists, shows and replays webhook events of Stripe.

mod table;
mod view;

use clap::{Args, Subcommand};
use mt_core::pg::ledger::{EventStatus, Filter, LedgerEvent, ReplayError, ReplayRequest};
use mt_core::pg::{Database, System};
use mt_core::text_enum::TextEnum as _;
use mt_http::page::{MAX_LIMIT, Page};
use mt_http::{Cursors, EventView};
use mt_stripe::billing::StripeBilling;
use mt_stripe::operations::scope;
use serde::Serialize;

use super::program::Program;
use crate::output::{CommandError, print, print_json};
use crate::with_causes;

/// Lists, shows and replays webhook events of Stripe.
///
/// `--json` prints what the endpoints of [`WebhookEvents`](mt_http::WebhookEvents) answer.
#[derive(Debug, Subcommand)]
pub enum WebhooksCommand {
    /// Lists events, newest first.
    List(ListArguments),
    /// Shows an event: its payload, and everything that was tried.
    Show(ShowArguments),
    /// Tries events again: those that are named, or all of a status.
    Replay(ReplayArguments),
}

/// The arguments of `list`.
#[derive(Debug, Args)]
pub struct ListArguments {
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

/// The arguments of `show`.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// Stripe's name for the event.
    event_id: String,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// The arguments of `replay`.
#[derive(Debug, Args)]
pub struct ReplayArguments {
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

impl WebhooksCommand {
    /// Runs the command on `database`. `cursors` are those of the servers on it; `billing` makes what applies events, for
    /// a replay alone.
    ///
    /// # Errors
    ///
    /// When there is no such event, a cursor is not of this list, a replayed event was not applied, or the database
    /// fails.
    pub async fn run<E: Into<CommandError>>(
        self,
        program: &Program,
        database: &Database,
        cursors: &Cursors,
        billing: impl FnOnce(System) -> Result<StripeBilling, E>,
    ) -> Result<(), CommandError> {
        let system = database.system();
        match self {
            Self::List(arguments) => list(&system, cursors, arguments).await,
            Self::Show(arguments) => show(&system, &arguments).await,
            Self::Replay(arguments) => {
                let billing = billing(system).map_err(Into::into)?;
                replay(program, &billing, cursors, arguments).await
            }
        }
    }
}

async fn list(
    system: &System,
    cursors: &Cursors,
    arguments: ListArguments,
) -> Result<(), CommandError> {
    let filter = Filter::from(arguments.filter);
    let cursors = cursors.list(&scope(&filter));
    let page = Page::at(arguments.limit, arguments.cursor.as_deref(), cursors)
        .ok_or("`--cursor` takes the `next_cursor` of this very list")?;
    let listing = view::page_of_events(system, &filter, &page).await?;
    if arguments.json {
        return print_json(&listing);
    }
    print(&table::of_events(&listing.items).to_string())?;
    if let Some(cursor) = listing.next_cursor {
        print(&format!("\nmore: --cursor {cursor}\n"))?;
    }
    Ok(())
}

async fn show(system: &System, arguments: &ShowArguments) -> Result<(), CommandError> {
    let found = view::details(system, &arguments.event_id).await?;
    let details = found.ok_or(ReplayError::NotFound)?;
    if arguments.json {
        return print_json(&details);
    }
    let history = table::of_history(&details.history);
    print(&format!("{}\n{history}", table::of_event(&details.event)))?;
    match details.payload {
        Some(payload) => print(&format!("\n{payload}\n")),
        None => print("\nThe payload was purged.\n"),
    }
}

/// The result of a replay.
#[derive(Debug, Serialize)]
struct Replayed {
    event_id: String,
    #[serde(flatten)]
    event: Option<EventView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

async fn replay(
    program: &Program,
    billing: &StripeBilling,
    cursors: &Cursors,
    arguments: ReplayArguments,
) -> Result<(), CommandError> {
    let mut request = ReplayRequest::by(program.operator(&arguments.actor));
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
        print(&table::of_replays(&replayed).to_string())?;
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

/// Returns the ids of all events of `filter`, oldest first: the order in which they came.
async fn all_of(
    billing: &StripeBilling,
    cursors: &Cursors,
    filter: &Filter,
) -> Result<Vec<String>, CommandError> {
    let cursors = cursors.list(&scope(filter));
    let (mut ids, mut cursor) = (Vec::new(), None);
    loop {
        let page = Page::at(MAX_LIMIT, cursor.as_deref(), cursors.clone())
            .ok_or("the list was cut short")?;
        let system = billing.ledger().system();
        let listing = view::page_of_events(system, filter, &page).await?;
        ids.extend(listing.items.into_iter().map(|event| event.event_id));
        cursor = listing.next_cursor;
        if cursor.is_none() {
            ids.reverse();
            return Ok(ids);
        }
    }
}
