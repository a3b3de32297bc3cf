//! A limiter against a store that is there, away or hung.

use super::*;

/// A store that can be switched off and counts how often it is asked.
#[derive(Default)]
struct Switch {
    away: AtomicBool,
    asked: AtomicU64,
}

impl LimitStore for Switch {
    async fn count(&self, _: &str, quota: Quota) -> Result<Verdict, StoreError> {
        let count = self.asked.fetch_add(1, SeqCst) + 1;
        if self.away.load(SeqCst) {
            return Err(StoreError::new("switched off"));
        }
        Ok(Verdict::on(count, quota.limit, quota.window))
    }
}

struct Hung;

impl LimitStore for Hung {
    fn count(&self, _: &str, _: Quota) -> impl Future<Output = Result<Verdict, StoreError>> + Send {
        pending()
    }
}

#[tokio::test]
async fn breaker_opens_after_three_failures_and_closes_after_a_good_probe() {
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
async fn the_floor_bites_while_the_store_is_away() {
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
async fn a_hung_store_costs_three_budgets_and_no_more() {
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
