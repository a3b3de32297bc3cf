//! What each policy allows at fixed times, in the process and in Redis.

use super::*;

fn ten_a_second(policy: Policy) -> Quota {
    Quota::new(NonZeroU32::new(10).unwrap(), Duration::from_secs(1)).with_policy(policy)
}

/// How many of twenty at once are let through just before the edge of two windows and just after it.
fn around_the_edge(policy: Policy) -> usize {
    let clock = clock();
    let limiter = InProcessLimiter::with_capacity(128, clock.clone());
    // The fixed window begins here.
    let mut admitted = usize::from(limiter.count("ada", ten_a_second(policy)).allowed);
    clock.advance(TimeDelta::milliseconds(990));
    for _ in 0..2 {
        let decisions = (0..20).map(|_| limiter.count("ada", ten_a_second(policy)));
        admitted += decisions.filter(|decision| decision.allowed).count();
        clock.advance(TimeDelta::milliseconds(20));
    }
    admitted
}

#[test]
fn only_fixed_windows_allow_twice_the_limit_around_an_edge() {
    assert_eq!(around_the_edge(Policy::FixedWindow), 20);
    // One at first, ten at 0.99 s when that has leaked, and none 20 ms later.
    assert_eq!(around_the_edge(Policy::Gcra), 11);
}

/// Knocks every millisecond for ten seconds. How many were let through in the worst second of them, and
/// in all.
fn knocking(policy: Policy) -> (usize, usize) {
    let clock = clock();
    let limiter = InProcessLimiter::with_capacity(128, clock.clone());
    let mut admitted = Vec::new();
    for millisecond in 0..10_000 {
        if limiter.count("ada", ten_a_second(policy)).allowed {
            admitted.push(millisecond);
        }
        clock.advance(TimeDelta::milliseconds(1));
    }
    let in_second =
        |from: &i32| admitted.iter().filter(|at| (*from..from + 1000).contains(at)).count();
    (admitted.iter().map(in_second).max().unwrap(), admitted.len())
}

#[test]
fn continuous_requests_get_exactly_the_quota() {
    assert_eq!(knocking(Policy::FixedWindow), (10, 100));
    // The bucket at first, and then what leaks out of it.
    let (worst, all) = knocking(Policy::Gcra);
    assert!(worst <= 20 && (100..=110).contains(&all), "{worst}, {all}");
}

/// A decision says when the next request is let through, and it is: not later, and not a moment earlier.
#[test]
fn retry_after_is_exact() {
    for policy in POLICIES {
        for fill in [1, 3, 10] {
            let clock = clock();
            let limiter = InProcessLimiter::with_capacity(128, clock.clone());
            let hit = || limiter.count("ada", ten_a_second(policy));
            // A history, so that a window before has some weight.
            for _ in 0..fill {
                assert!(hit().allowed, "{policy:?}");
            }
            clock.advance(TimeDelta::milliseconds(700));
            let refused = loop {
                let decision = hit();
                if !decision.allowed {
                    break decision;
                }
                assert_eq!(decision.retry_after, Duration::ZERO);
            };
            assert_eq!(refused.remaining, 0);
            let wait = TimeDelta::from_std(refused.retry_after).unwrap();
            clock.advance(wait - TimeDelta::microseconds(1));
            assert!(!hit().allowed, "{policy:?} {fill}: too late by a microsecond or more");
            clock.advance(TimeDelta::microseconds(1));
            assert!(hit().allowed, "{policy:?} {fill}: {refused:?}");
        }
    }
}

/// `remaining` is a promise: so many more are let through at once, and no more.
#[test]
fn remaining_quota_can_be_used() {
    for policy in POLICIES {
        let clock = clock();
        let limiter = InProcessLimiter::with_capacity(128, clock.clone());
        for step in 0..50 {
            let decision = limiter.count("ada", ten_a_second(policy));
            let used = (0..).take_while(|_| limiter.count("ada", ten_a_second(policy)).allowed);
            let used = u32::try_from(used.count()).unwrap();
            assert_eq!(used, decision.remaining, "{policy:?}, step {step}");
            clock.advance(TimeDelta::milliseconds(137));
        }
    }
}

#[test]
fn clock_set_back_does_not_lock_callers_out() {
    for policy in POLICIES {
        let clock = clock();
        let limiter = InProcessLimiter::with_capacity(128, clock.clone());
        while limiter.count("ada", ten_a_second(policy)).allowed {}
        clock.advance(TimeDelta::days(-1));
        let after = limiter.count("ada", ten_a_second(policy));
        assert!(after.retry_after <= Duration::from_secs(1), "{policy:?} {after:?}");
        clock.advance(TimeDelta::seconds(2));
        assert!(limiter.count("ada", ten_a_second(policy)).allowed, "{policy:?}");
    }
}

/// The scripts and the pure functions are the same arithmetic: at once, and after a while.
#[tokio::test]
async fn redis_counts_as_the_in_process_limiter_does() {
    let url = std::env::var("MT_TEST_REDIS_URL").unwrap();
    let store = RedisStore::lazy(&url).unwrap().with_prefix(format!("mt:test:{}", Uuid::new_v4()));
    counts_as_the_process_does(&store).await;
}

pub(super) async fn counts_as_the_process_does(store: &impl LimitStore) {
    for policy in POLICIES {
        in_time(async || counts_as_here(store, policy).await).await;
        in_time(async || opens_again(store, policy).await).await;
    }
}

async fn counts_as_here(store: &impl LimitStore, policy: Policy) -> Result<(), StoreError> {
    // Long enough that it is the same moment for all of them, wherever in a window that is.
    let quota = Quota::per_hour(NonZeroU32::new(10).unwrap()).with_policy(policy);
    let (key, here) = (Uuid::new_v4().to_string(), InProcessLimiter::with_capacity(128, clock()));
    for number in 0..15 {
        let (there, here) = (store.count(&key, quota).await?, here.count(&key, quota));
        assert_eq!(there.allowed, here.allowed, "{policy:?} {number}");
        assert_eq!(there.remaining, here.remaining, "{policy:?} {number}");
        assert_eq!(there.retry_after.is_zero(), here.allowed, "{policy:?} {number}");
        assert!(there.reset_after <= quota.window, "{policy:?} {number} {there:?}");
    }
    Ok(())
}

/// By the server's own clock.
async fn opens_again(store: &impl LimitStore, policy: Policy) -> Result<(), StoreError> {
    let short = Quota::new(NonZeroU32::new(3).unwrap(), Duration::from_millis(300));
    let (key, short) = (Uuid::new_v4().to_string(), short.with_policy(policy));
    let refused = loop {
        let decision = store.count(&key, short).await?;
        if !decision.allowed {
            break decision;
        }
    };
    assert!(refused.retry_after <= short.window, "{policy:?} {refused:?}");
    let opened = async {
        while !store.count(&key, short).await?.allowed {}
        Ok(())
    };
    tokio::time::timeout(Duration::from_secs(10), opened).await.expect("it opens again")
}
