//! A circuit breaker: after a run of failures, leave the store alone for a while.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use chrono::{DateTime, Utc};

/// `until` of a closed breaker.
const CLOSED: i64 = i64::MIN;

/// Closed: every call goes through. Open: none does. After `cooldown`, one caller at a time
/// probes; its success closes the breaker, and its failure or its disappearance leaves it open
/// for another `cooldown`.
///
/// Nothing else is published through these atomics, and a race between two callers can at worst
/// let one more call through, so relaxed ordering is enough.
#[derive(Debug)]
pub(super) struct Breaker {
    failures: AtomicU32,
    until: AtomicI64,
    threshold: u32,
    cooldown: i64,
}

impl Breaker {
    pub(super) fn new(threshold: u32, cooldown: Duration) -> Self {
        Self {
            failures: AtomicU32::new(0),
            until: AtomicI64::new(CLOSED),
            threshold,
            cooldown: i64::try_from(cooldown.as_micros()).unwrap_or(i64::MAX),
        }
    }

    /// Returns whether a call may be made at `now`.
    pub(super) fn admits(&self, now: DateTime<Utc>) -> bool {
        let until = self.until.load(Relaxed);
        if until == CLOSED {
            return true;
        }
        let now = now.timestamp_micros();
        // Further away than `cooldown` only if the clock was set back.
        if now < until && until.saturating_sub(now) <= self.cooldown {
            return false;
        }
        // The winner probes. The deadline moves on first, so that a probe whose future is dropped
        // is followed by another.
        let next = now.saturating_add(self.cooldown);
        self.until.compare_exchange(until, next, Relaxed, Relaxed).is_ok()
    }

    /// Records a success. Returns whether it closed the breaker.
    pub(super) fn succeeded(&self) -> bool {
        // Read before written: the usual success must not make the line bounce between cores.
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
        self.until.load(Relaxed) != CLOSED && self.until.swap(CLOSED, Relaxed) != CLOSED
    }

    /// Records a failure at `now`. Returns whether it opened a closed breaker.
    pub(super) fn failed(&self, now: DateTime<Utc>) -> bool {
        let before = self.failures.fetch_add(1, Relaxed);
        if before.saturating_add(1) < self.threshold {
            return false;
        }
        // Held at the threshold, so that a long outage cannot wrap the counter round.
        self.failures.store(self.threshold, Relaxed);
        let until = now.timestamp_micros().saturating_add(self.cooldown);
        self.until.swap(until, Relaxed) == CLOSED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_795_000_000_000 + millis).unwrap()
    }

    fn open_at_zero() -> Breaker {
        let breaker = Breaker::new(3, Duration::from_secs(1));
        assert_eq!([(); 3].map(|()| breaker.failed(at(0))), [false, false, true]);
        breaker
    }

    #[test]
    fn only_failures_in_a_row_open_it() {
        let breaker = Breaker::new(3, Duration::from_secs(1));
        for _ in 0..5 {
            assert!(!breaker.failed(at(0)) && !breaker.failed(at(0)));
            assert!(!breaker.succeeded());
        }
        assert!(breaker.admits(at(0)));
    }

    #[test]
    fn one_probe_a_cooldown() {
        let breaker = open_at_zero();
        assert!(!breaker.admits(at(999)));
        assert!(breaker.admits(at(1000)), "the probe");
        assert!(!breaker.admits(at(1000)), "everybody else");
        // The probe has no outcome: its future was dropped.
        assert!(!breaker.admits(at(1999)));
        assert!(breaker.admits(at(2000)));
        assert!(!breaker.failed(at(2010)), "it was open already");
        assert!(!breaker.admits(at(3009)));
        assert!(breaker.admits(at(3010)));
        assert!(breaker.succeeded());
        assert!(breaker.admits(at(3010)) && breaker.admits(at(3010)));
    }

    #[test]
    fn a_clock_set_back_does_not_keep_it_open() {
        let breaker = open_at_zero();
        assert!(breaker.admits(at(-3_600_000)));
    }

    #[test]
    fn concurrent_probes_have_one_winner() {
        let breaker = open_at_zero();
        let winners = std::thread::scope(|scope| {
            let probes: Vec<_> = (0..8).map(|_| scope.spawn(|| breaker.admits(at(1000)))).collect();
            probes.into_iter().map(|p| p.join().unwrap()).filter(|won| *won).count()
        });
        assert_eq!(winners, 1);
    }
}
