//! `mt-server mail`: the mail that waits in the outbox, and what became of it.
//!
//! Works on the database, whether or not a server runs on it; what is made due is sent by a server that runs.
//! Of an address the domain is shown, and nothing of what a letter says. Exit codes: 0 fine; 1 not every named
//! letter is due; 2 wrong usage.

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use mt_core::email::EmailAddress;
use mt_core::id::PrincipalId;
use mt_core::pg::ledger::outbox::{
    Message, MessageStatus, OutboxEntry, OutboxFilter, Retried, list, retry, retry_all,
};
use mt_core::pg::{PgError, SystemPool, SystemReason, SystemTx, User};
use mt_core::word::Word as _;
use mt_stripe::processor::DUNNING;
use serde::Serialize;
use uuid::Uuid;

use super::CommandError;
use super::output::{print, print_json};
use super::table::{lines, table, time};
use crate::billing::OWNER_MAIL;
use crate::config::Config;
use crate::http::page::{Listing, MAX_LIMIT, Page};
use crate::mail::post::recipient;
use crate::mail::{MAIL, Seal};
use crate::server::{Embedded, cursors, database, seal};

const LIST: SystemReason = SystemReason::new("list mail for an operator");
const RETRY: SystemReason = SystemReason::new("retry mail for an operator");

/// What of the outbox is mail.
const TOPICS: [&str; 3] = [MAIL, OWNER_MAIL, DUNNING];

/// What `mail` takes.
#[derive(Debug, Subcommand)]
pub(super) enum Arguments {
    /// Lists letters, newest first.
    List(ListArguments),
    /// Makes letters due at once: those that are named, or all of a status.
    Retry(RetryArguments),
}

#[derive(Debug, Args)]
pub(super) struct ListArguments {
    /// pending, sending, sent, skipped or dead.
    #[arg(long, value_parser = status)]
    status: Option<MessageStatus>,
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

#[derive(Debug, Args)]
pub(super) struct RetryArguments {
    /// The letters' ids.
    #[arg(required_unless_present = "status", conflicts_with = "status")]
    ids: Vec<Uuid>,
    /// pending or dead.
    #[arg(long, value_parser = retried_status)]
    status: Option<MessageStatus>,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

fn status(word: &str) -> Result<MessageStatus, String> {
    MessageStatus::parse(word).map_err(|error| error.to_string())
}

fn retried_status(word: &str) -> Result<MessageStatus, String> {
    match status(word)? {
        status @ (MessageStatus::Pending | MessageStatus::Dead) => Ok(status),
        _ => Err("only `pending` and `dead` letters can be tried again".to_owned()),
    }
}

pub(super) async fn run(config: &Config, arguments: Arguments) -> Result<(), CommandError> {
    let (database, embedded) = database::open(config, Embedded::Persistent).await?;
    let system = database.system();
    let done = match arguments {
        Arguments::List(arguments) => list_letters(&system, config, arguments).await,
        Arguments::Retry(arguments) => retry_letters(&system, arguments).await,
    };
    database.close().await;
    if let Some(embedded) = embedded {
        embedded.stop().await?;
    }
    done
}

/// A letter as operators see it.
#[derive(Debug, Serialize)]
struct LetterView {
    id: Uuid,
    topic: String,
    /// `…@domain`. `None` where it is not known: the letter was sent, or is for all owners of an org.
    to: Option<String>,
    org_id: Option<String>,
    status: &'static str,
    attempts: u32,
    last_error: Option<String>,
    created_at: DateTime<Utc>,
    next_attempt_at: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
    done_at: Option<DateTime<Utc>>,
}

impl LetterView {
    fn new(entry: OutboxEntry, to: Option<&EmailAddress>) -> Self {
        let Message { id, tenant, topic, attempts, .. } = entry.message;
        Self {
            id,
            topic,
            to: to.map(masked),
            org_id: tenant.map(|org| org.to_string()),
            status: entry.status.as_str(),
            attempts,
            last_error: entry.last_error,
            created_at: entry.created_at,
            next_attempt_at: entry.next_attempt_at,
            expires_at: entry.expires_at,
            done_at: entry.done_at,
        }
    }
}

fn masked(email: &EmailAddress) -> String {
    let domain = email.as_str().split_once('@').map_or("", |(_, domain)| domain);
    format!("…@{domain}")
}

async fn list_letters(
    system: &SystemPool,
    config: &Config,
    arguments: ListArguments,
) -> Result<(), CommandError> {
    let scope = format!("mail:{}", arguments.status.map_or("all", MessageStatus::as_str));
    let cursors = cursors(&config.auth).list(&scope);
    let page: Page<Uuid> = Page::at(arguments.limit, arguments.cursor.as_deref(), cursors)
        .ok_or("`--cursor` takes the `next_cursor` of this very list")?;
    let filter = OutboxFilter { status: arguments.status, topics: TOPICS.to_vec() };
    let mut tx = system.begin(LIST).await?;
    let entries = list(&mut tx, &filter, page.after(), page.fetch()).await?;
    let seal = seal(&config.auth);
    let mut letters = Vec::with_capacity(entries.len());
    for entry in entries {
        let to = addressee(&mut tx, &seal, &entry.message).await?;
        letters.push(LetterView::new(entry, to.as_ref()));
    }
    tx.commit().await?;
    let listing: Listing<LetterView> = page.answer(letters, |letter| letter.id);
    if arguments.json {
        return print_json(&listing);
    }
    print(&of_letters(&listing.items));
    if let Some(cursor) = listing.next_cursor {
        print(&format!("\nmore: --cursor {cursor}\n"));
    }
    Ok(())
}

/// To whom a letter goes: its seal holds the address, or it names one of the org's owners.
async fn addressee(
    tx: &mut SystemTx,
    seal: &Seal,
    message: &Message,
) -> Result<Option<EmailAddress>, PgError> {
    if message.topic == MAIL {
        return Ok(recipient(seal, message));
    }
    let owner = message.payload.get("owner").and_then(serde_json::Value::as_str);
    let Some(owner) = owner.and_then(|owner| Uuid::try_parse(owner).ok()) else { return Ok(None) };
    let email = User::email_of(tx, PrincipalId::from_uuid(owner)).await?;
    Ok(email.and_then(|email| EmailAddress::parse(&email).ok()))
}

/// What asking for another attempt did to one letter.
#[derive(Debug, Serialize)]
struct RetriedView {
    id: Uuid,
    /// Whether it is due now.
    due: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl RetriedView {
    fn new(id: Uuid, retried: Retried) -> Self {
        let error = match retried {
            Retried::Due => None,
            Retried::NotFound => Some("no such letter".to_owned()),
            Retried::NotWaiting(status) => Some(format!("the letter is {}", status.as_str())),
        };
        Self { id, due: retried == Retried::Due, error }
    }
}

async fn retry_letters(system: &SystemPool, arguments: RetryArguments) -> Result<(), CommandError> {
    let mut tx = system.begin(RETRY).await?;
    let mut retried = Vec::new();
    if let Some(status) = arguments.status {
        let ids = retry_all(&mut tx, &TOPICS, status).await?;
        retried.extend(ids.into_iter().map(|id| RetriedView::new(id, Retried::Due)));
    }
    for id in arguments.ids {
        retried.push(RetriedView::new(id, retry(&mut tx, &TOPICS, id).await?));
    }
    tx.commit().await?;
    let left = retried.iter().filter(|one| !one.due).count();
    if arguments.json {
        print_json(&retried)?;
    } else {
        let mut table = table(&["LETTER", "DUE", "ERROR"]);
        for one in &retried {
            let due = if one.due { "now" } else { "-" };
            table.add_row([
                one.id.to_string(),
                due.to_owned(),
                one.error.clone().unwrap_or_default(),
            ]);
        }
        print(&lines(table));
    }
    match left {
        0 => Ok(()),
        _ => Err(format!("{left} of {} are not due", retried.len()).into()),
    }
}

fn of_letters(letters: &[LetterView]) -> String {
    let mut table =
        table(&["LETTER", "TOPIC", "TO", "STATUS", "TRIED", "CREATED", "DUE", "EXPIRES", "ERROR"]);
    for letter in letters {
        table.add_row([
            letter.id.to_string(),
            letter.topic.clone(),
            letter.to.clone().unwrap_or_else(|| "-".to_owned()),
            letter.status.to_owned(),
            letter.attempts.to_string(),
            time(Some(letter.created_at)),
            time(letter.next_attempt_at),
            time(letter.expires_at),
            letter.last_error.clone().unwrap_or_default(),
        ]);
    }
    lines(table)
}
