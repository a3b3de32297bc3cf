//! Lists, shows, retries and cancels jobs.

mod change;
mod table;

use clap::{Args, Subcommand};
use mt_core::id::{JobId, TenantId};
use mt_core::pg::jobs::{JobFilter, JobStatus, cancel_any, find, list, retry};
use mt_core::pg::{Database, PgError, System, SystemReason};
use mt_core::text_enum::TextEnum as _;
use mt_http::JobView;
use mt_http::page::{Listing, MAX_LIMIT};
use serde::Serialize;
use serde_json::Value;

use self::change::ChangeView;
use super::program::{Program, TENANT, tenant_id};
use crate::output::{CommandError, print, print_json};

const CANCEL: SystemReason = SystemReason::new("cancel jobs for an operator");
const LIST: SystemReason = SystemReason::new("list jobs for an operator");
const RETRY: SystemReason = SystemReason::new("retry jobs for an operator");
const SHOW: SystemReason = SystemReason::new("show a job to an operator");

/// How many jobs of a status are made to run in one transaction.
const BATCH: i64 = 100;

/// Lists, shows, retries and cancels jobs of all tenants.
///
/// A running server runs what is retried. `list` shows no payloads. `--json` prints jobs as the endpoints of
/// [`Jobs`](mt_http::Jobs) answer them.
#[derive(Debug, Subcommand)]
pub enum JobsCommand {
    /// Lists jobs, newest first.
    List(ListArguments),
    /// Shows a job: its payload, its authority, and what came of its attempts.
    Show(ShowArguments),
    /// Makes dead, cancelled or scheduled jobs run at once: those with the given ids, or all with a status.
    Retry(RetryArguments),
    /// Cancels unfinished jobs. What a running attempt has written is rolled back.
    Cancel(CancelArguments),
}

/// The arguments of `list`.
#[derive(Debug, Args)]
pub struct ListArguments {
    /// scheduled, ready, running, done, dead or cancelled.
    #[arg(long, value_parser = status)]
    status: Option<JobStatus>,
    #[command(flatten)]
    filter: FilterArguments,
    /// Maximum number of jobs.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u8).range(1..=i64::from(MAX_LIMIT)))]
    limit: u8,
    /// The `next_cursor` of the previous page.
    #[arg(long, value_parser = job_id)]
    cursor: Option<JobId>,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct FilterArguments {
    /// The name of a kind of job.
    #[arg(long)]
    kind: Option<String>,
    /// Id of a tenant.
    #[arg(long, value_name = TENANT, value_parser = tenant_id)]
    tenant: Option<TenantId>,
}

/// The arguments of `show`.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// Id of the job.
    #[arg(value_parser = job_id)]
    id: JobId,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// The arguments of `retry`.
#[derive(Debug, Args)]
pub struct RetryArguments {
    /// Ids of the jobs.
    #[arg(
        required_unless_present = "status",
        conflicts_with_all = ["status", "kind", "tenant"],
        value_parser = job_id,
    )]
    ids: Vec<JobId>,
    /// dead, cancelled or scheduled.
    #[arg(long, value_parser = retried_status)]
    status: Option<JobStatus>,
    #[command(flatten)]
    filter: FilterArguments,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// The arguments of `cancel`.
#[derive(Debug, Args)]
pub struct CancelArguments {
    /// Ids of the jobs.
    #[arg(required = true, value_parser = job_id)]
    ids: Vec<JobId>,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

fn job_id(text: &str) -> Result<JobId, &'static str> {
    JobId::parse(text).ok_or("takes a job's id")
}

fn status(word: &str) -> Result<JobStatus, String> {
    JobStatus::parse(word).map_err(|error| error.to_string())
}

fn retried_status(word: &str) -> Result<JobStatus, String> {
    match status(word)? {
        status @ (JobStatus::Cancelled | JobStatus::Dead | JobStatus::Scheduled) => Ok(status),
        JobStatus::Done | JobStatus::Ready | JobStatus::Running => {
            Err("only `dead`, `cancelled` and `scheduled` jobs can be retried".to_owned())
        }
    }
}

impl JobsCommand {
    /// Runs the command on `database`.
    ///
    /// # Errors
    ///
    /// When there is no such job, a job that is named cannot be retried or cancelled, or the database fails.
    pub async fn run(self, program: &Program, database: &Database) -> Result<(), CommandError> {
        let system = database.system();
        match self {
            Self::List(arguments) => list_jobs(program, &system, arguments).await,
            Self::Show(arguments) => show(program, &system, &arguments).await,
            Self::Retry(arguments) => retry_jobs(&system, arguments).await,
            Self::Cancel(arguments) => cancel_jobs(&system, arguments).await,
        }
    }
}

async fn list_jobs(
    program: &Program,
    system: &System,
    arguments: ListArguments,
) -> Result<(), CommandError> {
    let ListArguments { status, filter, limit, cursor, json } = arguments;
    let filter = JobFilter { tenant: filter.tenant, status, kind: filter.kind };
    let mut tx = system.begin(LIST).await?;
    // One more than fits, to know whether there is another page.
    let mut entries = list(&mut tx, &filter, cursor, i64::from(limit) + 1).await?;
    tx.commit().await?;
    let has_more = entries.len() > usize::from(limit);
    entries.truncate(usize::from(limit));
    let items: Vec<_> =
        entries.into_iter().map(|entry| JobView::new(program.noun(), entry)).collect();
    let last = items.last().filter(|_| has_more);
    let next_cursor = last.map(|job| job.id.to_string());
    if json {
        return print_json(&Listing { items, next_cursor });
    }
    print(&table::of_jobs(program, &items).to_string())?;
    if let Some(cursor) = next_cursor {
        print(&format!("\nmore: --cursor {cursor}\n"))?;
    }
    Ok(())
}

/// A job with its payload.
#[derive(Debug, Serialize)]
struct Details {
    #[serde(flatten)]
    job: JobView,
    payload: Value,
}

async fn show(
    program: &Program,
    system: &System,
    arguments: &ShowArguments,
) -> Result<(), CommandError> {
    let mut tx = system.begin(SHOW).await?;
    let entry = find(&mut tx, arguments.id).await?;
    tx.commit().await?;
    let mut entry = entry.ok_or(change::NO_SUCH_JOB)?;
    let payload = entry.payload.take();
    let details = Details { job: JobView::new(program.noun(), entry), payload };
    if arguments.json {
        return print_json(&details);
    }
    print(&table::of_job(&details.job).to_string())?;
    print(&format!("\n{}\n", details.payload))
}

async fn retry_jobs(system: &System, arguments: RetryArguments) -> Result<(), CommandError> {
    let RetryArguments { ids, status, filter, json } = arguments;
    let changed = match status {
        None => retry_each(system, &ids).await?,
        Some(status) => {
            let filter =
                JobFilter { tenant: filter.tenant, status: Some(status), kind: filter.kind };
            retry_all(system, &filter).await?
        }
    };
    change::report(&changed, json, "are not retried")
}

async fn retry_each(system: &System, ids: &[JobId]) -> Result<Vec<ChangeView>, PgError> {
    let mut tx = system.begin(RETRY).await?;
    let mut changed = Vec::with_capacity(ids.len());
    for id in ids {
        changed.push(ChangeView::new(*id, retry(&mut tx, *id).await?));
    }
    tx.commit().await?;
    Ok(changed)
}

/// Retries all jobs of a filter, in batches. Each batch is committed, so that a long list holds no locks for long.
async fn retry_all(system: &System, filter: &JobFilter) -> Result<Vec<ChangeView>, PgError> {
    let (mut changed, mut before) = (Vec::new(), None);
    loop {
        let mut tx = system.begin(RETRY).await?;
        let batch = list(&mut tx, filter, before, BATCH).await?;
        for job in &batch {
            changed.push(ChangeView::new(job.id, retry(&mut tx, job.id).await?));
        }
        tx.commit().await?;
        match batch.last() {
            Some(last) => before = Some(last.id),
            None => return Ok(changed),
        }
    }
}

async fn cancel_jobs(system: &System, arguments: CancelArguments) -> Result<(), CommandError> {
    let mut tx = system.begin(CANCEL).await?;
    let mut changed = Vec::with_capacity(arguments.ids.len());
    for id in arguments.ids {
        changed.push(ChangeView::new(id, cancel_any(&mut tx, id).await?));
    }
    tx.commit().await?;
    change::report(&changed, arguments.json, "are not cancelled")
}
