//! Jobs, for operators.

mod view;

use http::{Method, Uri};
use mt_core::access::AccessModel;
use mt_core::id::{JobId, TenantId};
use mt_core::pg::audit_log::Actor;
use mt_core::pg::jobs::{Changed, JobFilter, JobStatus, cancel_any, find, list, retry};
use mt_core::pg::{SystemReason, SystemTx};
use mt_core::text_enum::TextEnum as _;
use mt_tower::problem::Problem;
use serde::Serialize;
use serde_json::Value;

pub use self::view::JobView;
use crate::Noun;
use crate::answer::{Answer, json};
use crate::call::Call;
use crate::group::{Group, Operations};
use crate::guards::Guarded;
use crate::openapi::{Description, any, id, text, words};
use crate::operation::Operation;
use crate::page::PageQuery;
use crate::problems::{conflict, invalid_parameter};
use crate::query;
use crate::refusal::Refusal;

const ALL: &str = "/admin/jobs";

const CANCEL: SystemReason = SystemReason::new("cancel a job for an operator");
const LIST: SystemReason = SystemReason::new("list jobs for an operator");
const RETRY: SystemReason = SystemReason::new("retry a job for an operator");
const SHOW: SystemReason = SystemReason::new("show a job to an operator");

/// The jobs of all tenants, for operators: `GET /admin/jobs`, `GET …/{job_id}`, `POST …/{job_id}/retry` and
/// `POST …/{job_id}/cancel`.
///
/// The list shows no payloads. A running server runs what is retried.
#[derive(Clone, Copy, Debug)]
pub struct Jobs;

impl<M: AccessModel> Group<M> for Jobs {
    fn operations(self, noun: Noun) -> Operations<M> {
        let one = format!("{ALL}/{{job_id}}");
        let about =
            |id: &str, text: &str| Description::new(format!("admin_jobs.{id}"), "admin", text);
        let about_one = |id, text| about(id, text).path_id("job_id", "job");
        let job = view::schema("Job", noun);
        let details = view::schema("JobDetails", noun).with("payload", any());
        let only = "Lists only items with this value.";
        Operations(vec![
            Operation::new(
                Method::GET,
                ALL,
                about("list", "Lists jobs.")
                    .query("status", only, &words::<JobStatus>())
                    .query("kind", only, &text())
                    .query(&noun.id_name(), only, &id())
                    .pages_of(&job),
                |call| Box::pin(list_jobs(call)),
            )
            .behind(Guarded::Operator),
            Operation::new(
                Method::GET,
                one.clone(),
                about_one("show", "Shows a job and its payload.").gives(200, "The job.", details),
                |call| Box::pin(show(call)),
            )
            .behind(Guarded::Operator),
            Operation::new(
                Method::POST,
                format!("{one}/retry"),
                about_one(
                    "retry",
                    "Makes a dead, cancelled or scheduled job run at once, with a fresh count of failures.",
                )
                .gives(200, "The job.", job.clone())
                .may(&["conflict"]),
                |call| Box::pin(change(call, Change::Retry)),
            )
            .behind(Guarded::Operator),
            Operation::new(
                Method::POST,
                format!("{one}/cancel"),
                about_one(
                    "cancel",
                    "Cancels an unfinished job. What a running attempt has written is rolled back.",
                )
                .gives(200, "The job.", job)
                .may(&["conflict"]),
                |call| Box::pin(change(call, Change::Cancel)),
            )
            .behind(Guarded::Operator),
        ])
    }
}

async fn list_jobs<M: AccessModel>(call: Call<'_, M>) -> Answer {
    call.operator()?;
    let (uri, noun) = (&call.parts.uri, call.context.noun);
    let filter = filter(uri, noun)?;
    let page = call.page(PageQuery::read(uri)?, &scope(&filter))?;
    let mut tx = call.context.system.begin(LIST).await?;
    let before = page.after().map(JobId::from_uuid);
    let entries = list(&mut tx, &filter, before, page.fetch()).await?;
    tx.commit().await?;
    let jobs = entries.into_iter().map(|entry| JobView::new(noun, entry)).collect();
    Ok(json(&page.answer(jobs, |job: &JobView| job.id)))
}

/// Reads `?status=`, `?kind=` and the tenant's id.
fn filter(uri: &Uri, noun: Noun) -> Result<JobFilter, Problem> {
    let name = noun.id_name();
    let tenant = query::single(uri, &name)?.map(|text| {
        TenantId::parse(&text).ok_or_else(|| {
            invalid_parameter(&name, format!("takes {} {}'s id", noun.article(), noun.one()))
        })
    });
    Ok(JobFilter {
        tenant: tenant.transpose()?,
        status: query::choice(uri, "status")?,
        kind: query::single(uri, "kind")?.map(std::borrow::Cow::into_owned),
    })
}

/// Returns the text that names the list of `filter`, for its cursors.
fn scope(filter: &JobFilter) -> String {
    let JobFilter { tenant, status, kind } = filter;
    let tenant = tenant.map(|tenant| tenant.to_string()).unwrap_or_default();
    let status = status.map_or("", JobStatus::as_str);
    // The kind is last, because it is the only text of a client's choice.
    format!("jobs:{tenant}:{status}:{}", kind.as_deref().unwrap_or_default())
}

#[derive(Serialize)]
struct Details {
    #[serde(flatten)]
    job: JobView,
    payload: Value,
}

async fn show<M: AccessModel>(call: Call<'_, M>) -> Answer {
    call.operator()?;
    let job = JobId::from_uuid(call.path_id("job_id")?);
    let mut tx = call.context.system.begin(SHOW).await?;
    let entry = find(&mut tx, job).await?;
    tx.commit().await?;
    let mut entry = entry.ok_or(Problem::NOT_FOUND)?;
    let payload = entry.payload.take();
    Ok(json(&Details { job: JobView::new(call.context.noun, entry), payload }))
}

#[derive(Clone, Copy)]
enum Change {
    Cancel,
    Retry,
}

async fn change<M: AccessModel>(call: Call<'_, M>, change: Change) -> Answer {
    call.operator()?;
    let job = JobId::from_uuid(call.path_id("job_id")?);
    let reason = match change {
        Change::Cancel => CANCEL,
        Change::Retry => RETRY,
    };
    let mut tx = call.context.system.begin(reason).await?;
    tx.act_as(Actor::operator("admin token"));
    let changed = match change {
        Change::Cancel => cancel_any(&mut tx, job).await?,
        Change::Retry => retry(&mut tx, job).await?,
    };
    match changed {
        Changed::Done => {}
        Changed::NotFound => return Err(Problem::NOT_FOUND.into()),
        Changed::Not(status) => {
            return Err(conflict(format!("the job is {}", status.as_str())).into());
        }
        Changed::Superseded => {
            return Err(conflict("another unfinished job has its unique key").into());
        }
    }
    let view = view(&mut tx, job, call.context.noun).await?;
    tx.commit().await?;
    // The span of the request has the rest.
    tracing::info!(%job, status = view.status, "an operator has changed a job");
    Ok(json(&view))
}

async fn view(tx: &mut SystemTx, job: JobId, noun: Noun) -> Result<JobView, Refusal> {
    let entry = find(tx, job).await?.ok_or(Problem::NOT_FOUND)?;
    Ok(JobView::new(noun, entry))
}
