//! Jobs as operators see them.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::FromRow;
use uuid::Uuid;

use super::RunsAs;
use crate::id::{JobId, PrincipalId, TenantId};
use crate::pg::transaction::decode::variant;
use crate::pg::{PgError, SystemTx};
use crate::text_enum::TextEnum as _;

crate::text_enum! {
    /// The status of a job.
    pub enum JobStatus {
        /// It was cancelled before it was done.
        Cancelled = "cancelled",
        /// It was refused, could not succeed, or has used up its attempts.
        Dead = "dead",
        /// Its effect is committed.
        Done = "done",
        /// It waits for a worker.
        Ready = "ready",
        /// It is leased to an attempt.
        Running = "running",
        /// It waits for its time, or for its next attempt.
        Scheduled = "scheduled",
    }
}

impl JobStatus {
    /// Whether the job is finished: done, dead or cancelled.
    #[must_use]
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Cancelled | Self::Dead | Self::Done)
    }
}

/// A job as operators see it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct JobEntry {
    /// The id.
    pub id: JobId,
    /// The tenant.
    pub tenant: TenantId,
    /// The name of its kind.
    pub kind: String,
    /// The job as it is stored.
    pub payload: Value,
    /// The status.
    pub status: JobStatus,
    /// When it runs next, if it is scheduled.
    pub run_at: DateTime<Utc>,
    /// The number of attempts that have begun.
    pub attempts: u32,
    /// The number of those that failed, or never ended.
    pub failures: u32,
    /// The key that makes it unique, if it has one.
    pub unique_key: Option<String>,
    /// Whose authority it has.
    pub runs_as: RunsAs,
    /// The principal that it runs as, if it does.
    pub principal: Option<PrincipalId>,
    /// The service that it runs as, if it does.
    pub service: Option<String>,
    /// The id of the request that has enqueued it, if that is known.
    pub request_id: Option<String>,
    /// What the present attempt has done, of how much.
    pub progress: Option<(u64, u64)>,
    /// Why the last attempt did not succeed, in a line that begins with a word for it.
    pub last_error: Option<String>,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
    /// When the last attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// When the lease of the present attempt ends.
    pub lease_until: Option<DateTime<Utc>>,
    /// When it was finished.
    pub done_at: Option<DateTime<Utc>>,
}

#[derive(FromRow)]
struct Row {
    id: Uuid,
    tenant_id: Uuid,
    kind: String,
    payload: Value,
    status: String,
    run_at: DateTime<Utc>,
    attempts: i32,
    failures: i32,
    unique_key: Option<String>,
    authority: String,
    principal_id: Option<Uuid>,
    service: Option<String>,
    request_id: Option<String>,
    progress_done: Option<i64>,
    progress_total: Option<i64>,
    last_error: Option<String>,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    lease_until: Option<DateTime<Utc>>,
    done_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for JobEntry {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        Ok(Self {
            id: JobId::from_uuid(row.id),
            tenant: TenantId::from_uuid(row.tenant_id),
            kind: row.kind,
            payload: row.payload,
            status: variant("status", &row.status)?,
            run_at: row.run_at,
            attempts: u32::try_from(row.attempts).unwrap_or(0),
            failures: u32::try_from(row.failures).unwrap_or(0),
            unique_key: row.unique_key,
            runs_as: variant("authority", &row.authority)?,
            principal: row.principal_id.map(PrincipalId::from_uuid),
            service: row.service,
            request_id: row.request_id,
            progress: row.progress_done.map(count).zip(row.progress_total.map(count)),
            last_error: row.last_error,
            created_at: row.created_at,
            started_at: row.started_at,
            lease_until: row.lease_until,
            done_at: row.done_at,
        })
    }
}

/// A filter for [`list`].
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    /// Only jobs of this tenant.
    pub tenant: Option<TenantId>,
    /// Only jobs of this status.
    pub status: Option<JobStatus>,
    /// Only jobs of this kind.
    pub kind: Option<String>,
}

macro_rules! columns {
    () => {
        "id, tenant_id, kind, payload, status, run_at, attempts, failures, unique_key, authority, principal_id, \
         service, request_id, progress_done, progress_total, last_error, created_at, started_at, lease_until, done_at"
    };
}

/// Lists jobs of all tenants, newest first, that come after the job `before`.
///
/// # Errors
///
/// [`PgError`].
pub async fn list(
    tx: &mut SystemTx,
    filter: &JobFilter,
    before: Option<JobId>,
    limit: i64,
) -> Result<Vec<JobEntry>, PgError> {
    let rows: Vec<Row> = sqlx::query_as(concat!(
        "select ",
        columns!(),
        " from mt.jobs \
         where ($1::uuid is null or tenant_id = $1) and ($2::text is null or status = $2) \
             and ($3::text is null or kind = $3) and ($4::uuid is null or id < $4) \
         order by id desc limit $5",
    ))
    .bind(filter.tenant.map(TenantId::as_uuid))
    .bind(filter.status.map(JobStatus::as_str))
    .bind(&filter.kind)
    .bind(before.map(JobId::as_uuid))
    .bind(limit)
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(|row| Ok(JobEntry::try_from(row)?)).collect()
}

/// Finds a job of any tenant.
///
/// # Errors
///
/// [`PgError`].
pub async fn find(tx: &mut SystemTx, job: JobId) -> Result<Option<JobEntry>, PgError> {
    let row: Option<Row> =
        sqlx::query_as(concat!("select ", columns!(), " from mt.jobs where id = $1"))
            .bind(job.as_uuid())
            .fetch_optional(tx.conn())
            .await?;
    row.map(|row| Ok(JobEntry::try_from(row)?)).transpose()
}
