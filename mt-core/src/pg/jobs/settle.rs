//! The end of an attempt: what becomes of its job.

use std::time::Duration;

use sqlx::error::DatabaseError;
use uuid::Uuid;

use super::JobStatus;
use super::claim::Claimed;
use super::handler::JobError;
use crate::access::Denied;
use crate::pg::transaction::batch::Batch;
use crate::pg::work::failure::{Failure, line};
use crate::pg::work::retry::{Next, RetryPolicy};
use crate::pg::{BeginError, PgError, System, SystemReason};
use crate::text_enum::TextEnum as _;

const MARK: SystemReason = SystemReason::new("mark a job that was not done");

/// What `mt.finish_job` says when the lease is not this attempt's any more.
const LEASE_OVER: &str = "MT003";

/// The end of an attempt that was not done.
#[derive(Debug)]
pub(super) enum Ended {
    /// Another attempt has the job by now, or it was cancelled.
    LeaseLost,
    /// Its handler, or the tenant, has said no.
    NotDone(JobError),
}

/// The statements that mark a job as done, in the transaction of its effect.
pub(super) fn finish(job: &Claimed) -> Batch {
    let values = vec![job.id.as_uuid().into(), job.token.into()];
    Batch::default().statement("select mt.finish_job($1, $2)", values)
}

impl From<JobError> for Ended {
    fn from(error: JobError) -> Self {
        Self::NotDone(error)
    }
}

impl From<PgError> for Ended {
    fn from(error: PgError) -> Self {
        let code = error.driver_error().as_database_error().and_then(DatabaseError::code);
        if code.as_deref() == Some(LEASE_OVER) {
            return Self::LeaseLost;
        }
        Self::NotDone(error.into())
    }
}

/// A refusal that ends with time, or by a payment, defers the job; any other is final.
impl From<BeginError> for Ended {
    fn from(error: BeginError) -> Self {
        let (dead, reason, detail) = match error {
            // Nothing was begun, so nothing has failed: perhaps too many wait for a connection.
            BeginError::Pg(PgError::Unavailable(_)) => {
                (false, "unavailable", "the database was not available")
            }
            BeginError::Pg(error) => return error.into(),
            BeginError::Denied(denied) => match denied {
                Denied::Suspended => (false, "suspended", "the tenant is suspended"),
                Denied::PaymentRequired => {
                    (false, "payment_required", "plan or payment does not cover the permission")
                }
                Denied::Forbidden => {
                    (true, "forbidden", "the principal does not hold the permission any more")
                }
                Denied::NotAMember => (true, "not_a_member", "the credential is another tenant's"),
            },
            BeginError::NotAMember => {
                (true, "not_a_member", "the principal is not a member any more")
            }
            BeginError::SignedOut => {
                (true, "signed_out", "the credential was signed out, or its user is gone")
            }
        };
        let failure = Failure::new(reason, detail);
        Self::NotDone(if dead { JobError::Dead(failure) } else { JobError::Deferred(failure) })
    }
}

/// The error with its SQLSTATE, which says more and holds no values of rows.
fn with_code(error: &PgError) -> String {
    match error.driver_error().as_database_error().and_then(DatabaseError::code) {
        Some(code) => format!("{error} (SQLSTATE {code})"),
        None => error.to_string(),
    }
}

/// The next status of a job, with everything that its row records of the attempt.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Transition {
    pub(super) status: JobStatus,
    /// The outcome, as metrics show it.
    pub(super) outcome: &'static str,
    pub(super) line: String,
    failures: i32,
    after: Duration,
}

impl Transition {
    /// The transition of a job after an attempt with this error. `chance` is from 0 to 1.
    pub(super) fn of(error: &JobError, job: &Claimed, policy: RetryPolicy, chance: f64) -> Self {
        let database;
        let (next, outcome, failure, failures) = match error {
            JobError::Dead(failure) => (Next::Dead, "dead", failure, 1),
            JobError::Deferred(failure) => {
                (policy.after_deferral(job.state, None, chance), "deferred", failure, 0)
            }
            JobError::Failed(failure) => {
                (policy.after_failure(job.state, chance), "failed", failure, 1)
            }
            JobError::Pg(error) => {
                database = Failure::new("database", with_code(error));
                (policy.after_failure(job.state, chance), "failed", &database, 1)
            }
        };
        let Failure { reason, detail, retry_after } = failure;
        let (status, outcome, after) = match next {
            Next::Dead => (JobStatus::Dead, "dead", Duration::ZERO),
            Next::After(wait) => (JobStatus::Scheduled, outcome, wait.max(*retry_after)),
        };
        Self { status, outcome, line: line(reason, detail), failures, after }
    }

    /// Marks the job, in a transaction of its own. `false` if it is not this attempt's any more.
    pub(super) async fn write(&self, system: &System, job: &Claimed) -> Result<bool, PgError> {
        let (tenant, id, token): (Uuid, Uuid, Uuid) =
            (job.tenant.as_uuid(), job.id.as_uuid(), job.token);
        let mut tx = system.begin(MARK).await?;
        let marked = sqlx::query(
            "update mt.jobs set status = $4, last_error = $5, failures = failures + $6, \
                 lease_token = null, lease_until = null, \
                 run_at = clock_timestamp() + make_interval(secs => $7), \
                 done_at = case when $4 = 'dead' then clock_timestamp() end \
             where tenant_id = $1 and id = $2 and status = 'running' and lease_token = $3",
        )
        .bind(tenant)
        .bind(id)
        .bind(token)
        .bind(self.status.as_str())
        .bind(&self.line)
        .bind(self.failures)
        .bind(self.after.as_secs_f64())
        .execute(tx.conn())
        .await?;
        tx.commit().await?;
        Ok(marked.rows_affected() == 1)
    }
}
