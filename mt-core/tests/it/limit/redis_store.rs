//! Counts in a Redis.

use super::*;

fn url() -> String {
    std::env::var("MT_TEST_REDIS_URL")
        .expect("`MT_TEST_REDIS_URL` names a Redis to test against, as in redis://127.0.0.1:6379")
}

struct Fixture {
    store: RedisStore,
    prefix: String,
    raw: redis::aio::MultiplexedConnection,
}

impl Fixture {
    async fn new() -> Self {
        let prefix = format!("mt:test:{}", Uuid::new_v4());
        let client = redis::Client::open(url()).unwrap();
        Self {
            store: RedisStore::lazy(&url()).unwrap().with_prefix(&prefix),
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

async fn remaining(store: &RedisStore, key: &str, quota: Quota) -> Result<u32, StoreError> {
    Ok(store.count(key, quota).await?.remaining)
}

/// Sixty-four checks of `key` at once, by `quota` with a limit of twenty.
pub(super) async fn count_exactly(
    store: impl LimitStore,
    key: &str,
    quota: Quota,
) -> Result<(), StoreError> {
    let limiter = Arc::new(StoreLimiter::new(store).with_budget(Duration::from_secs(1)));
    // Connected first: the race to test is the one for the count.
    limiter.check("warm", quota).await.unwrap();
    let checks: Vec<_> = (0..64)
        .map(|_| {
            let (limiter, key) = (limiter.clone(), key.to_owned());
            tokio::spawn(async move { limiter.check(&key, quota).await })
        })
        .collect();
    let mut allowed = Vec::new();
    for check in checks {
        let decision = check.await.unwrap().unwrap();
        if decision.allowed {
            allowed.push(decision.remaining);
        }
    }
    all_in_time(&limiter)?;
    allowed.sort_unstable();
    assert_eq!(allowed, (0..20).collect::<Vec<_>>(), "{quota:?} {key}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_concurrent_requests_are_counted_exactly() {
    in_time(async || count_exactly(Fixture::new().await.store, "ada", a_minute(20)).await).await;
}

#[tokio::test]
async fn replicas_share_a_count() {
    in_time(async || {
        let fixture = Fixture::new().await;
        let other = RedisStore::lazy(&url()).unwrap().with_prefix(&fixture.prefix);
        let (minute, hour) = (a_minute(20), Quota::per_hour(NonZeroU32::new(20).unwrap()));
        assert_eq!(remaining(&fixture.store, "ada", minute).await?, 19);
        assert_eq!(remaining(&other, "ada", minute).await?, 18);
        assert_eq!(remaining(&other, "ada", hour).await?, 19);
        assert_eq!(remaining(&other, "bob", minute).await?, 19);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn keys_are_bounded_tagged_and_always_expire() {
    in_time(async || {
        let mut fixture = Fixture::new().await;
        for key in ["ada", "{x}{y}", "", &"é".repeat(5000)] {
            for policy in POLICIES {
                fixture.store.count(key, a_minute(20).with_policy(policy)).await?;
            }
        }
        let keys = fixture.keys().await;
        assert_eq!(keys.len(), 4 * POLICIES.len());
        for key in keys {
            let tag = key.strip_prefix(&fixture.prefix).unwrap();
            assert_eq!((tag.len(), &tag[..2], &tag[34..]), (35, ":{", "}"), "{tag}");
            let left: i64 = fixture.raw.pttl(&key).await.unwrap();
            assert!((1..=120_000).contains(&left), "{left}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn window_is_not_extended_and_a_missing_expiry_is_repaired() {
    in_time(async || {
        let mut fixture = Fixture::new().await;
        fixture.store.count("ada", a_minute(20)).await?;
        let key = fixture.keys().await.remove(0);

        let _: () = fixture.raw.pexpire(&key, 10_000).await.unwrap();
        let hits = fixture.store.count("ada", a_minute(20)).await?;
        assert!(hits.reset_after <= Duration::from_secs(10), "{hits:?}");

        let _: () = fixture.raw.persist(&key).await.unwrap();
        let hits = fixture.store.count("ada", a_minute(20)).await?;
        assert_eq!(hits, Decision::of_hits(3, a_minute(20).limit, MINUTE));
        let left: i64 = fixture.raw.pttl(&key).await.unwrap();
        assert!((1..=60_000).contains(&left), "{left}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn closed_port_falls_back_to_the_local_limit_in_time() {
    // Bound and dropped, so that nothing listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let store = RedisStore::lazy(&format!("redis://127.0.0.1:{port}")).unwrap();
    let limiter = StoreLimiter::with_clock(store, clock());
    let start = Instant::now();
    let mut allowed = 0;
    for _ in 0..50 {
        allowed += u32::from(limiter.check("ada", a_minute(20)).await.unwrap().allowed);
    }
    assert_eq!((allowed, limiter.store_failures()), (20, 3));
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test]
async fn silent_store_is_abandoned_within_the_time_budget() {
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let store = RedisStore::lazy(&format!("redis://{}", mute.local_addr().unwrap())).unwrap();
    let limiter = StoreLimiter::with_clock(store, clock());
    let start = Instant::now();
    for _ in 0..20 {
        assert!(limiter.check("ada", a_minute(20)).await.unwrap().allowed);
    }
    assert_eq!(limiter.store_failures(), 3);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[test]
fn invalid_url_is_refused_without_showing_it() {
    let error = RedisStore::lazy("http://user:hunter2@example.test").unwrap_err();
    assert!(!format!("{error:?} {error}").contains("hunter2"), "{error}");
}
