//! How often and for how long an attempt is repeated, decided as a pure function.

use std::time::Duration;

/// The longest wait between two attempts.
const MAX_BACKOFF: Duration = Duration::from_hours(1);
/// The part of a wait that chance adds or takes away, so that what failed together is not tried together.
const JITTER: f64 = 0.25;

/// How often and for how long an event, a message of the outbox or a job is tried.
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
    /// How many attempts may fail, or never end, before it is dead.
    pub max_attempts: u32,
    /// The wait after the first failed attempt. Each further one doubles it, up to an hour, give or take a quarter.
    pub backoff: Duration,
    /// How long one attempt may take before another begins. The lease of a job is renewed while it runs.
    pub lease: Duration,
    /// How long a deferred event is tried, however many attempts that takes; also a deferred message of the outbox
    /// without an expiry.
    pub max_age: Duration,
}

impl Default for RetryPolicy {
    /// Ten attempts, a backoff from one second on, leases of 30 seconds, and three days for what is deferred.
    fn default() -> Self {
        Self {
            max_attempts: 10,
            backoff: Duration::from_secs(1),
            lease: Duration::from_secs(30),
            max_age: Duration::from_hours(72),
        }
    }
}

/// The attempts so far, when one has just not succeeded.
#[derive(Clone, Copy, Debug)]
pub(in crate::pg) struct RetryState {
    /// All attempts since the last replay, this one included.
    pub(in crate::pg) attempts: u32,
    /// The failed ones that count against `max_attempts`, without this one.
    pub(in crate::pg) failures: u32,
    /// The time since it was first received.
    pub(in crate::pg) age: Duration,
}

/// The step after an attempt that did not succeed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::pg) enum Next {
    /// None, unless an operator asks for one.
    Dead,
    /// Another attempt, after this wait.
    After(Duration),
}

impl RetryPolicy {
    /// The step after a failure. `chance` is from 0 to 1.
    pub(in crate::pg) fn after_failure(&self, state: RetryState, chance: f64) -> Next {
        if state.failures + 1 >= self.max_attempts {
            return Next::Dead;
        }
        // Deferred attempts do not lengthen the backoff of a failure.
        Next::After(self.pause(state.failures + 1, chance))
    }

    /// The step after a deferral of something that expires after the time `left`, if it expires at all. `chance` is
    /// from 0 to 1.
    ///
    /// The wait is at most a quarter of that time, so that what expires in minutes is not tried by the hour.
    pub(in crate::pg) fn after_deferral(
        &self,
        state: RetryState,
        left: Option<Duration>,
        chance: f64,
    ) -> Next {
        let pause = self.pause(state.attempts, chance);
        match left {
            Some(left) => Next::After(pause.min((left / 4).max(self.backoff)).min(left)),
            None if state.age >= self.max_age => Next::Dead,
            None => Next::After(pause),
        }
    }

    /// The wait after so many attempts.
    fn pause(&self, attempts: u32, chance: f64) -> Duration {
        let doublings = attempts.saturating_sub(1).min(31);
        let wait = self.backoff.saturating_mul(1 << doublings).min(MAX_BACKOFF);
        wait.mul_f64(1.0 - JITTER + 2.0 * JITTER * chance.clamp(0.0, 1.0))
    }
}

/// A random number from 0 to 1; 0.5 without an entropy source.
pub(in crate::pg) fn chance() -> f64 {
    getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(attempts: u32, failures: u32, age: Duration) -> RetryState {
        RetryState { attempts, failures, age }
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
    fn failures_run_out_and_deferrals_end_with_age() {
        let policy = RetryPolicy { max_attempts: 3, ..RetryPolicy::default() };
        let (soon, late) = (Duration::from_mins(1), Duration::from_hours(72));
        assert!(matches!(policy.after_failure(state(1, 0, late), 0.5), Next::After(_)));
        assert!(matches!(policy.after_failure(state(2, 1, soon), 0.5), Next::After(_)));
        assert_eq!(policy.after_failure(state(3, 2, soon), 0.5), Next::Dead);
        // Deferred attempts do not count.
        let second = Next::After(policy.backoff * 2);
        assert_eq!(policy.after_failure(state(90, 1, soon), 0.5), second);
        assert!(matches!(policy.after_deferral(state(90, 0, soon), None, 0.5), Next::After(_)));
        assert_eq!(policy.after_deferral(state(2, 0, late), None, 0.5), Next::Dead);
    }

    /// An outage may end at any time: a wait is at most a quarter of the time left.
    #[test]
    fn a_deferred_message_is_tried_until_it_expires() {
        let policy = RetryPolicy { backoff: Duration::from_secs(10), ..RetryPolicy::default() };
        let link = Duration::from_mins(10);
        let (mut at, mut attempts) = (Duration::ZERO, 0);
        while at < link {
            attempts += 1;
            let left = link.saturating_sub(at);
            let next = policy.after_deferral(state(attempts, 0, at), Some(left), 0.5);
            let Next::After(wait) = next else {
                panic!("it expires after {left:?} only");
            };
            let most = (left / 4).max(policy.backoff);
            assert!(wait <= most && at + wait <= link, "{wait:?} at {at:?}");
            at += wait;
        }
        assert!((10..20).contains(&attempts), "{attempts}");
        // Without an expiry it is tried until the policy's maximal age, and waits longer each time.
        let (soon, late) = (Duration::from_hours(71), Duration::from_hours(72));
        let hour = Next::After(Duration::from_hours(1));
        assert_eq!(policy.after_deferral(state(90, 0, soon), None, 0.5), hour);
        assert_eq!(policy.after_deferral(state(90, 0, late), None, 0.5), Next::Dead);
    }

    #[test]
    fn chance_is_from_0_to_1_and_not_always_the_same() {
        let chances: Vec<f64> = (0..64).map(|_| chance()).collect();
        assert!(chances.iter().all(|chance| (0.0..=1.0).contains(chance)));
        assert!(chances.windows(2).any(|pair| pair[0].to_bits() != pair[1].to_bits()));
    }
}
