//! What runs a job.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio_util::sync::CancellationToken;

use super::{Job, JobTx};
use crate::id::{JobId, TenantId};
use crate::pg::PgError;
use crate::pg::work::failure::Failure;

/// Runs the jobs of one kind. `examples/helpdesk/src/purge.rs` in the repository has an example, which `docs/jobs.md`
/// explains.
pub trait JobHandler<J: Job>: Send + Sync + 'static {
    /// Makes one attempt at a job.
    ///
    /// The transaction was opened with the job's authority, decided now. With `Ok` it is committed, and the job is done in
    /// the same commit; otherwise it is rolled back. So what it writes takes effect exactly once, however often the job is
    /// tried. What cannot be rolled back, such as an e-mail, goes through the [`outbox`](crate::pg::ledger::outbox).
    ///
    /// The transaction holds a connection, and Postgres ends one that is idle for ten seconds. Do not wait for anything
    /// else in it.
    ///
    /// # Errors
    ///
    /// [`JobError`], which says whether and when the job is tried again.
    fn handle(
        &self,
        job: J,
        tx: &mut JobTx<J>,
        run: &JobRun,
    ) -> impl Future<Output = Result<(), JobError>> + Send;
}

/// Why an attempt at a job did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// The job can never succeed. It is dead without further attempts.
    #[error("the job is dead: {0}")]
    Dead(Failure),
    /// Something that the job needs is not there yet. It is tried again for as long as
    /// [`RetryPolicy::max_age`](super::RetryPolicy::max_age).
    #[error("the job is deferred: {0}")]
    Deferred(Failure),
    /// The attempt failed. It is tried again up to [`RetryPolicy::max_attempts`](super::RetryPolicy::max_attempts).
    #[error("the attempt failed: {0}")]
    Failed(Failure),
    /// A database error. The attempt failed, as with [`Failed`](Self::Failed).
    #[error(transparent)]
    Pg(#[from] PgError),
}

impl From<sqlx::Error> for JobError {
    fn from(error: sqlx::Error) -> Self {
        Self::Pg(error.into())
    }
}

/// One attempt at a job, as its handler sees it. Cheap to clone.
#[derive(Clone)]
pub struct JobRun(Arc<Attempt>);

struct Attempt {
    id: JobId,
    tenant: TenantId,
    number: u32,
    progress: Progress,
    /// Cancelled when the attempt has lost its lease.
    lost: CancellationToken,
}

#[derive(Default)]
struct Progress {
    done: AtomicU64,
    /// 0 until the handler has set it.
    total: AtomicU64,
}

impl JobRun {
    pub(super) fn new(id: JobId, tenant: TenantId, number: u32) -> Self {
        let (progress, lost) = (Progress::default(), CancellationToken::new());
        Self(Arc::new(Attempt { id, tenant, number, progress, lost }))
    }

    /// The id of the job: the same in each attempt, so it serves as an idempotency key elsewhere.
    #[must_use]
    pub fn id(&self) -> JobId {
        self.0.id
    }

    /// The tenant.
    #[must_use]
    pub fn tenant(&self) -> TenantId {
        self.0.tenant
    }

    /// The number of this attempt, from 1 on.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.0.number
    }

    /// Says that `done` of `total` parts are done. Operators see it from the next renewal of the lease on, before the
    /// transaction is committed.
    pub fn set_progress(&self, done: u64, total: u64) {
        self.0.progress.done.store(done, Relaxed);
        self.0.progress.total.store(total, Relaxed);
    }

    /// Whether the job was cancelled, or another attempt has it by now. Nothing that this attempt writes is committed.
    /// Known from the next renewal of the lease on.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.lost.is_cancelled()
    }

    /// Waits until [`is_cancelled`](Self::is_cancelled). A handler that is still running a while later is dropped.
    pub async fn cancelled(&self) {
        self.0.lost.cancelled().await;
    }

    pub(super) fn cancel(&self) {
        self.0.lost.cancel();
    }

    /// What was done, of how much, if the handler has said so.
    pub(super) fn progress(&self) -> Option<(u64, u64)> {
        let Progress { done, total } = &self.0.progress;
        match total.load(Relaxed) {
            0 => None,
            total => Some((done.load(Relaxed), total)),
        }
    }
}

impl fmt::Debug for JobRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobRun")
            .field("id", &self.0.id)
            .field("attempt", &self.0.number)
            .finish_non_exhaustive()
    }
}
