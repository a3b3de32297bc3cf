//! A limiter with a store that works, fails or hangs.

use super::*;

/// A store that can be switched off and counts how often it is asked.
#[derive(Default)]
struct Switch {
    away: AtomicBool,
    asked: AtomicU64,
}

impl LimitStore for Switch {
    async fn count(&self, _: &str, quota: Quota) -> Result<Decision, StoreError> {
        let count = self.asked.fetch_add(1, SeqCst) + 1;
        if self.away.load(SeqCst) {
            return Err(StoreError::new("switched off"));
        }
        Ok(Decision::of_hits(count, quota.limit, quota.window))
    }
}

struct Hung;

impl LimitStore for Hung {
    fn count(
        &self,
        _: &str,
        _: Quota,
    ) -> impl Future<Output = Result<Decision, StoreError>> + Send {
        pending()
    }
}

#[tokio::test]
async fn breaker_opens_after_three_failures_and_closes_after_a_successful_probe() {
    let (store, clock) = (Arc::new(Switch::default()), clock());
    let limiter = StoreLimiter::with_clock(store.clone(), clock.clone());
    let check = || limiter.check("ada", a_minute(100));
    let asked = || store.asked.load(SeqCst);

    assert_eq!(check().await.unwrap().remaining, 99);
    store.away.store(true, SeqCst);
    for _ in 0..10 {
        assert!(check().await.unwrap().allowed);
    }
    assert_eq!((asked(), limiter.store_failures()), (4, 3), "open: seven did not ask");
    assert_eq!(limiter.decided_without_store(), 10);

    clock.advance(TimeDelta::seconds(1));
    check().await.unwrap();
    check().await.unwrap();
    assert_eq!((asked(), limiter.store_failures()), (5, 4), "one probe, and it failed");

    store.away.store(false, SeqCst);
    clock.advance(TimeDelta::seconds(1));
    assert_eq!(check().await.unwrap().remaining, 94, "the probe's count is the store's");
    assert_eq!(check().await.unwrap().remaining, 93);
    assert_eq!((asked(), limiter.decided_without_store()), (7, 12));
}

#[tokio::test]
async fn local_limit_applies_while_the_store_is_unavailable() {
    let limiter = StoreLimiter::with_clock(
        Arc::new(Switch { away: true.into(), ..Switch::default() }),
        clock(),
    );
    let mut allowed = 0;
    for _ in 0..50 {
        allowed += u32::from(limiter.check("ada", a_minute(20)).await.unwrap().allowed);
    }
    assert_eq!(allowed, 20);
    assert!(limiter.check("bob", a_minute(20)).await.unwrap().allowed);
}

#[tokio::test]
async fn hung_store_costs_at_most_three_time_budgets() {
    let limiter = StoreLimiter::with_clock(Hung, clock()).with_budget(Duration::from_millis(20));
    let start = Instant::now();
    for _ in 0..100 {
        assert!(limiter.check("ada", a_minute(100)).await.unwrap().allowed);
    }
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(60), "each of three waited: {took:?}");
    assert!(took < Duration::from_secs(1), "the other 97 did not: {took:?}");
    assert_eq!(limiter.store_failures(), 3);
}

/// Two stores in one, the second of which is away. Keys go by their first letter.
struct Halves {
    /// Whether the limiter is told that there are two.
    told: bool,
    asked_for_b: AtomicU64,
}

impl LimitStore for Halves {
    async fn count(&self, key: &str, quota: Quota) -> Result<Decision, StoreError> {
        if key.starts_with('a') {
            return Ok(Decision::of_hits(1, quota.limit, quota.window));
        }
        self.asked_for_b.fetch_add(1, SeqCst);
        Err(StoreError::new("this half is away"))
    }

    fn shard(&self, key: &str, _: Quota) -> usize {
        usize::from(self.told && !key.starts_with('a'))
    }
}

/// How many requests of the half that is there, and how many of the other, still wait for the store.
async fn asked_of_halves(told: bool, requests: &str) -> (u64, u64) {
    let store = Arc::new(Halves { told, asked_for_b: AtomicU64::new(0) });
    let limiter = StoreLimiter::with_clock(store.clone(), clock());
    let mut counted = 0;
    for key in requests.split_inclusive(char::is_alphabetic) {
        let without = limiter.decided_without_store();
        limiter.check(key, a_minute(100)).await.unwrap();
        counted += u64::from(limiter.decided_without_store() == without);
    }
    (counted, store.asked_for_b.load(SeqCst))
}

#[tokio::test]
async fn unavailable_part_of_a_store_delays_only_its_own_keys() {
    let (in_turn, in_runs) = ("ab".repeat(100), "bbba".repeat(100));
    assert_eq!(asked_of_halves(true, &in_turn).await, (100, 3));
    assert_eq!(asked_of_halves(true, &in_runs).await, (100, 3));
    // With one breaker for both it never opens, or it opens for both.
    assert_eq!(asked_of_halves(false, &in_turn).await, (100, 100));
    assert_eq!(asked_of_halves(false, &in_runs).await, (0, 3));
}

#[tokio::test]
async fn store_may_have_more_parts_than_breakers() {
    struct Many;
    impl LimitStore for Many {
        async fn count(&self, _: &str, quota: Quota) -> Result<Decision, StoreError> {
            Ok(Decision::of_hits(1, quota.limit, quota.window))
        }
        fn shard(&self, key: &str, _: Quota) -> usize {
            key.parse().unwrap()
        }
    }
    let limiter = StoreLimiter::new(Many);
    for shard in ["0", "63", "64", &usize::MAX.to_string()] {
        assert!(limiter.check(shard, a_minute(100)).await.unwrap().allowed);
    }
    assert_eq!(limiter.decided_without_store(), 0);
}
