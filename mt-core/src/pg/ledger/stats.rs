//! Metrics of a ledger.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use sqlx::Row as _;

use super::{EventStatus, Ledger, Provider};
use crate::pg::{PgError, SystemReason};

const MEASURE: SystemReason = SystemReason::new("measure the webhook ledger");

/// The highest count, so that counting stays cheap.
const MAX_COUNT: i64 = 10_000;

/// Counts of deliveries and attempts in this process since its start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct LedgerStats {
    /// Deliveries that were stored.
    pub deliveries: u64,
    /// Deliveries of an event that was stored before.
    pub duplicates: u64,
    /// Attempts that applied the event.
    pub processed: u64,
    /// Attempts that found nothing to apply.
    pub ignored: u64,
    /// Attempts after which the event is tried again.
    pub failed: u64,
    /// Attempts after which the event is dead.
    pub dead: u64,
    /// Attempts that lost their lease; another attempt decided.
    pub lost: u64,
}

/// The events in the database that are due or dead, of all processes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Backlog {
    /// The number of events that are due, at most ten thousand.
    pub due: u64,
    /// How long the first of them has been due.
    pub overdue: Duration,
    /// The number of dead events, at most ten thousand.
    pub dead: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    deliveries: AtomicU64,
    duplicates: AtomicU64,
    processed: AtomicU64,
    ignored: AtomicU64,
    failed: AtomicU64,
    dead: AtomicU64,
    lost: AtomicU64,
}

impl Counters {
    pub(super) fn stored(&self, duplicate: bool) {
        self.deliveries.fetch_add(1, Relaxed);
        self.duplicates.fetch_add(u64::from(duplicate), Relaxed);
    }

    pub(super) fn attempted(&self, reached: EventStatus) {
        let count = match reached {
            EventStatus::Processed => &self.processed,
            EventStatus::Ignored => &self.ignored,
            EventStatus::Failed => &self.failed,
            EventStatus::Dead => &self.dead,
            // The attempt that has the lease by now counts its own outcome.
            EventStatus::Processing | EventStatus::Received => &self.lost,
        };
        count.fetch_add(1, Relaxed);
    }
}

impl<P: Provider> Ledger<P> {
    /// Returns the counts of this process since its start.
    #[must_use]
    pub fn stats(&self) -> LedgerStats {
        let counters = &self.inner.counters;
        LedgerStats {
            deliveries: counters.deliveries.load(Relaxed),
            duplicates: counters.duplicates.load(Relaxed),
            processed: counters.processed.load(Relaxed),
            ignored: counters.ignored.load(Relaxed),
            failed: counters.failed.load(Relaxed),
            dead: counters.dead.load(Relaxed),
            lost: counters.lost.load(Relaxed),
        }
    }

    /// Counts what is due and dead in the database. Bounded and served by indexes, so it may be called every few seconds.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn backlog(&self) -> Result<Backlog, PgError> {
        let mut tx = self.system().begin(MEASURE).await?;
        let row = sqlx::query(
            "with due as materialized ( \
                 select next_attempt_at from mt.webhook_events \
                 where provider = $1 and status in ('received', 'failed', 'processing') \
                     and next_attempt_at <= now() and (lease_until is null or lease_until < now()) \
                 order by next_attempt_at limit $2 \
             ) select (select count(*) from due) as due, \
                 (select extract(epoch from now() - min(next_attempt_at))::double precision from due) \
                     as overdue, \
                 (select count(*) from (select 1 from mt.webhook_events \
                     where status = 'dead' and provider = $1 limit $2) d) as dead",
        )
        .bind(P::NAME)
        .bind(MAX_COUNT)
        .fetch_one(tx.conn())
        .await?;
        tx.commit().await?;
        let count =
            |name| Ok::<_, PgError>(u64::try_from(row.try_get::<i64, _>(name)?).unwrap_or(0));
        let overdue: Option<f64> = row.try_get("overdue")?;
        Ok(Backlog {
            due: count("due")?,
            overdue: Duration::try_from_secs_f64(overdue.unwrap_or(0.0)).unwrap_or_default(),
            dead: count("dead")?,
        })
    }
}
