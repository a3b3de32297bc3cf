//! Metrics of the outbox.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::Row as _;

use crate::pg::{PgError, System, SystemReason};

const MEASURE: SystemReason = SystemReason::new("measure the outbox");

/// The highest count, so that counting stays cheap.
const MAX_COUNT: i64 = 10_000;

/// Counts of attempts by outcome. Cheap to clone: clones count together.
///
/// ```
/// use mt_core::pg::ledger::outbox::OutboxStats;
///
/// assert!(OutboxStats::default().attempts().is_empty());
/// ```
#[derive(Clone, Debug, Default)]
pub struct OutboxStats(Arc<Mutex<BTreeMap<(&'static str, &'static str), u64>>>);

impl OutboxStats {
    pub(super) fn count(&self, outcome: &'static str, reason: &'static str) {
        *self.counts().entry((outcome, reason)).or_default() += 1;
    }

    /// Returns the number of attempts by outcome (`sent`, `skipped`, `deferred`, `failed`, `dead`, `lost`) and reason.
    #[must_use]
    pub fn attempts(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        self.counts().clone()
    }

    fn counts(&self) -> std::sync::MutexGuard<'_, BTreeMap<(&'static str, &'static str), u64>> {
        // No code that may panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The messages in the database that wait or are dead, of all processes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct OutboxBacklog {
    /// The number of messages that wait, at most ten thousand.
    pub waiting: u64,
    /// The time since the oldest of them was enqueued.
    pub oldest: Duration,
    /// The number of dead messages, at most ten thousand, by the reason that begins their `last_error`.
    pub dead: BTreeMap<String, u64>,
}

/// Counts what waits and what is dead. Bounded and served by indexes, so it may be called every few seconds.
///
/// # Errors
///
/// [`PgError`].
pub async fn backlog(system: &System) -> Result<OutboxBacklog, PgError> {
    let mut tx = system.begin(MEASURE).await?;
    let row = sqlx::query(
        "with waiting as materialized ( \
             select created_at from mt.outbox where status in ('pending', 'sending') \
             order by created_at limit $1 \
         ) select count(*) as waiting, \
             extract(epoch from now() - min(created_at))::double precision as oldest from waiting",
    )
    .bind(MAX_COUNT)
    .fetch_one(tx.conn())
    .await?;
    let dead: Vec<(String, i64)> = sqlx::query_as(
        "select split_part(coalesce(last_error, 'unknown'), ':', 1) as reason, count(*) \
         from (select last_error from mt.outbox where status = 'dead' limit $1) d group by 1",
    )
    .bind(MAX_COUNT)
    .fetch_all(tx.conn())
    .await?;
    tx.commit().await?;
    let count = |count: i64| u64::try_from(count).unwrap_or(0);
    let oldest: Option<f64> = row.try_get("oldest")?;
    Ok(OutboxBacklog {
        waiting: count(row.try_get("waiting")?),
        oldest: Duration::try_from_secs_f64(oldest.unwrap_or(0.0)).unwrap_or_default(),
        dead: dead.into_iter().map(|(reason, dead)| (reason, count(dead))).collect(),
    })
}
