//! The clock of the process, for decisions without a database.
//!
//! The clock of the database decides the expiry of links, invites and grace periods, so that replicas with different
//! clocks agree. The process decides the age of tokens and webhook signatures, and the windows of the in-process
//! limiter.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};

/// A source of the current time. Decisions take the time as an argument; callers read it from a `Clock`.
pub trait Clock: Send + Sync + 'static {
    /// Returns the current time in UTC.
    fn now(&self) -> DateTime<Utc>;

    /// Returns microseconds since 1970, which is cheaper than a date.
    fn micros(&self) -> i64 {
        self.now().timestamp_micros()
    }
}

/// The system clock.
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

/// A clock for tests that stands still until it is advanced.
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
    /// Creates a clock that shows `start`.
    #[must_use]
    pub fn at(start: DateTime<Utc>) -> Self {
        Self { micros: AtomicI64::new(start.timestamp_micros()) }
    }

    /// Advances the clock; a negative `by` sets it back.
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
    fn both_readings_agree() {
        let clock = SystemClock;
        for _ in 0..100 {
            let (before, micros, after) = (clock.now(), clock.micros(), clock.now());
            let between = before.timestamp_micros()..=after.timestamp_micros();
            // Outside only if the system clock is set back in between.
            assert!(between.contains(&micros) || after < before, "{between:?} {micros}");
        }
        let manual = ManualClock::at(DateTime::from_timestamp_micros(-7).unwrap());
        assert_eq!(manual.micros(), -7);
    }
}
