//! Enqueuing jobs.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use uuid::Uuid;

use super::authority::{EnqueuesBy as _, OpensTx as _};
use super::{EnqueuedBy, Job, credential};
use crate::access::Implies;
use crate::id::JobId;
use crate::pg::audit_log::current_request;
use crate::pg::{Acting, PgError, TenantTx};
use crate::text_enum::TextEnum as _;

/// How often an insert is repeated that has met a job of its key which ended just then.
const TRIES: u32 = 5;

/// A job to enqueue, with its options.
///
/// ```
/// # use std::time::Duration;
/// use mt_core::pg::jobs::NewJob;
/// # fn example<J: mt_core::pg::jobs::Job>(job: &J) {
/// let tomorrow = NewJob::new(job).after(Duration::from_hours(24)).unique_by("nightly");
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "it is enqueued by `enqueue`"]
pub struct NewJob<'j, J> {
    job: &'j J,
    start: Start,
    unique_key: Option<&'j str>,
}

/// When a job may begin.
#[derive(Clone, Copy, Debug)]
enum Start {
    After(Duration),
    At(DateTime<Utc>),
}

/// The result of enqueuing a job.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Enqueued {
    /// The id of the job.
    pub id: JobId,
    /// Whether the job is new. Otherwise it is the unfinished one that has the same unique key.
    pub is_new: bool,
}

impl<'j, J: Job> NewJob<'j, J> {
    /// A job that may begin once it is committed.
    pub const fn new(job: &'j J) -> Self {
        Self { job, start: Start::After(Duration::ZERO), unique_key: None }
    }

    /// Lets the job begin at `time` at the soonest.
    pub const fn at(self, time: DateTime<Utc>) -> Self {
        Self { start: Start::At(time), ..self }
    }

    /// Lets the job begin after `wait` at the soonest, by the clock of the database.
    pub const fn after(self, wait: Duration) -> Self {
        Self { start: Start::After(wait), ..self }
    }

    /// Enqueues the job only if the tenant has no unfinished one of its kind with this key, of up to 255 bytes. A job is
    /// finished when it is done, dead or cancelled.
    pub const fn unique_by(self, key: &'j str) -> Self {
        Self { unique_key: Some(key), ..self }
    }
}

impl<'j, J: Job> From<&'j J> for NewJob<'j, J> {
    fn from(job: &'j J) -> Self {
        Self::new(job)
    }
}

/// Enqueues a job in the transaction's tenant. It exists once the transaction is committed, and then runs at least once
/// and has its effect exactly once.
///
/// The transaction needs the job's permission: a job runs under none that the one who enqueued it did not hold. Workers of
/// this process are woken by [`Jobs::wake_up`](super::Jobs::wake_up) after the commit; all others poll.
///
/// # Errors
///
/// [`PgError`]; [`PgError::Database`] also if the job cannot be written as JSON.
pub async fn enqueue<'j, J, P, L, A>(
    tx: &mut TenantTx<P, L, A>,
    job: impl Into<NewJob<'j, J>>,
) -> Result<Enqueued, PgError>
where
    J: Job,
    P: Implies<J::Permission>,
    A: Acting,
    J::Authority: EnqueuedBy<A>,
{
    const { TenantTx::<P, L, A>::assert_covers::<J::Permission>() }
    let NewJob { job, start, unique_key } = job.into();
    let payload = serde_json::to_value(job)
        .map_err(|error| PgError::Database(sqlx::Error::Encode(Box::new(error))))?;
    let principal = J::Authority::principal(tx.access()).map(credential::stored);
    let (principal, credential) = principal.unzip();
    let (time, wait) = match start {
        Start::At(time) => (Some(time), 0.0),
        Start::After(wait) => (None, wait.as_secs_f64()),
    };
    let (tenant, id) = (tx.tenant().as_uuid(), JobId::generate());
    for _ in 0..TRIES {
        let row: Option<(Uuid, bool)> = sqlx::query_as(
            "with added as ( \
                 insert into mt.jobs (tenant_id, id, kind, payload, run_at, unique_key, authority, principal_id, \
                     credential, service, request_id) \
                 values ($1, $2, $3, $4, coalesce($5, now() + make_interval(secs => $6)), $7, $8, $9, $10, $11, $12) \
                 on conflict (tenant_id, kind, unique_key) \
                     where unique_key is not null and status in ('scheduled', 'ready', 'running') do nothing \
                 returning id \
             ) \
             select id, true from added \
             union all \
             select id, false from mt.jobs where tenant_id = $1 and kind = $3 and unique_key = $7 \
                 and status in ('scheduled', 'ready', 'running') and not exists (select from added)",
        )
        .bind(tenant)
        .bind(id.as_uuid())
        .bind(J::NAME)
        .bind(Json(&payload))
        .bind(time)
        .bind(wait)
        .bind(unique_key)
        .bind(J::Authority::RUNS_AS.as_str())
        .bind(principal)
        .bind(credential.as_ref().map(Json))
        .bind(J::Authority::SERVICE)
        .bind(current_request().as_deref())
        .fetch_optional(tx.conn())
        .await?;
        // No row: the job with the key was committed after this statement began, or has ended since.
        if let Some((id, is_new)) = row {
            return Ok(Enqueued { id: JobId::from_uuid(id), is_new });
        }
    }
    Err(PgError::Unavailable(sqlx::Error::RowNotFound))
}
