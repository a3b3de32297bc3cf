//! What there is to measure about a ledger.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use sqlx::Row as _;

use super::{EventStatus, Ledger, Provider};
use crate::pg::{PgError, SystemReason};

const LOOK: SystemReason = SystemReason::new("measure the webhook ledger");

/// No more are counted: beyond that it is enough to know that there are many, and the count stays cheap.
const MOST: i64 = 10_000;

/// What this process has done with events since its start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct LedgerStats {
    /// Deliveries that were stored.
    pub deliveries: u64,
    /// Those of them whose event was known.
    pub duplicates: u64,
    /// Attempts that ended with the event applied.
    pub processed: u64,
    /// With the event put aside.
    pub ignored: u64,
    /// With the event to be tried again.
    pub failed: u64,
    /// With the event given up.
    pub dead: u64,
    /// Attempts that lost their lease, which say nothing.
    pub lost: u64,
}

/// What waits in the database, whoever stored it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Backlog {
    /// How many events are due, up to ten thousand.
    pub due: u64,
    /// How long the first of them has been.
    pub overdue: Duration,
    /// How many were given up, up to ten thousand.
    pub dead: u64,
}

#[derive(Debug, Default)]
pub(super) struct Tally {
    deliveries: AtomicU64,
    duplicates: AtomicU64,
    processed: AtomicU64,
    ignored: AtomicU64,
    failed: AtomicU64,
    dead: AtomicU64,
    lost: AtomicU64,
}

impl Tally {
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
            // Whoever has the lease now says what came of it.
            EventStatus::Processing | EventStatus::Received => &self.lost,
        };
        count.fetch_add(1, Relaxed);
    }
}

impl<P: Provider> Ledger<P> {
    /// What this process has done since its start.
    #[must_use]
    pub fn stats(&self) -> LedgerStats {
        let tally = &self.shared.tally;
        LedgerStats {
            deliveries: tally.deliveries.load(Relaxed),
            duplicates: tally.duplicates.load(Relaxed),
            processed: tally.processed.load(Relaxed),
            ignored: tally.ignored.load(Relaxed),
            failed: tally.failed.load(Relaxed),
            dead: tally.dead.load(Relaxed),
            lost: tally.lost.load(Relaxed),
        }
    }

    /// What waits in the database. By indexes, and bounded: for every few seconds.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn backlog(&self) -> Result<Backlog, PgError> {
        let mut tx = self.system().begin(LOOK).await?;
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
        .bind(MOST)
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
