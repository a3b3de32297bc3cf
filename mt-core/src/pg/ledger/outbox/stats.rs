//! What dispatchers do, and what waits for them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::Row as _;

use crate::pg::{PgError, SystemPool, SystemReason};

const LOOK: SystemReason = SystemReason::new("measure the outbox");

/// No more are counted, so that the count stays cheap.
const MOST: i64 = 10_000;

/// Counts of attempts, by what came of them. Cheap to clone: clones count together.
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

    /// How many attempts ended so, by outcome (`sent`, `skipped`, `deferred`, `failed`, `dead`, `lost`) and
    /// reason.
    #[must_use]
    pub fn attempts(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        self.counts().clone()
    }

    fn counts(&self) -> std::sync::MutexGuard<'_, BTreeMap<(&'static str, &'static str), u64>> {
        // Nothing is done under it that may panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What waits in the database, and what is dead there.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct OutboxBacklog {
    /// How many messages wait, up to ten thousand.
    pub waiting: u64,
    /// How long ago the oldest of them was put in.
    pub oldest: Duration,
    /// How many are dead, up to ten thousand, by the reason that begins their `last_error`.
    pub dead: BTreeMap<String, u64>,
}

/// What waits and what is dead. By indexes, and bounded: for every few seconds.
///
/// # Errors
///
/// [`PgError`].
pub async fn backlog(system: &SystemPool) -> Result<OutboxBacklog, PgError> {
    let mut tx = system.begin(LOOK).await?;
    let row = sqlx::query(
        "with waiting as materialized ( \
             select created_at from mt.outbox where status in ('pending', 'sending') \
             order by created_at limit $1 \
         ) select count(*) as waiting, \
             extract(epoch from now() - min(created_at))::double precision as oldest from waiting",
    )
    .bind(MOST)
    .fetch_one(tx.conn())
    .await?;
    let dead: Vec<(String, i64)> = sqlx::query_as(
        "select split_part(coalesce(last_error, 'unknown'), ':', 1) as reason, count(*) \
         from (select last_error from mt.outbox where status = 'dead' limit $1) d group by 1",
    )
    .bind(MOST)
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
