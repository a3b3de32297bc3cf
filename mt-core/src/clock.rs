//! The process's clock, for decisions that no database takes part in.
//!
//! Expiry of links, invites and grace periods is decided by the database's clock, so that
//! replicas with skewed clocks agree. What is left for the process: the age of a token or of a
//! webhook signature, and windows of the in-process limiter.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};

/// Tells the time. Decisions take the time as an argument; a `Clock` sits at the edge.
pub trait Clock: Send + Sync + 'static {
    /// Now, in UTC.
    fn now(&self) -> DateTime<Utc>;

    /// The same in microseconds since 1970, for whoever only reckons: a date is work to make.
    fn micros(&self) -> i64 {
        self.now().timestamp_micros()
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "one of the two places where the process reads the time"
    )]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    #[expect(clippy::disallowed_methods, reason = "the other place")]
    fn micros(&self) -> i64 {
        let micros = |span: Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => micros(since),
            Err(before) => -micros(before.duration()),
        }
    }
}

/// A clock that stands still until it is moved.
///
/// ```
/// use chrono::{DateTime, TimeDelta};
/// use mt_core::clock::{Clock, ManualClock};
///
/// let clock = ManualClock::at(DateTime::from_timestamp(1_795_449_600, 0).unwrap());
/// clock.advance(TimeDelta::seconds(61));
/// assert_eq!(clock.now().timestamp(), 1_795_449_661);
/// ```
#[derive(Debug)]
pub struct ManualClock {
    micros: AtomicI64,
}

impl ManualClock {
    /// A clock that shows `start`.
    #[must_use]
    pub fn at(start: DateTime<Utc>) -> Self {
        Self { micros: AtomicI64::new(start.timestamp_micros()) }
    }

    /// Moves the clock forward, or back with a negative `by`.
    pub fn advance(&self, by: TimeDelta) {
        let micros = by.num_microseconds().unwrap_or(i64::MAX);
        self.micros.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.micros.load(Ordering::SeqCst)).unwrap_or_default()
    }
}

impl<C: Clock> Clock for std::sync::Arc<C> {
    fn now(&self) -> DateTime<Utc> {
        C::now(self)
    }

    fn micros(&self) -> i64 {
        C::micros(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_read_it_agree() {
        let clock = SystemClock;
        for _ in 0..100 {
            let (before, micros, after) = (clock.now(), clock.micros(), clock.now());
            let between = before.timestamp_micros()..=after.timestamp_micros();
            // Outside only when the machine's clock is set back in between.
            assert!(between.contains(&micros) || after < before, "{between:?} {micros}");
        }
        let manual = ManualClock::at(DateTime::from_timestamp_micros(-7).unwrap());
        assert_eq!(manual.micros(), -7);
    }
}
