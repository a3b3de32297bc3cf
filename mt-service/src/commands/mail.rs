//! Lists the emails of the outbox and their delivery status, and retries them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use mt_core::email::EmailAddress;
use mt_core::id::PrincipalId;
use mt_core::pg::billing::DUNNING;
use mt_core::pg::ledger::outbox::{
    Message, MessageStatus, OutboxEntry, OutboxFilter, Retried, list, retry, retry_all,
};
use mt_core::pg::{Database, PgError, System, SystemReason, SystemTx, User};
use mt_core::text_enum::TextEnum as _;
use mt_http::Cursors;
use mt_http::page::{Listing, MAX_LIMIT, Page};
use mt_mail::{MAIL, PAYMENT_FAILED_MAIL, Seal, recipient};
use serde::Serialize;
use uuid::Uuid;

use super::program::Program;
use super::table::{Table, time};
use crate::output::{CommandError, print, print_json};

const LIST: SystemReason = SystemReason::new("list mail for an operator");
const RETRY: SystemReason = SystemReason::new("retry mail for an operator");

/// The outbox topics that are mail.
const TOPICS: [&str; 3] = [MAIL, PAYMENT_FAILED_MAIL, DUNNING];

/// Lists emails in the outbox, and retries them.
///
/// A running server sends the emails that are due. The commands show the domain of an address and nothing of the
/// content.
#[derive(Debug, Subcommand)]
pub enum MailCommand {
    /// Lists emails, newest first.
    List(ListArguments),
    /// Makes emails due now: those with the given ids, or all with a status.
    Retry(RetryArguments),
}

/// The arguments of `list`.
#[derive(Debug, Args)]
pub struct ListArguments {
    /// pending, sending, sent, skipped or dead.
    #[arg(long, value_parser = status)]
    status: Option<MessageStatus>,
    /// Maximum number of emails.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u8).range(1..=i64::from(MAX_LIMIT)))]
    limit: u8,
    /// The `next_cursor` of the previous page.
    #[arg(long)]
    cursor: Option<String>,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// The arguments of `retry`.
#[derive(Debug, Args)]
pub struct RetryArguments {
    /// Ids of the emails.
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
        _ => Err("only `pending` and `dead` emails can be retried".to_owned()),
    }
}

impl MailCommand {
    /// Runs the command on `database`. `cursors` and `seal` are those of the servers on it.
    ///
    /// # Errors
    ///
    /// When a cursor is not of this list, an email that is named cannot be made due, or the database fails.
    pub async fn run(
        self,
        program: &Program,
        database: &Database,
        cursors: &Cursors,
        seal: &Seal,
    ) -> Result<(), CommandError> {
        let system = database.system();
        match self {
            Self::List(arguments) => list_emails(program, &system, cursors, seal, arguments).await,
            Self::Retry(arguments) => retry_emails(&system, arguments).await,
        }
    }
}

/// An email as operators see it.
#[derive(Debug, Serialize)]
struct EmailView {
    id: Uuid,
    topic: String,
    /// `…@domain`. `None` if unknown: the email was sent, or goes to all owners of a tenant.
    to: Option<String>,
    /// The tenant's id, by its name in the service.
    #[serde(flatten)]
    tenant: BTreeMap<String, Option<String>>,
    status: &'static str,
    attempts: u32,
    last_error: Option<String>,
    created_at: DateTime<Utc>,
    next_attempt_at: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
    done_at: Option<DateTime<Utc>>,
}

impl EmailView {
    fn new(program: &Program, entry: OutboxEntry, to: Option<&EmailAddress>) -> Self {
        let Message { id, tenant, topic, attempts, .. } = entry.message;
        Self {
            id,
            topic,
            to: to.map(masked),
            tenant: [(program.noun().id_name(), tenant.map(|id| id.to_string()))].into(),
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

async fn list_emails(
    program: &Program,
    system: &System,
    cursors: &Cursors,
    seal: &Seal,
    arguments: ListArguments,
) -> Result<(), CommandError> {
    let scope = format!("mail:{}", arguments.status.map_or("all", MessageStatus::as_str));
    let cursors = cursors.list(&scope);
    let page: Page<Uuid> = Page::at(arguments.limit, arguments.cursor.as_deref(), cursors)
        .ok_or("`--cursor` must be a `next_cursor` of the same list")?;
    let filter = OutboxFilter { status: arguments.status, topics: TOPICS.to_vec() };
    let mut tx = system.begin(LIST).await?;
    let entries = list(&mut tx, &filter, page.after(), page.fetch()).await?;
    let mut emails = Vec::with_capacity(entries.len());
    for entry in entries {
        let to = addressee(&mut tx, seal, &entry.message).await?;
        emails.push(EmailView::new(program, entry, to.as_ref()));
    }
    tx.commit().await?;
    let listing: Listing<EmailView> = page.answer(emails, |email| email.id);
    if arguments.json {
        return print_json(&listing);
    }
    print(&emails_table(&listing.items).to_string())?;
    if let Some(cursor) = listing.next_cursor {
        print(&format!("\nmore: --cursor {cursor}\n"))?;
    }
    Ok(())
}

/// Returns the recipient: the sealed payload holds the address, or the payload names an owner of the tenant.
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

/// The result of `retry` for one email.
#[derive(Debug, Serialize)]
struct RetriedView {
    id: Uuid,
    /// Whether the email is due now.
    due: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl RetriedView {
    fn new(id: Uuid, retried: Retried) -> Self {
        let error = match retried {
            Retried::Due => None,
            Retried::NotFound => Some("no such email".to_owned()),
            Retried::NotWaiting(status) => Some(format!("the email is {}", status.as_str())),
        };
        Self { id, due: retried == Retried::Due, error }
    }
}

async fn retry_emails(system: &System, arguments: RetryArguments) -> Result<(), CommandError> {
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
        let mut table = Table::new(&["EMAIL", "DUE", "ERROR"]);
        for one in &retried {
            let due = if one.due { "now" } else { "-" };
            let error = one.error.clone().unwrap_or_default();
            table.row([one.id.to_string(), due.to_owned(), error]);
        }
        print(&table.to_string())?;
    }
    match left {
        0 => Ok(()),
        _ => Err(format!("{left} of {} are not due", retried.len()).into()),
    }
}

fn emails_table(emails: &[EmailView]) -> Table {
    let head = ["EMAIL", "TOPIC", "TO", "STATUS", "TRIED", "CREATED", "DUE", "EXPIRES", "ERROR"];
    let mut table = Table::new(&head);
    for email in emails {
        table.row([
            email.id.to_string(),
            email.topic.clone(),
            email.to.clone().unwrap_or_else(|| "-".to_owned()),
            email.status.to_owned(),
            email.attempts.to_string(),
            time(Some(email.created_at)),
            time(email.next_attempt_at),
            time(email.expires_at),
            email.last_error.clone().unwrap_or_default(),
        ]);
    }
    table
}
