//! The process's clock, for decisions that no database takes part in.
//!
//! Expiry of links, invites and grace periods is decided by the database's clock, so that
//! replicas with skewed clocks agree. What is left for the process: the age of a token or of a
//! webhook signature, and windows of the in-process limiter.

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

/// Tells the time. Decisions take the time as an argument; a `Clock` sits at the edge.
pub trait Clock: Send + Sync + 'static {
    /// Now, in UTC.
    fn now(&self) -> DateTime<Utc>;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the process reads the time")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
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
}
