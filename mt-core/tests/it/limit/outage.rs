//! A Redis that is paused and killed, and the delay of requests meanwhile.

mod cluster;

use test_support::process::free_port;
use test_support::redis::RedisServer;

use super::*;

/// Waits until the store counts, as those who come now and then would.
async fn counts_again(limiter: &StoreLimiter<impl LimitStore>, key: &str, within: Duration) {
    let counted = async {
        loop {
            let before = limiter.decided_without_store();
            let decision = limiter.check(key, plenty()).await;
            if decision.is_ok() && limiter.decided_without_store() == before {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(within, counted).await.expect("counted in the store again");
}

/// The median and the 99th percentile of what requests wait over three seconds of outage.
async fn waits(limiter: &StoreLimiter<impl LimitStore>, key: &str) -> (Duration, Duration) {
    let (began, mut waits) = (Instant::now(), Vec::new());
    while began.elapsed() < Duration::from_secs(3) {
        let start = Instant::now();
        let _ = limiter.check(key, plenty()).await;
        waits.push(start.elapsed());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    waits.sort_unstable();
    (waits[waits.len() / 2], waits[waits.len() * 99 / 100])
}

/// The bounds are those that the limiter promises: a millisecond for most, and for the worst one in a
/// hundred little more than two budgets. Five seconds after it is back, Redis counts again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paused_or_killed_redis_delays_requests_by_milliseconds() {
    let Some(mut redis) = RedisServer::spawn() else {
        eprintln!("SKIPPED: no `redis-server` to start and stop");
        return;
    };
    let store = RedisStore::lazy(&redis.url()).unwrap();
    let limiter = StoreLimiter::new(store);
    counts_again(&limiter, "probe", Duration::from_secs(20)).await;
    for how in ["paused", "killed"] {
        match how {
            "paused" => redis.pause(),
            _ => redis.kill(),
        }
        let (median, late) = waits(&limiter, "ada").await;
        assert!(median <= Duration::from_millis(1), "{how}: {median:?}");
        assert!(late <= Duration::from_millis(60), "{how}: {late:?}");
        assert!(limiter.decided_without_store() > 100, "{how}: the limiter did not notice");
        match how {
            "paused" => redis.resume(),
            _ => redis.restart(),
        }
        counts_again(&limiter, "probe", Duration::from_secs(5)).await;
    }
}

#[tokio::test]
async fn unavailable_store_follows_the_declared_fallback() {
    let away = || RedisStore::lazy(&format!("redis://127.0.0.1:{}", free_port())).unwrap();
    let once = a_minute(1);
    let here = StoreLimiter::new(away());
    assert!(here.check("ada", once).await.unwrap().allowed);
    assert!(!here.check("ada", once).await.unwrap().allowed);
    let open = StoreLimiter::new(away()).when_away(WhenAway::LetThrough);
    for _ in 0..5 {
        assert!(open.check("ada", once).await.unwrap().allowed);
    }
    let closed = StoreLimiter::new(away()).when_away(WhenAway::Refuse);
    for _ in 0..5 {
        assert_eq!(closed.check("ada", once).await, Err(NotCounted));
    }
}
