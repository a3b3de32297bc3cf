//! The engine: it claims jobs and runs them.

use std::collections::HashMap;
use std::error::Error as _;
use std::fmt;
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::attempt::{Attempts, Of};
use super::claim::{Claimed, claim};
use super::heartbeat::Heartbeat;
use super::job::is_name;
use super::promote::promote;
use super::settle::{Ended, Transition};
use super::{
    Job, JobError, JobHandler, JobPolicy, JobRun, JobStats, JobStatus, JobWorkers, WakeUp, purge,
};
use crate::access::{AccessModel, Permission};
use crate::pg::audit_log::in_request;
use crate::pg::work::failure::Failure;
use crate::pg::work::repeat::repeat;
use crate::pg::work::retry::chance;
use crate::pg::{PgError, System, Tenants};

/// How often finished jobs are purged.
const PURGE: std::time::Duration = std::time::Duration::from_hours(1);

/// Runs jobs of the kinds that are [registered](Self::register). Any number of processes may; see the
/// [module docs](super) for an example.
///
/// A kind that no process has registered stays ready, and is in the way of claims: retire a kind when its last job is
/// finished.
pub struct Jobs<M: AccessModel> {
    tenants: Tenants<M>,
    system: System,
    policy: JobPolicy,
    handlers: HashMap<&'static str, Arc<dyn Attempts<M>>>,
    wake_up: WakeUp,
    stats: JobStats,
    heartbeat: Heartbeat,
}

impl<M: AccessModel> Jobs<M> {
    /// An engine for the tenants of one database, without a kind of job.
    #[must_use]
    pub fn new(tenants: &Tenants<M>, policy: JobPolicy) -> Self {
        Self {
            tenants: tenants.clone(),
            system: System::new(tenants.authority.pools.clone()),
            policy,
            handlers: HashMap::new(),
            wake_up: WakeUp::default(),
            stats: JobStats::default(),
            heartbeat: Heartbeat::default(),
        }
    }

    /// Runs jobs `J` by `handler`.
    ///
    /// # Panics
    ///
    /// If [`Job::NAME`] has other characters than those allowed, or is registered already.
    #[must_use]
    pub fn register<J, H>(mut self, handler: H) -> Self
    where
        J: Job,
        J::Permission: Permission<Model = M>,
        H: JobHandler<J>,
    {
        assert!(is_name(J::NAME), "`{}` cannot be the name of a job", J::NAME);
        let handler: Arc<dyn Attempts<M>> = Arc::new(Of { handler, job: PhantomData::<fn() -> J> });
        let before = self.handlers.insert(J::NAME, handler);
        assert!(before.is_none(), "the job `{}` is registered twice", J::NAME);
        self
    }

    /// Wakes a worker of this process. Call it after the commit that has enqueued a job; without it, the job waits for the
    /// next poll.
    #[must_use]
    pub fn wake_up(&self) -> WakeUp {
        self.wake_up.clone()
    }

    /// The counts of attempts in this process.
    #[must_use]
    pub fn stats(&self) -> JobStats {
        self.stats.clone()
    }

    /// Runs workers until `stop` is ready. Then they finish the jobs that are running, which takes
    /// [`JobPolicy::time_limit`] at most, and this returns.
    ///
    /// A dropped future stops in the middle: what was not committed is rolled back, and those jobs run again when their
    /// leases are over.
    pub async fn work(self: Arc<Self>, workers: JobWorkers, stop: impl Future<Output = ()>) {
        let (stopping, done) = (CancellationToken::new(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&self).renew(done.clone()));
        tasks.spawn(Arc::clone(&self).promote_due(workers, stopping.clone()));
        tasks.spawn(Arc::clone(&self).purge_finished(workers, stopping.clone()));
        let mut claiming = JoinSet::new();
        claiming.spawn(self.claim_all(workers, stopping.clone()));
        stop.await;
        stopping.cancel();
        while claiming.join_next().await.is_some() {}
        done.cancel();
        while tasks.join_next().await.is_some() {}
    }

    /// Claims one job that is ready and makes an attempt at it. Returns `false` if none is.
    ///
    /// # Errors
    ///
    /// [`PgError`]; a job that was claimed is ready again when its lease is over.
    pub async fn run_next(&self) -> Result<bool, PgError> {
        self.promote().await?;
        let claimed = claim(&self.system, &self.kinds(), self.policy.retry.lease, 1).await?;
        for job in &claimed {
            self.run(job).await;
        }
        Ok(!claimed.is_empty())
    }

    async fn renew(self: Arc<Self>, done: CancellationToken) {
        self.heartbeat.run(&self.system, self.policy.retry.lease, &done).await;
    }

    async fn promote_due(self: Arc<Self>, workers: JobWorkers, stopping: CancellationToken) {
        // Woken by time alone, so that a busy queue does not put it off.
        let (never, failed) = (WakeUp::default(), "making jobs ready failed");
        let step = async || {
            if self.promote().await? {
                self.wake_up.notify();
            }
            Ok(false)
        };
        repeat(failed, workers.poll, &never, &stopping, step).await;
    }

    /// Makes jobs ready that are due. Returns whether there were any.
    async fn promote(&self) -> Result<bool, PgError> {
        let promoted = promote(&self.system, self.policy.retry.max_attempts).await?;
        for (id, kind) in promoted.dead {
            tracing::error!(%id, kind, "a job is dead: its last attempt never ended");
            if let Some((kind, _)) = self.handlers.get_key_value(kind.as_str()) {
                self.stats.count(kind, "dead");
            }
        }
        Ok(promoted.ready > 0)
    }

    async fn purge_finished(self: Arc<Self>, workers: JobWorkers, stopping: CancellationToken) {
        let Some(age) = workers.keep else { return };
        while let Some(purged) = stopping.run_until_cancelled(purge(&self.system, age)).await {
            if let Err(error) = purged {
                tracing::warn!(cause = error.source(), "finished jobs could not be purged");
            }
            if stopping.run_until_cancelled(tokio::time::sleep(PURGE)).await.is_none() {
                break;
            }
        }
    }

    async fn claim_all(self: Arc<Self>, workers: JobWorkers, stopping: CancellationToken) {
        let slots = Arc::new(Semaphore::new(usize::from(workers.count.max(1))));
        let runs = Mutex::new(JoinSet::new());
        let running = || runs.lock().unwrap_or_else(PoisonError::into_inner);
        let step = async || {
            let Some(permits) = free(&slots, &stopping).await else { return Ok(false) };
            let lease = self.policy.retry.lease;
            let most = u16::try_from(permits.len()).unwrap_or(u16::MAX);
            let claimed = claim(&self.system, &self.kinds(), lease, most).await?;
            let found = !claimed.is_empty();
            let mut running = running();
            while running.try_join_next().is_some() {}
            for (job, permit) in claimed.into_iter().zip(permits) {
                let jobs = Arc::clone(&self);
                running.spawn(async move {
                    jobs.run(&job).await;
                    drop(permit);
                    // It may have enqueued others.
                    jobs.wake_up.notify();
                });
            }
            Ok(found)
        };
        repeat("claiming jobs failed", workers.poll, &self.wake_up, &stopping, step).await;
        let mut runs = runs.into_inner().unwrap_or_else(PoisonError::into_inner);
        while runs.join_next().await.is_some() {}
    }

    /// The registered kinds, as an array of Postgres.
    fn kinds(&self) -> String {
        let kinds: Vec<&str> = self.handlers.keys().copied().collect();
        format!("{{{}}}", kinds.join(","))
    }

    /// Makes one attempt at a claimed job, and marks it.
    async fn run(&self, job: &Claimed) {
        let Some((kind, handler)) = self.handlers.get_key_value(job.kind.as_str()) else { return };
        let run = JobRun::new(job.id, job.tenant, job.state.attempts);
        let ended = {
            let _beating = self.heartbeat.start(job, run.clone());
            self.attempt(&**handler, job, &run).await
        };
        let outcome = match ended {
            Ok(()) => Ok("done"),
            Err(Ended::LeaseLost) => Ok("lost"),
            Err(Ended::NotDone(error)) => self.mark(job, &error).await,
        };
        match outcome {
            Ok(outcome) => self.stats.count(kind, outcome),
            Err(error) => {
                let (id, cause) = (job.id, error.source());
                tracing::warn!(%id, kind, cause, "a job could not be marked: its lease will end");
            }
        }
    }

    async fn attempt(
        &self,
        handler: &dyn Attempts<M>,
        job: &Claimed,
        run: &JobRun,
    ) -> Result<(), Ended> {
        let attempt = handler.attempt(&self.tenants, job, run);
        let attempt = async {
            match &job.request {
                Some(request) => in_request(request, attempt).await,
                None => attempt.await,
            }
        };
        let attempt = AssertUnwindSafe(attempt).catch_unwind();
        let lease = self.policy.retry.lease;
        let overtaken = async {
            run.cancelled().await;
            tokio::time::sleep(lease).await;
        };
        let failed = |reason, detail| Err(JobError::Failed(Failure::new(reason, detail)).into());
        tokio::select! {
            attempted = attempt => attempted.unwrap_or_else(|_panic| {
                tracing::error!(id = %job.id, kind = job.kind, "a job panicked");
                failed("panic", "the log says where")
            }),
            () = overtaken => Err(Ended::LeaseLost),
            () = tokio::time::sleep(self.policy.time_limit) => {
                failed("timeout", "the attempt took longer than its time limit")
            }
        }
    }

    /// Marks a job that was not done, and returns the outcome.
    async fn mark(&self, job: &Claimed, error: &JobError) -> Result<&'static str, PgError> {
        let transition = Transition::of(error, job, self.policy.retry, chance());
        let (id, kind, reason) = (job.id, &job.kind, &transition.line);
        if let JobError::Pg(error) = error {
            tracing::warn!(%id, kind, cause = error.source(), "a job failed at the database");
        }
        if !transition.write(&self.system, job).await? {
            return Ok("lost");
        }
        if transition.status == JobStatus::Dead {
            tracing::error!(%id, kind, reason, "a job is dead");
        }
        Ok(transition.outcome)
    }
}

/// Waits until a worker is free, and takes all that are. `None` once `stopping`.
async fn free(
    slots: &Arc<Semaphore>,
    stopping: &CancellationToken,
) -> Option<Vec<OwnedSemaphorePermit>> {
    let first = Arc::clone(slots).acquire_owned();
    let mut permits = vec![stopping.run_until_cancelled(first).await?.ok()?];
    while let Ok(permit) = Arc::clone(slots).try_acquire_owned() {
        permits.push(permit);
    }
    Some(permits)
}

impl<M: AccessModel> fmt::Debug for Jobs<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jobs").field("kinds", &self.handlers.keys()).finish_non_exhaustive()
    }
}
