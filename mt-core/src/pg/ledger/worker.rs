//! Workers: they apply stored events for as long as a process runs.

use std::error::Error as _;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::lease::{lease, release};
use super::protocol::Inner;
use super::{Ledger, Provider};
use crate::pg::PgError;
use crate::pg::work::repeat::repeat;

/// How many workers a process has, and how they look for events.
#[derive(Clone, Copy, Debug)]
pub struct Workers {
    /// How many events are applied at once in this process.
    pub count: usize,
    /// How many events a worker leases at once. The lease is for all of them, so with slow effects let it be small.
    pub batch: u32,
    /// How often an idle worker looks for events that are due.
    pub poll: Duration,
    /// How long the bodies of events in a final status are kept; `None` for ever.
    pub keep_bodies: Option<Duration>,
}

impl Default for Workers {
    /// Two workers that lease sixteen events at a time, poll each second, and keep bodies for 90 days.
    fn default() -> Self {
        Self {
            count: 2,
            batch: 16,
            poll: Duration::from_secs(1),
            keep_bodies: Some(Duration::from_hours(24 * 90)),
        }
    }
}

/// How often old bodies are purged.
const PURGE: Duration = Duration::from_hours(1);

impl<P: Provider> Ledger<P> {
    /// Runs workers until `stop` is ready. Then each worker finishes the event that it is applying, releases the
    /// others that it has leased, and this returns. Any number of processes may run workers on one database.
    ///
    /// A dropped future stops in the middle; its events are due again when their leases are over.
    pub async fn work(&self, workers: Workers, stop: impl Future<Output = ()>) {
        let stopping = CancellationToken::new();
        let mut tasks = JoinSet::new();
        for number in 1..=workers.count {
            // A worker that finds events wakes the next one, so it is enough if one of them polls often.
            let poll = workers.poll.saturating_mul(u32::try_from(number).unwrap_or(u32::MAX));
            let workers = Workers { poll, ..workers };
            tasks.spawn(apply(Arc::clone(&self.inner), workers, stopping.clone()));
        }
        if let Some(age) = workers.keep_bodies {
            tasks.spawn(purge(self.clone(), age, stopping.clone()));
        }
        stop.await;
        stopping.cancel();
        while tasks.join_next().await.is_some() {}
    }
}

async fn apply<P: Provider>(inner: Arc<Inner<P>>, workers: Workers, stopping: CancellationToken) {
    let step = || apply_batch(&inner, workers.batch, &stopping);
    let failed = "leasing or applying webhook events failed";
    repeat(failed, workers.poll, &inner.wake_up, &stopping, step).await;
}

/// Leases some events and applies them. Returns `false` if nothing is due.
async fn apply_batch<P: Provider>(
    inner: &Inner<P>,
    batch: u32,
    stopping: &CancellationToken,
) -> Result<bool, PgError> {
    let leased = lease(&inner.system, P::NAME, inner.policy.retry, batch.max(1)).await?;
    for (number, event) in leased.iter().enumerate() {
        if stopping.is_cancelled() {
            release(&inner.system, &leased[number..]).await?;
            break;
        }
        inner.work_on(event).await?;
    }
    Ok(!leased.is_empty())
}

/// Purges old bodies when a process starts, since it may live for less than an hour, and then each hour. A stop does
/// not wait for it: the batch that it is deleting is rolled back, and the next process deletes it.
async fn purge<P: Provider>(ledger: Ledger<P>, age: Duration, stopping: CancellationToken) {
    while let Some(result) = stopping.run_until_cancelled(ledger.purge_bodies(age)).await {
        match result {
            Ok(0) => {}
            Ok(purged) => tracing::info!(purged, "bodies of old webhook events were purged"),
            Err(error) => tracing::warn!(cause = error.source(), "bodies could not be purged"),
        }
        if stopping.run_until_cancelled(tokio::time::sleep(PURGE)).await.is_none() {
            break;
        }
    }
}
