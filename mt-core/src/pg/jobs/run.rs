//! One run of a claimed job: its attempt, within its time, and its mark.

use std::error::Error as _;
use std::panic::AssertUnwindSafe;
use std::pin::pin;

use futures_util::FutureExt as _;
use futures_util::future::{Either, select};

use super::attempt::Attempts;
use super::claim::Claimed;
use super::settle::{Ended, Transition};
use super::{JobError, JobRun, JobStatus, Jobs};
use crate::access::AccessModel;
use crate::pg::PgError;
use crate::pg::audit_log::in_request;
use crate::pg::work::failure::Failure;
use crate::pg::work::retry::chance;

impl<M: AccessModel> Jobs<M> {
    /// Makes one attempt at a claimed job, and marks it.
    pub(super) async fn run(&self, job: &Claimed) {
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
        let (attempt, overtaken) = (pin!(attempt), pin!(overtaken));
        let either = select(attempt, overtaken);
        match tokio::time::timeout(self.policy.time_limit, either).await {
            Ok(Either::Left((Ok(attempted), _))) => attempted,
            Ok(Either::Left((Err(_panic), _))) => {
                tracing::error!(id = %job.id, kind = job.kind, "a job panicked");
                failed("panic", "the log says where")
            }
            Ok(Either::Right(((), _))) => Err(Ended::LeaseLost),
            Err(_elapsed) => failed("timeout", "the attempt took longer than its time limit"),
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
        } else {
            let attempt = job.state.attempts;
            tracing::info!(%id, kind, reason, attempt, "a job was not done, and is tried again");
        }
        Ok(transition.outcome)
    }
}
