//! Workers: they claim jobs for as long as a process runs.

use std::error::Error as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::claim::claim;
use super::promote::promote;
use super::{JobWorkers, Jobs, WakeUp, purge};
use crate::access::AccessModel;
use crate::pg::PgError;
use crate::pg::work::repeat::repeat;

/// How often finished jobs are purged.
const PURGE: Duration = Duration::from_hours(1);

impl<M: AccessModel> Jobs<M> {
    /// Runs workers until `stop` is ready. Then they finish the jobs that are running, which takes
    /// [`JobPolicy::time_limit`](super::JobPolicy::time_limit) at most, and this returns.
    ///
    /// A dropped future stops in the middle: what was not committed is rolled back, and those jobs run again when their
    /// leases are over.
    pub async fn work(self: Arc<Self>, workers: JobWorkers, stop: impl Future<Output = ()>) {
        let (stopping, done) = (CancellationToken::new(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&self).renew(done.clone()));
        tasks.spawn(Arc::clone(&self).promote_due(workers, stopping.clone()));
        tasks.spawn(Arc::clone(&self).purge_finished(workers, stopping.clone()));
        for number in 0..self.recurring.len() {
            tasks.spawn(Arc::clone(&self).recur(number, workers, stopping.clone()));
        }
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

    /// Enqueues the jobs of one schedule.
    async fn recur(
        self: Arc<Self>,
        number: usize,
        workers: JobWorkers,
        stopping: CancellationToken,
    ) {
        let recurring = &self.recurring[number];
        loop {
            let wait = match stopping.run_until_cancelled(recurring.enqueue_due(&self.system)).await
            {
                None => return,
                Some(Ok(wait)) => wait,
                Some(Err(error)) => {
                    let (schedule, cause) = (recurring.name, error.source());
                    tracing::warn!(schedule, cause, "the jobs of a schedule were not enqueued");
                    workers.poll
                }
            };
            if wait.is_zero() {
                self.wake_up.notify();
            } else if stopping.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                return;
            }
        }
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
