//! The worker of apalis. It delivers envelopes; mt opens the tenant's transaction and decides.

use std::io;
use std::sync::Arc;

use apalis::prelude::*;
use helpdesk::Helpdesk;
use mt::pg::Tenants;
use mt::pg::jobs::{EnvelopeKey, JobEnvelope, JobError};
use uuid::Uuid;

use crate::carry::Queue;
use crate::comment::{Comment, Commenter};

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
    // Redis refuses a second worker of a name while the first may be alive.
    WorkerBuilder::new(format!("helpdesk-{}", Uuid::new_v4()))
        .backend(queue)
        .data(helpdesks)
        .build(deliver)
        .run_until(stop)
        .await
}

async fn deliver(
    envelope: JobEnvelope,
    attempt: Attempt,
    helpdesks: Data<Arc<Helpdesks>>,
) -> Result<(), BoxDynError> {
    let attempt = u32::try_from(attempt.current()).unwrap_or(u32::MAX);
    let Helpdesks { shops, key } = &**helpdesks;
    // The answer tells a first delivery from a repeated one. The queue is done with both.
    match envelope.run::<Comment, _>(key, shops, &Commenter, attempt).await {
        Ok(_) => Ok(()),
        // A refusal is final: the member has left, or may not do it any more. The queue repeats what else has failed.
        Err(error @ JobError::Dead(_)) => Err(AbortError::new(error).into()),
        Err(error) => Err(error.into()),
    }
}
