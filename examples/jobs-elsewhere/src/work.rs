//! The worker of apalis. It delivers envelopes; mt opens the tenant's transaction and decides.

use std::io;
use std::sync::Arc;

use apalis::prelude::*;
use helpdesk::Helpdesk;
use mt::pg::Tenants;
use mt::pg::jobs::{EnvelopeKey, JobEnvelope, JobError};

use crate::carry::Queue;
use crate::comment::{Comment, Commenter};

/// How often an attempt is repeated that may succeed later.
const RETRIES: usize = 5;

/// What a delivery needs beside the envelope.
#[derive(Debug)]
pub struct Helpdesks {
    /// The shops.
    pub shops: Tenants<Helpdesk>,
    /// The key that sealed the envelopes.
    pub key: EnvelopeKey,
}

/// Runs jobs of the queue until `stop` is ready, and finishes those that have begun.
///
/// # Errors
///
/// [`WorkerError`] when the queue cannot be read.
pub async fn work(
    queue: Queue,
    helpdesks: Arc<Helpdesks>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), WorkerError> {
    let stop = async {
        stop.await;
        io::Result::Ok(())
    };
    WorkerBuilder::new("helpdesk")
        .backend(queue)
        .data(helpdesks)
        .retry(RetryPolicy::retries(RETRIES).retry_if(may_succeed_later))
        .build(deliver)
        .run_until(stop)
        .await
}

async fn deliver(
    envelope: JobEnvelope,
    attempt: Attempt,
    helpdesks: Data<Arc<Helpdesks>>,
) -> Result<(), JobError> {
    let attempt = u32::try_from(attempt.current()).unwrap_or(u32::MAX);
    let Helpdesks { shops, key } = &**helpdesks;
    // The answer tells a first delivery from a repeated one. The queue is done with both.
    envelope.run::<Comment, _>(key, shops, &Commenter, attempt).await.map(drop)
}

/// A refusal is final: the member has left, or may not do it any more.
fn may_succeed_later(error: &BoxDynError) -> bool {
    !matches!(error.downcast_ref(), Some(JobError::Dead(_)))
}
