//! Workers: they apply what nobody has applied yet, for as long as a process runs.

use std::error::Error as _;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::claim::{claim, release};
use super::protocol::Shared;
use super::stop::Stop;
use super::{Ledger, Provider};
use crate::pg::PgError;

/// How many workers there are and how they go about it.
#[derive(Clone, Copy, Debug)]
pub struct Workers {
    /// How many events are worked on at once in this process.
    pub count: usize,
    /// How many of them a worker claims at once. Its lease is for all of them, so with effects that take
    /// long it is few.
    pub batch: u32,
    /// How often they look for work when nobody tells them that there is some.
    pub poll: Duration,
    /// How long the bodies of events that are done with are kept; `None`: for ever.
    pub keep_bodies: Option<Duration>,
}

impl Default for Workers {
    /// Two, sixteen events at a time, looking each second, who keep bodies for 90 days.
    fn default() -> Self {
        Self {
            count: 2,
            batch: 16,
            poll: Duration::from_secs(1),
            keep_bodies: Some(Duration::from_hours(24 * 90)),
        }
    }
}

/// How often old bodies are looked for.
const PURGE: Duration = Duration::from_hours(1);

impl<P: Provider> Ledger<P> {
    /// Works until `stop` is ready: then each worker ends the event that it is at, gives back what it had
    /// claimed beside it, and this returns. Any number of processes may do the same on one database.
    ///
    /// Dropped, it ends in the middle of what it is doing, and the leases have to run out.
    pub async fn work(&self, workers: Workers, stop: impl Future<Output = ()>) {
        let asked = Arc::new(Stop::default());
        let mut tasks = JoinSet::new();
        for number in 1..=workers.count {
            // Who finds work rings for the next, so that one of them is enough to look often.
            let poll = workers.poll.saturating_mul(u32::try_from(number).unwrap_or(u32::MAX));
            let workers = Workers { poll, ..workers };
            tasks.spawn(apply(Arc::clone(&self.shared), workers, Arc::clone(&asked)));
        }
        if let Some(age) = workers.keep_bodies {
            tasks.spawn(purge(self.clone(), age, Arc::clone(&asked)));
        }
        stop.await;
        asked.ask();
        while tasks.join_next().await.is_some() {}
    }
}

async fn apply<P: Provider>(shared: Arc<Shared<P>>, workers: Workers, stop: Arc<Stop>) {
    while !stop.is_asked() {
        match round(&shared, workers.batch, &stop).await {
            // Somebody else may have the time to go on.
            Ok(true) => shared.due.notify_one(),
            Ok(false) => {
                // Rung or not: then it is time to look again.
                let _ = stop.or(tokio::time::timeout(workers.poll, shared.due.notified())).await;
            }
            Err(error) => {
                tracing::warn!(cause = error.source(), "the ledger could not be worked on");
                let _ = stop.or(tokio::time::sleep(workers.poll)).await;
            }
        }
    }
}

/// Claims some events and applies them. `false`: nothing is due.
async fn round<P: Provider>(shared: &Shared<P>, batch: u32, stop: &Stop) -> Result<bool, PgError> {
    let claimed = claim(&shared.system, P::NAME, shared.policy, batch.max(1)).await?;
    for (number, one) in claimed.iter().enumerate() {
        if stop.is_asked() {
            release(&shared.system, &claimed[number..]).await?;
            break;
        }
        shared.work_on(one).await?;
    }
    Ok(!claimed.is_empty())
}

/// At once, for processes may live shorter than an hour, and then each hour. A stop does not wait for it:
/// the batch that it is at is taken back, and the next process purges it.
async fn purge<P: Provider>(ledger: Ledger<P>, age: Duration, stop: Arc<Stop>) {
    while let Some(result) = stop.or(ledger.purge_bodies(age)).await {
        match result {
            Ok(0) => {}
            Ok(purged) => tracing::info!(purged, "bodies of old webhook events were purged"),
            Err(error) => tracing::warn!(cause = error.source(), "bodies could not be purged"),
        }
        if stop.or(tokio::time::sleep(PURGE)).await.is_none() {
            break;
        }
    }
}
