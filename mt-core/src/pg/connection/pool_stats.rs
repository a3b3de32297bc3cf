//! How the pool of connections is doing, for metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The pool at one moment, and what was asked of it since the start.
///
/// `waited` over `acquired`, as rates, is how long a request waits for a connection; a pool that is too
/// small, or a database that is too slow, shows there first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct PoolStats {
    /// The most connections that there may be.
    pub max: u32,
    /// How many there are.
    pub size: u32,
    /// How many of them are idle.
    pub idle: u32,
    /// How many requests are waiting for one at this moment.
    pub waiting: u64,
    /// How often a request got one.
    pub acquired: u64,
    /// How often a request got none: it gave up, or none was free in time.
    pub failed: u64,
    /// How long all of them have waited together.
    pub waited: Duration,
}

impl PoolStats {
    /// These and `others`, as one pool.
    pub(in crate::pg) fn with(self, others: Self) -> Self {
        Self {
            max: self.max + others.max,
            size: self.size + others.size,
            idle: self.idle + others.idle,
            waiting: self.waiting + others.waiting,
            acquired: self.acquired + others.acquired,
            failed: self.failed + others.failed,
            waited: self.waited + others.waited,
        }
    }
}

/// What is counted where connections are handed out.
#[derive(Debug, Default)]
pub(in crate::pg) struct Waits {
    begun: AtomicU64,
    acquired: AtomicU64,
    failed: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Waits {
    /// A request begins to wait.
    pub(in crate::pg) fn begin(&self) -> Wait<'_> {
        self.begun.fetch_add(1, Relaxed);
        Wait { waits: self, since: Instant::now(), got_one: false }
    }

    pub(in crate::pg) fn stats(&self, max: usize, size: usize, idle: usize) -> PoolStats {
        // Those who have ended before those who have begun: what ends in between is not waiting.
        let (acquired, failed) = (self.acquired.load(Relaxed), self.failed.load(Relaxed));
        let number = |connections| u32::try_from(connections).unwrap_or(u32::MAX);
        PoolStats {
            max: number(max),
            size: number(size),
            idle: number(idle),
            waiting: self.begun.load(Relaxed).saturating_sub(acquired + failed),
            acquired,
            failed,
            waited: Duration::from_nanos(self.nanoseconds.load(Relaxed)),
        }
    }
}

/// A request that waits for a connection. Dropped before it got one, it counts as one that got none.
pub(in crate::pg) struct Wait<'w> {
    waits: &'w Waits,
    since: Instant,
    got_one: bool,
}

impl Wait<'_> {
    pub(in crate::pg) fn got_one(mut self) {
        self.got_one = true;
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let waited = u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.waits.nanoseconds.fetch_add(waited, Relaxed);
        let ended = if self.got_one { &self.waits.acquired } else { &self.waits.failed };
        ended.fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_gives_up_counts_as_failed() {
        let waits = Waits::default();
        let (patient, hasty) = (waits.begin(), waits.begin());
        let stats = waits.stats(16, 1, 1);
        assert_eq!((stats.waiting, stats.acquired, stats.failed), (2, 0, 0));
        drop(hasty);
        patient.got_one();
        let stats = waits.stats(16, 1, 0);
        assert_eq!((stats.waiting, stats.acquired, stats.failed), (0, 1, 1));
    }
}
