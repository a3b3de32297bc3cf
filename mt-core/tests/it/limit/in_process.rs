//! The in-process limiter: clocks, and floods of keys.

use super::*;

#[test]
fn window_starts_with_its_first_request_and_ends_on_time() {
    let clock = clock();
    let limiter = InProcessLimiter::with_capacity(128, clock.clone());
    let hit = || seconds(limiter.count("ada", a_minute(2)));
    assert_eq!(hit(), (true, 1, 60));
    clock.advance(TimeDelta::seconds(50));
    assert_eq!(hit(), (true, 0, 10));
    assert_eq!(hit(), (false, 0, 10));
    clock.advance(TimeDelta::seconds(9));
    assert_eq!(hit(), (false, 0, 1));
    clock.advance(TimeDelta::seconds(1));
    assert_eq!(hit(), (true, 1, 60));
}

#[test]
fn keys_and_window_lengths_are_counted_separately_and_limits_together() {
    let limiter = InProcessLimiter::with_capacity(128, clock());
    assert!(limiter.count("ada", a_minute(1)).allowed);
    assert!(!limiter.count("ada", a_minute(1)).allowed);
    assert!(limiter.count("bob", a_minute(1)).allowed);
    assert!(limiter.count("ada", Quota::per_hour(NonZeroU32::MIN)).allowed);
    // A plan that is upgraded raises the limit of the window that is running.
    assert_eq!(limiter.count("ada", a_minute(10)).remaining, 7);
}

#[test]
fn clock_set_back_restarts_the_window() {
    let clock = clock();
    let limiter = InProcessLimiter::with_capacity(128, clock.clone());
    assert!(limiter.count("ada", a_minute(1)).allowed);
    clock.advance(TimeDelta::hours(-1));
    assert_eq!(seconds(limiter.count("ada", a_minute(1))), (true, 0, 60));
}

#[test]
fn flood_of_keys_uses_bounded_memory_and_keeps_recent_keys() {
    let clock = clock();
    let limiter = InProcessLimiter::with_capacity(1024, clock.clone());
    for i in 0..100_000 {
        clock.advance(TimeDelta::microseconds(10));
        limiter.count(&format!("flood {i}"), a_minute(1));
        assert!(limiter.counts() <= 1024, "after {i}");
    }
    // Sweeps take what ends first, so what came last is still known.
    assert!(!limiter.count("flood 99999", a_minute(1)).allowed);
    assert!(limiter.count("flood 0", a_minute(1)).allowed, "forgotten long ago");
}

#[test]
fn ended_windows_are_evicted_before_running_ones() {
    let clock = clock();
    let limiter = InProcessLimiter::with_capacity(128, clock.clone());
    let hour = Quota::per_hour(NonZeroU32::MIN);
    assert!(limiter.count("kept", hour).allowed);
    let a_second = Quota::new(NonZeroU32::MIN, Duration::from_secs(1));
    for round in 0..400 {
        for i in 0..4 {
            limiter.count(&format!("{round} {i}"), a_second);
        }
        clock.advance(TimeDelta::seconds(1));
    }
    assert!(!limiter.count("kept", hour).allowed, "begun first, and still running");
}

#[test]
fn counts_from_before_a_clock_change_are_evicted_first() {
    let clock = clock();
    let limiter = InProcessLimiter::with_capacity(128, clock.clone());
    let hour = Quota::per_hour(NonZeroU32::MIN);
    for policy in POLICIES {
        for i in 0..128 {
            limiter.count(&format!("before {i}"), hour.with_policy(policy));
        }
    }
    clock.advance(TimeDelta::days(-1));
    assert!(limiter.count("kept", hour).allowed);
    for i in 0..16 {
        limiter.count(&format!("after {i}"), hour);
    }
    assert!(!limiter.count("kept", hour).allowed, "driven out by what is of no use");
}

#[test]
fn threads_share_one_count() {
    let limiter = InProcessLimiter::with_capacity(128, clock());
    let allowed = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    let decision = limiter.count("ada", a_minute(500));
                    allowed.fetch_add(u64::from(decision.allowed), SeqCst);
                }
            });
        }
    });
    assert_eq!(allowed.into_inner(), 500);
}

/// A clock by which no two moments are the same, and from which others get ahead of the one who looks.
struct EachReadingIsLater(AtomicI64);

impl Clock for EachReadingIsLater {
    fn now(&self) -> DateTime<Utc> {
        let reading = self.0.fetch_add(1, SeqCst);
        std::thread::yield_now();
        DateTime::from_timestamp_micros(reading).unwrap()
    }
}

/// A thread with a slightly later time that counts first is not treated as a clock that was set back.
#[test]
fn threads_with_different_clocks_lose_no_counts() {
    let limiter =
        InProcessLimiter::with_capacity(8192, EachReadingIsLater(AtomicI64::new(1_795_000_000)));
    for policy in POLICIES {
        for round in 0..500 {
            let (key, quota) = (round.to_string(), a_minute(500).with_policy(policy));
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        for _ in 0..5 {
                            limiter.count(&key, quota);
                        }
                    });
                }
            });
            assert_eq!(limiter.count(&key, quota).remaining, 500 - 21, "{policy:?} {round}");
        }
    }
}
