//! How often and for how long an event is tried, decided as a pure function.

use std::time::Duration;

/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_hours(1);
/// How much of a wait chance adds or takes away, so that what failed together is not tried together.
const JITTER: f64 = 0.25;

/// How often and for how long something is tried.
///
/// ```
/// use std::time::Duration;
///
/// use mt_core::pg::ledger::RetryPolicy;
///
/// let policy = RetryPolicy { max_attempts: 5, ..RetryPolicy::default() };
/// assert_eq!(policy.lease, Duration::from_secs(30));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// After so many attempts that failed, or that nobody came back from, it is dead.
    pub max_attempts: u32,
    /// The wait after the first failed attempt. Each further one doubles it, up to an hour; a quarter
    /// more or less is added by chance.
    pub backoff: Duration,
    /// How long one attempt may take before another begins.
    pub lease: Duration,
    /// How long an event waits for something that is not there *yet*, however many attempts that is; and a
    /// message of the outbox that does not say when it expires.
    pub patience: Duration,
}

impl Default for RetryPolicy {
    /// Ten attempts from one second on, leases of 30 seconds, three days of patience.
    fn default() -> Self {
        Self {
            max_attempts: 10,
            backoff: Duration::from_secs(1),
            lease: Duration::from_secs(30),
            patience: Duration::from_hours(72),
        }
    }
}

/// How something has fared before the attempt that did not succeed now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    /// The attempts since it was last asked for, this one included.
    pub(super) attempts: u32,
    /// Those of them that count against it, this one not included.
    pub(super) strikes: u32,
    /// How long ago it came.
    pub(super) age: Duration,
}

/// What comes after an attempt that did not succeed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Next {
    /// Nothing, unless somebody asks.
    Dead,
    /// Another attempt.
    After(Duration),
}

impl RetryPolicy {
    /// Something broke. `chance` is from 0 to 1.
    pub(super) fn after_failure(&self, record: Record, chance: f64) -> Next {
        if record.strikes + 1 >= self.max_attempts {
            return Next::Dead;
        }
        // Not by attempts: what an event has waited for before must not make a mishap cost it an hour.
        Next::After(self.pause(record.strikes + 1, chance))
    }

    /// Something is not there yet. `chance` is from 0 to 1.
    pub(super) fn after_waiting(&self, record: Record, chance: f64) -> Next {
        if record.age >= self.patience {
            return Next::Dead;
        }
        Next::After(self.pause(record.attempts, chance))
    }

    /// Something outside is in the way of a message that is of use for the time `left`, if it says so.
    /// `chance` is from 0 to 1.
    ///
    /// The wait is at most a quarter of that time, so that what expires in minutes is not tried by the hour.
    pub(super) fn after_deferral(
        &self,
        record: Record,
        left: Option<Duration>,
        chance: f64,
    ) -> Next {
        let pause = self.pause(record.attempts, chance);
        match left {
            Some(left) => Next::After(pause.min((left / 4).max(self.backoff)).min(left)),
            None if record.age >= self.patience => Next::Dead,
            None => Next::After(pause),
        }
    }

    /// The wait after so many attempts.
    fn pause(&self, attempts: u32, chance: f64) -> Duration {
        let doublings = attempts.saturating_sub(1).min(31);
        let wait = self.backoff.saturating_mul(1 << doublings).min(LONGEST_WAIT);
        wait.mul_f64(1.0 - JITTER + 2.0 * JITTER * chance.clamp(0.0, 1.0))
    }
}

/// A number from 0 to 1 by chance. Without an entropy source the middle: all wait the same then.
pub(super) fn chance() -> f64 {
    getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(attempts: u32, strikes: u32, age: Duration) -> Record {
        Record { attempts, strikes, age }
    }

    #[test]
    fn waits_double_up_to_an_hour_with_a_quarter_of_chance() {
        let policy = RetryPolicy::default();
        for (attempts, seconds) in [(1, 1), (2, 2), (5, 16), (12, 2048), (13, 3600), (4_000, 3600)]
        {
            let wait = Duration::from_secs(seconds);
            assert_eq!(policy.pause(attempts, 0.5), wait, "{attempts}");
            assert_eq!(policy.pause(attempts, 0.0), wait.mul_f64(0.75), "{attempts}");
            assert_eq!(policy.pause(attempts, 1.0), wait.mul_f64(1.25), "{attempts}");
        }
    }

    #[test]
    fn failures_run_out_and_waiting_does_not() {
        let policy = RetryPolicy { max_attempts: 3, ..RetryPolicy::default() };
        let (soon, late) = (Duration::from_mins(1), Duration::from_hours(72));
        assert!(matches!(policy.after_failure(record(1, 0, late), 0.5), Next::After(_)));
        assert!(matches!(policy.after_failure(record(2, 1, soon), 0.5), Next::After(_)));
        assert_eq!(policy.after_failure(record(3, 2, soon), 0.5), Next::Dead);
        // What it waited for before does not count.
        let second = Next::After(policy.backoff * 2);
        assert_eq!(policy.after_failure(record(90, 1, soon), 0.5), second);
        assert!(matches!(policy.after_waiting(record(90, 0, soon), 0.5), Next::After(_)));
        assert_eq!(policy.after_waiting(record(2, 0, late), 0.5), Next::Dead);
    }

    /// An outage may end at any time: of what is left then, at most a quarter is waited for.
    #[test]
    fn a_deferred_message_is_tried_until_it_expires() {
        let policy = RetryPolicy { backoff: Duration::from_secs(10), ..RetryPolicy::default() };
        let link = Duration::from_mins(10);
        let (mut at, mut attempts) = (Duration::ZERO, 0);
        while at < link {
            attempts += 1;
            let (record, left) = (record(attempts, 0, at), link.saturating_sub(at));
            let Next::After(wait) = policy.after_deferral(record, Some(left), 0.5) else {
                panic!("it is of use for {left:?} yet");
            };
            let most = (left / 4).max(policy.backoff);
            assert!(wait <= most && at + wait <= link, "{wait:?} at {at:?}");
            at += wait;
        }
        assert!((10..20).contains(&attempts), "{attempts}");
        // Without an end it waits for as long as the policy has patience, and longer each time.
        let (soon, late) = (Duration::from_hours(71), Duration::from_hours(72));
        let hour = Next::After(Duration::from_hours(1));
        assert_eq!(policy.after_deferral(record(90, 0, soon), None, 0.5), hour);
        assert_eq!(policy.after_deferral(record(90, 0, late), None, 0.5), Next::Dead);
    }

    #[test]
    fn chance_is_from_0_to_1_and_not_always_the_same() {
        let chances: Vec<f64> = (0..64).map(|_| chance()).collect();
        assert!(chances.iter().all(|chance| (0.0..=1.0).contains(chance)));
        assert!(chances.windows(2).any(|pair| pair[0].to_bits() != pair[1].to_bits()));
    }
}
