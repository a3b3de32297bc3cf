//! Limiters against the clock, against floods, and against a store that is there, away or hung.

use std::collections::HashSet;
use std::future::{Future, pending};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta};
use mt_core::clock::ManualClock;
use mt_core::limit::{
    FailOpen, Hits, InProcessLimiter, Quota, RateLimiter, StoreError, Verdict, WindowStore,
};
use mt_core::redis::RedisFixedWindow;
use redis::AsyncCommands as _;
use uuid::Uuid;

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(DateTime::from_timestamp(1_795_000_000, 0).unwrap()))
}

fn a_minute(limit: u32) -> Quota {
    Quota::per_minute(NonZeroU32::new(limit).unwrap())
}

fn seconds(verdict: Verdict) -> (bool, u32, u64) {
    (verdict.allowed, verdict.remaining, verdict.reset_after.as_secs())
}

mod in_process {
    use super::*;

    #[test]
    fn a_window_begins_with_its_first_request_and_ends_on_time() {
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
    fn keys_and_window_lengths_count_apart_and_limits_together() {
        let limiter = InProcessLimiter::with_capacity(128, clock());
        assert!(limiter.count("ada", a_minute(1)).allowed);
        assert!(!limiter.count("ada", a_minute(1)).allowed);
        assert!(limiter.count("bob", a_minute(1)).allowed);
        assert!(limiter.count("ada", Quota::per_hour(NonZeroU32::MIN)).allowed);
        // A plan that is upgraded raises the limit of the window that is running.
        assert_eq!(limiter.count("ada", a_minute(10)).remaining, 7);
    }

    #[test]
    fn a_clock_set_back_begins_the_window_again() {
        let clock = clock();
        let limiter = InProcessLimiter::with_capacity(128, clock.clone());
        assert!(limiter.count("ada", a_minute(1)).allowed);
        clock.advance(TimeDelta::hours(-1));
        assert_eq!(seconds(limiter.count("ada", a_minute(1))), (true, 0, 60));
    }

    #[test]
    fn a_flood_of_keys_costs_bounded_memory_and_spares_the_young() {
        let clock = clock();
        let limiter = InProcessLimiter::with_capacity(1024, clock.clone());
        for i in 0..100_000 {
            clock.advance(TimeDelta::microseconds(10));
            limiter.count(&format!("flood {i}"), a_minute(1));
            assert!(limiter.windows() <= 1024, "after {i}");
        }
        // Sweeps take the oldest first, so what came last is still known.
        assert!(!limiter.count("flood 99999", a_minute(1)).allowed);
        assert!(limiter.count("flood 0", a_minute(1)).allowed, "forgotten long ago");
    }

    #[test]
    fn ended_windows_make_room_before_running_ones() {
        let clock = clock();
        let limiter = InProcessLimiter::with_capacity(128, clock.clone());
        let hour = Quota::per_hour(NonZeroU32::MIN);
        assert!(limiter.count("kept", hour).allowed);
        let a_second = Quota { limit: NonZeroU32::MIN, window: Duration::from_secs(1) };
        for round in 0..400 {
            for i in 0..4 {
                limiter.count(&format!("{round} {i}"), a_second);
            }
            clock.advance(TimeDelta::seconds(1));
        }
        assert!(!limiter.count("kept", hour).allowed, "the oldest window, and still running");
    }

    #[test]
    fn threads_share_one_count() {
        let limiter = InProcessLimiter::with_capacity(128, clock());
        let allowed = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        let verdict = limiter.count("ada", a_minute(500));
                        allowed.fetch_add(u64::from(verdict.allowed), SeqCst);
                    }
                });
            }
        });
        assert_eq!(allowed.into_inner(), 500);
    }
}

mod fail_open {
    use super::*;

    /// A store that can be switched off and counts how often it is asked.
    #[derive(Default)]
    struct Switch {
        away: AtomicBool,
        asked: AtomicU64,
    }

    impl WindowStore for Switch {
        async fn hit(&self, _: &str, window: Duration) -> Result<Hits, StoreError> {
            let count = self.asked.fetch_add(1, SeqCst) + 1;
            if self.away.load(SeqCst) {
                return Err(StoreError::new("switched off"));
            }
            Ok(Hits { count, reset_after: window })
        }
    }

    struct Hung;

    impl WindowStore for Hung {
        fn hit(
            &self,
            _: &str,
            _: Duration,
        ) -> impl Future<Output = Result<Hits, StoreError>> + Send {
            pending()
        }
    }

    #[tokio::test]
    async fn breaker_opens_after_three_failures_and_closes_after_a_good_probe() {
        let (store, clock) = (Arc::new(Switch::default()), clock());
        let limiter = FailOpen::with_clock(store.clone(), clock.clone());
        let check = || limiter.check("ada", a_minute(100));
        let asked = || store.asked.load(SeqCst);

        assert_eq!(check().await.remaining, 99);
        store.away.store(true, SeqCst);
        for _ in 0..10 {
            assert!(check().await.allowed);
        }
        assert_eq!((asked(), limiter.store_failures()), (4, 3), "open: seven did not ask");
        assert_eq!(limiter.counted_in_process(), 10);

        clock.advance(TimeDelta::seconds(1));
        check().await;
        check().await;
        assert_eq!((asked(), limiter.store_failures()), (5, 4), "one probe, and it failed");

        store.away.store(false, SeqCst);
        clock.advance(TimeDelta::seconds(1));
        assert_eq!(check().await.remaining, 94, "the probe's count is the store's");
        assert_eq!(check().await.remaining, 93);
        assert_eq!((asked(), limiter.counted_in_process()), (7, 12));
    }

    #[tokio::test]
    async fn the_floor_bites_while_the_store_is_away() {
        let limiter = FailOpen::with_clock(
            Arc::new(Switch { away: true.into(), ..Switch::default() }),
            clock(),
        );
        let mut allowed = 0;
        for _ in 0..50 {
            allowed += u32::from(limiter.check("ada", a_minute(20)).await.allowed);
        }
        assert_eq!(allowed, 20);
        assert!(limiter.check("bob", a_minute(20)).await.allowed);
    }

    #[tokio::test]
    async fn a_hung_store_costs_three_budgets_and_no_more() {
        let limiter = FailOpen::with_clock(Hung, clock()).with_budget(Duration::from_millis(20));
        let start = Instant::now();
        for _ in 0..100 {
            assert!(limiter.check("ada", a_minute(100)).await.allowed);
        }
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(60), "each of three waited: {took:?}");
        assert!(took < Duration::from_secs(1), "the other 97 did not: {took:?}");
        assert_eq!(limiter.store_failures(), 3);
    }
}

mod shared {
    use super::*;

    fn url() -> String {
        std::env::var("MT_TEST_REDIS_URL").expect(
            "`MT_TEST_REDIS_URL` names a Redis to test against, as in redis://127.0.0.1:6379",
        )
    }

    struct Fixture {
        store: RedisFixedWindow,
        prefix: String,
        raw: redis::aio::MultiplexedConnection,
    }

    impl Fixture {
        async fn new() -> Self {
            let prefix = format!("mt:test:{}", Uuid::new_v4());
            let client = redis::Client::open(url()).unwrap();
            Self {
                store: RedisFixedWindow::lazy(&url()).unwrap().with_prefix(&prefix),
                raw: client.get_multiplexed_async_connection().await.unwrap(),
                prefix,
            }
        }

        async fn keys(&mut self) -> Vec<String> {
            let pattern = format!("{}:*", self.prefix);
            let mut keys = self.raw.scan_match::<_, String>(pattern).await.unwrap();
            let mut found = HashSet::new();
            while let Some(key) = keys.next_item().await {
                found.insert(key.unwrap());
            }
            found.into_iter().collect()
        }
    }

    const MINUTE: Duration = Duration::from_mins(1);

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn sixty_four_at_once_are_counted_exactly() {
        let fixture = Fixture::new().await;
        // Connected first: the race to test is the one for the count. One second is for a machine
        // that is busy with other tests.
        fixture.store.hit("warm", MINUTE).await.unwrap();
        let limiter = Arc::new(FailOpen::new(fixture.store).with_budget(Duration::from_secs(1)));
        let checks: Vec<_> = (0..64)
            .map(|_| {
                let limiter = limiter.clone();
                tokio::spawn(async move { limiter.check("ada", a_minute(20)).await })
            })
            .collect();
        let mut allowed = Vec::new();
        for check in checks {
            let verdict = check.await.unwrap();
            assert!(verdict.reset_after <= MINUTE);
            if verdict.allowed {
                allowed.push(verdict.remaining);
            }
        }
        allowed.sort_unstable();
        assert_eq!(limiter.store_failures(), 0, "all of them were counted in Redis");
        assert_eq!(allowed, (0..20).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn replicas_share_a_count() {
        let fixture = Fixture::new().await;
        let other = RedisFixedWindow::lazy(&url()).unwrap().with_prefix(&fixture.prefix);
        assert_eq!(fixture.store.hit("ada", MINUTE).await.unwrap().count, 1);
        assert_eq!(other.hit("ada", MINUTE).await.unwrap().count, 2);
        assert_eq!(other.hit("ada", Duration::from_hours(1)).await.unwrap().count, 1);
        assert_eq!(other.hit("bob", MINUTE).await.unwrap().count, 1);
    }

    #[tokio::test]
    async fn keys_are_bounded_tagged_and_always_end() {
        let mut fixture = Fixture::new().await;
        for key in ["ada", "{x}{y}", "", &"é".repeat(5000)] {
            fixture.store.hit(key, MINUTE).await.unwrap();
        }
        let keys = fixture.keys().await;
        assert_eq!(keys.len(), 4);
        for key in keys {
            let tag = key.strip_prefix(&fixture.prefix).unwrap();
            assert_eq!((tag.len(), &tag[..2], &tag[34..]), (35, ":{", "}"), "{tag}");
            let left: i64 = fixture.raw.pttl(&key).await.unwrap();
            assert!((1..=60_000).contains(&left), "{left}");
        }
    }

    #[tokio::test]
    async fn a_window_is_not_prolonged_and_a_lost_end_is_repaired() {
        let mut fixture = Fixture::new().await;
        fixture.store.hit("ada", MINUTE).await.unwrap();
        let key = fixture.keys().await.remove(0);

        let _: () = fixture.raw.pexpire(&key, 10_000).await.unwrap();
        let hits = fixture.store.hit("ada", MINUTE).await.unwrap();
        assert!(hits.reset_after <= Duration::from_secs(10), "{hits:?}");

        let _: () = fixture.raw.persist(&key).await.unwrap();
        let hits = fixture.store.hit("ada", MINUTE).await.unwrap();
        assert_eq!(hits, Hits { count: 3, reset_after: MINUTE });
        let left: i64 = fixture.raw.pttl(&key).await.unwrap();
        assert!((1..=60_000).contains(&left), "{left}");
    }

    #[tokio::test]
    async fn an_unopened_port_is_allowed_in_time_and_held_to_the_floor() {
        // Bound and dropped, so that nothing listens there.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let store = RedisFixedWindow::lazy(&format!("redis://127.0.0.1:{port}")).unwrap();
        let limiter = FailOpen::with_clock(store, clock());
        let start = Instant::now();
        let mut allowed = 0;
        for _ in 0..50 {
            allowed += u32::from(limiter.check("ada", a_minute(20)).await.allowed);
        }
        assert_eq!((allowed, limiter.store_failures()), (20, 3));
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    }

    #[tokio::test]
    async fn a_listener_that_never_answers_is_given_up_within_the_budget() {
        let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let store =
            RedisFixedWindow::lazy(&format!("redis://{}", mute.local_addr().unwrap())).unwrap();
        let limiter = FailOpen::with_clock(store, clock());
        let start = Instant::now();
        for _ in 0..20 {
            assert!(limiter.check("ada", a_minute(20)).await.allowed);
        }
        assert_eq!(limiter.store_failures(), 3);
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    }

    #[test]
    fn a_url_that_is_none_is_refused_without_showing_it() {
        let error = RedisFixedWindow::lazy("http://user:hunter2@example.test").unwrap_err();
        assert!(!format!("{error:?} {error}").contains("hunter2"), "{error}");
    }
}
