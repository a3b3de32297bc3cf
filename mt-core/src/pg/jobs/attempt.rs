//! One attempt at a job: its transaction, its handler, its mark.

use std::marker::PhantomData;

use futures_core::future::BoxFuture;
use futures_util::FutureExt as _;

use super::authority::OpensTx as _;
use super::claim::Claimed;
use super::settle::{Ended, finish};
use super::{Job, JobError, JobHandler, JobRun};
use crate::access::{AccessModel, Permission};
use crate::pg::Tenants;
use crate::pg::work::failure::Failure;

/// A handler of whatever kind of job.
pub(super) trait Attempts<M: AccessModel>: Send + Sync {
    /// Makes an attempt, and marks the job in the transaction of its effect.
    fn attempt<'a>(
        &'a self,
        tenants: &'a Tenants<M>,
        job: &'a Claimed,
        run: &'a JobRun,
    ) -> BoxFuture<'a, Result<(), Ended>>;
}

/// A handler of jobs `J`.
pub(super) struct Of<J, H> {
    pub(super) handler: H,
    pub(super) job: PhantomData<fn() -> J>,
}

impl<M, J, H> Attempts<M> for Of<J, H>
where
    M: AccessModel,
    J: Job,
    J::Permission: Permission<Model = M>,
    H: JobHandler<J>,
{
    fn attempt<'a>(
        &'a self,
        tenants: &'a Tenants<M>,
        job: &'a Claimed,
        run: &'a JobRun,
    ) -> BoxFuture<'a, Result<(), Ended>> {
        async move {
            let value = value::<J>(job)?;
            let mut tx = J::Authority::open(tenants, job.tenant, job.principal).await?;
            match self.handler.handle(value, &mut tx, run).await {
                Ok(()) => Ok(tx.commit_after(finish(job)).await?),
                Err(error) => {
                    // The handler's own error is the one to report.
                    _ = tx.rollback().await;
                    Err(error.into())
                }
            }
        }
        .boxed()
    }
}

/// Reads the job, if it has the authority that its kind asks for. A release may have changed either.
pub(super) fn value<J: Job>(job: &Claimed) -> Result<J, JobError> {
    let is_of_kind =
        job.runs_as == J::Authority::RUNS_AS && job.service.as_deref() == J::Authority::SERVICE;
    if !is_of_kind {
        let detail = "it was enqueued with another authority than its kind has now";
        return Err(JobError::Dead(Failure::new("authority", detail)));
    }
    // The text of the error may repeat values.
    serde_json::from_value(job.payload.clone())
        .map_err(|_| JobError::Dead(Failure::new("payload", "it does not fit the job's type")))
}
