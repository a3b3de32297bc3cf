//! Cancelling jobs, and running dead ones again.

use uuid::Uuid;

use super::{Job, JobStatus};
use crate::access::Implies;
use crate::id::{JobId, TenantId};
use crate::pg::audit_log::{JOB_CANCELLED, JOB_RETRIED};
use crate::pg::transaction::decode::variant;
use crate::pg::{Acting, PgError, SystemTx, TenantTx};

/// The answer to a request to cancel a job or to run it again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Changed {
    /// It is as asked for.
    Done,
    /// There is no such job.
    NotFound,
    /// Its status, which rules that out.
    Not(JobStatus),
    /// Another unfinished job has its unique key.
    Superseded,
}

macro_rules! cancel_where {
    ($condition:literal) => {
        concat!(
            "update mt.jobs set status = 'cancelled', lease_token = null, lease_until = null, \
                 done_at = clock_timestamp() \
             where id = $1 and status in ('scheduled', 'ready', 'running') and ",
            $condition
        )
    };
}

/// Cancels an unfinished job of the transaction's tenant and of kind `J`, under the permission that the job has.
///
/// One that is running is cancelled too: what it writes is not committed, and its handler learns it from
/// [`JobRun::cancelled`](super::JobRun::cancelled).
///
/// # Errors
///
/// [`PgError`].
pub async fn cancel<J, P, L, A>(tx: &mut TenantTx<P, L, A>, job: JobId) -> Result<Changed, PgError>
where
    J: Job,
    P: Implies<J::Permission>,
    A: Acting,
{
    const { TenantTx::<P, L, A>::assert_covers::<J::Permission>() }
    let tenant = tx.tenant().as_uuid();
    let cancelled = sqlx::query(cancel_where!("tenant_id = $2 and kind = $3"))
        .bind(job.as_uuid())
        .bind(tenant)
        .bind(J::NAME)
        .execute(tx.conn())
        .await?;
    if cancelled.rows_affected() == 1 {
        return Ok(Changed::Done);
    }
    let status: Option<String> = sqlx::query_scalar(
        "select status from mt.jobs where id = $1 and tenant_id = $2 and kind = $3",
    )
    .bind(job.as_uuid())
    .bind(tenant)
    .bind(J::NAME)
    .fetch_optional(tx.conn())
    .await?;
    refused(status.as_deref())
}

/// Cancels an unfinished job of any tenant, as [`cancel`] does. The tenant's audit log has who did.
///
/// # Errors
///
/// [`PgError`].
pub async fn cancel_any(tx: &mut SystemTx, job: JobId) -> Result<Changed, PgError> {
    let cancelled: Option<Uuid> = sqlx::query_scalar(cancel_where!("true returning tenant_id"))
        .bind(job.as_uuid())
        .fetch_optional(tx.conn())
        .await?;
    if let Some(tenant) = cancelled {
        tx.record(TenantId::from_uuid(tenant), JOB_CANCELLED.on(job.as_uuid()));
        return Ok(Changed::Done);
    }
    refused(status(tx, job.as_uuid()).await?.as_deref())
}

/// Makes a dead or cancelled job run again, or a scheduled one at once, with a fresh count of failures and of its age. The
/// tenant's audit log has who did.
///
/// # Errors
///
/// [`PgError`].
pub async fn retry(tx: &mut SystemTx, job: JobId) -> Result<Changed, PgError> {
    // Scheduled for now: making it ready gives it its turn.
    let retried: Option<Uuid> = sqlx::query_scalar(
        "update mt.jobs j set status = 'scheduled', failures = 0, run_at = clock_timestamp(), \
             due_at = clock_timestamp(), done_at = null \
         where id = $1 and status in ('dead', 'cancelled', 'scheduled') and not exists ( \
             select from mt.jobs o where o.tenant_id = j.tenant_id and o.kind = j.kind \
                 and o.unique_key = j.unique_key and o.id <> j.id \
                 and o.status in ('scheduled', 'ready', 'running')) returning tenant_id",
    )
    .bind(job.as_uuid())
    .fetch_optional(tx.conn())
    .await?;
    if let Some(tenant) = retried {
        tx.record(TenantId::from_uuid(tenant), JOB_RETRIED.on(job.as_uuid()));
        return Ok(Changed::Done);
    }
    let status = status(tx, job.as_uuid()).await?;
    match status.as_deref() {
        Some("dead" | "cancelled" | "scheduled") => Ok(Changed::Superseded),
        other => refused(other),
    }
}

async fn status(tx: &mut SystemTx, job: Uuid) -> Result<Option<String>, PgError> {
    let query = sqlx::query_scalar("select status from mt.jobs where id = $1").bind(job);
    Ok(query.fetch_optional(tx.conn()).await?)
}

fn refused(status: Option<&str>) -> Result<Changed, PgError> {
    match status {
        None => Ok(Changed::NotFound),
        Some(status) => Ok(Changed::Not(variant("status", status)?)),
    }
}
