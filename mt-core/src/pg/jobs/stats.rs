//! Metrics of jobs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::Row as _;

use crate::pg::{PgError, System, SystemReason};

const MEASURE: SystemReason = SystemReason::new("measure jobs");

/// The highest count, so that counting stays cheap.
const MAX_COUNT: i64 = 10_000;

/// Counts of attempts in this process, by kind and outcome. Cheap to clone: clones count together.
///
/// ```
/// use mt_core::pg::jobs::JobStats;
///
/// assert!(JobStats::default().attempts().is_empty());
/// ```
#[derive(Clone, Debug, Default)]
pub struct JobStats(Arc<Mutex<BTreeMap<(&'static str, &'static str), u64>>>);

impl JobStats {
    pub(super) fn count(&self, kind: &'static str, outcome: &'static str) {
        *self.counts().entry((kind, outcome)).or_default() += 1;
    }

    /// Returns the number of attempts by kind and outcome: `done`, `failed`, `deferred`, `dead`, or `lost` for one that has
    /// lost its lease. Kinds and outcomes are words of the program, so they may label metrics.
    #[must_use]
    pub fn attempts(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        self.counts().clone()
    }

    fn counts(&self) -> std::sync::MutexGuard<'_, BTreeMap<(&'static str, &'static str), u64>> {
        // No code that may panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The jobs in the database that are not finished, or dead, of all processes and tenants.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct JobBacklog {
    /// The number of jobs that wait for a worker, at most ten thousand.
    pub ready: u64,
    /// How long the job that is next has been due.
    pub overdue: Duration,
    /// The number of jobs that wait for their time, at most ten thousand.
    pub scheduled: u64,
    /// The number of jobs that run, at most ten thousand.
    pub running: u64,
    /// The number of dead jobs, at most ten thousand.
    pub dead: u64,
}

/// Counts jobs. Bounded and served by indexes, so it may be called every few seconds.
///
/// # Errors
///
/// [`PgError`].
pub async fn backlog(system: &System) -> Result<JobBacklog, PgError> {
    let mut tx = system.begin(MEASURE).await?;
    let row = sqlx::query(
        "select (select count(*) from (select from mt.jobs where status = 'ready' limit $1) r) as ready, \
             (select extract(epoch from now() - run_at)::float8 from mt.jobs where status = 'ready' \
                 order by turn, id limit 1) as overdue, \
             (select count(*) from (select from mt.jobs where status = 'scheduled' limit $1) s) as scheduled, \
             (select count(*) from (select from mt.jobs where status = 'running' limit $1) r) as running, \
             (select count(*) from (select from mt.jobs where status = 'dead' limit $1) d) as dead",
    )
    .bind(MAX_COUNT)
    .fetch_one(tx.conn())
    .await?;
    tx.commit().await?;
    let count = |name| Ok::<_, PgError>(u64::try_from(row.try_get::<i64, _>(name)?).unwrap_or(0));
    let overdue: Option<f64> = row.try_get("overdue")?;
    Ok(JobBacklog {
        ready: count("ready")?,
        overdue: Duration::try_from_secs_f64(overdue.unwrap_or(0.0)).unwrap_or_default(),
        scheduled: count("scheduled")?,
        running: count("running")?,
        dead: count("dead")?,
    })
}
