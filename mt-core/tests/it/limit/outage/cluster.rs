//! A Redis Cluster that loses one node, or all nodes for a while.

use std::net::TcpListener;

use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use test_support::redis::{RedisCluster, RedisServer};

use super::*;
use crate::limit::redis_cluster::{a_key_each, store_of, warmed};

/// Counts `key` every other millisecond for as long as it should go on, on a limiter that refuses what it cannot
/// count. How many were counted, and how many not.
async fn counted_while(
    limiter: &StoreLimiter<impl LimitStore>,
    key: &str,
    mut goes_on: impl FnMut() -> bool,
) -> (u32, u32) {
    let (mut counted, mut not) = (0, 0);
    while goes_on() {
        match limiter.check(key, plenty()).await {
            Ok(_) => counted += 1,
            Err(NotCounted) => not += 1,
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    (counted, not)
}

/// All, but for one in a hundred at most, which a machine that is busy with other things may cost.
#[track_caller]
fn assert_all_counted(what: &str, (counted, not): (u32, u32)) {
    assert!(counted > 100 && not * 100 <= counted, "{what}: {counted} counted, {not} not");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_node_delays_its_own_keys_by_a_millisecond_and_no_others() {
    let Some(mut cluster) = RedisCluster::start().await else {
        return eprintln!("SKIPPED: no `redis-server` to make a cluster of");
    };
    let store = warmed(store_of(&cluster)).await;
    let keys = a_key_each(&cluster, &store).await;
    let limiter = StoreLimiter::new(store).when_away(WhenAway::Refuse);
    for how in ["paused", "killed", "out of reach"] {
        let lost = keys[1].as_str();
        counts_again(&limiter, lost, Duration::from_secs(20)).await;
        let port = cluster.nodes[1].port();
        match how {
            "paused" => cluster.nodes[1].pause(),
            _ => cluster.nodes[1].kill(),
        }
        // Connections are accepted and nothing is ever said: what a host that is gone looks like.
        let mute = (how == "out of reach").then(|| TcpListener::bind(("127.0.0.1", port)).unwrap());
        let stop = AtomicBool::new(false);
        let ((median, late), first, third) = tokio::join!(
            async {
                let waits = waits(&limiter, lost).await;
                stop.store(true, SeqCst);
                waits
            },
            counted_while(&limiter, &keys[0], || !stop.load(SeqCst)),
            counted_while(&limiter, &keys[2], || !stop.load(SeqCst)),
        );
        println!("{how}: median {median:?}, 99th percentile {late:?}; {first:?} {third:?}");
        assert_all_counted(how, first);
        assert_all_counted(how, third);
        assert!(median <= Duration::from_millis(1), "{how}: {median:?}");
        assert!(late <= Duration::from_millis(60), "{how}: {late:?}");
        assert!(limiter.decided_without_store() > 100, "{how}: the limiter did not notice");
        drop(mute);
        match how {
            "paused" => cluster.nodes[1].resume(),
            _ => cluster.nodes[1].restart(),
        }
        cluster.wait_until_serving(1).await;
        counts_again(&limiter, lost, Duration::from_secs(5)).await;
    }
}

/// A store that does not report its parts.
struct Undivided(RedisClusterStore);

impl LimitStore for Undivided {
    async fn count(&self, key: &str, quota: Quota) -> Result<Decision, StoreError> {
        self.0.count(key, quota).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_one_breaker_for_all_nodes_requests_to_a_lost_node_wait() {
    let Some(cluster) = RedisCluster::start().await else {
        return eprintln!("SKIPPED: no `redis-server` to make a cluster of");
    };
    let store = warmed(store_of(&cluster)).await;
    let keys = a_key_each(&cluster, &store).await;
    let limiter = StoreLimiter::new(Undivided(store)).when_away(WhenAway::Refuse);
    cluster.nodes[1].pause();
    let stop = AtomicBool::new(false);
    let ((median, _), _) = tokio::join!(
        async {
            let waits = waits(&limiter, &keys[1]).await;
            stop.store(true, SeqCst);
            waits
        },
        counted_while(&limiter, &keys[0], || !stop.load(SeqCst)),
    );
    assert!(median >= Duration::from_millis(20), "{median:?}");
}

/// Counts by the cluster connection of the Redis client itself.
struct OfTheClient {
    connection: ClusterConnection,
    /// A key of each node, in the order of the nodes, once they are known.
    keys: Vec<String>,
}

impl OfTheClient {
    /// With the timeouts of [`RedisClusterStore`], and without retries.
    async fn new(cluster: &RedisCluster) -> Self {
        let client = ClusterClientBuilder::new(cluster.urls())
            .connection_timeout(Duration::from_millis(100))
            .response_timeout(Duration::from_millis(25))
            .retries(0)
            .build()
            .unwrap();
        Self { connection: client.get_async_connection().await.unwrap(), keys: Vec::new() }
    }
}

impl LimitStore for OfTheClient {
    async fn count(&self, key: &str, quota: Quota) -> Result<Decision, StoreError> {
        let mut connection = self.connection.clone();
        let increment = redis::cmd("INCR").arg(key).to_owned();
        let count: u32 = increment.query_async(&mut connection).await.map_err(StoreError::new)?;
        let (reset_after, retry_after) = (quota.window, Duration::ZERO);
        let remaining = quota.limit.get() - count;
        Ok(Decision { allowed: true, remaining, reset_after, retry_after })
    }

    fn shard(&self, key: &str, _: Quota) -> usize {
        self.keys.iter().position(|known| known == key).unwrap_or(0)
    }
}

/// The reason for a store of our own. If this fails, the client's connection may be good enough.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_connection_of_the_client_lets_a_lost_host_delay_the_keys_of_others() {
    let Some(mut cluster) = RedisCluster::start().await else {
        return eprintln!("SKIPPED: no `redis-server` to make a cluster of");
    };
    let mut store = OfTheClient::new(&cluster).await;
    store.keys = a_key_each(&cluster, &store).await;
    let keys = store.keys.clone();
    let limiter = StoreLimiter::new(store).when_away(WhenAway::Refuse);
    let port = cluster.nodes[1].port();
    cluster.nodes[1].kill();
    let mute = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let stop = AtomicBool::new(false);
    let (waited, (counted, not)) = tokio::join!(
        async {
            let waits = waits(&limiter, &keys[1]).await;
            stop.store(true, SeqCst);
            waits
        },
        counted_while(&limiter, &keys[0], || !stop.load(SeqCst)),
    );
    println!("lost {waited:?}; another node's key: {counted} counted, {not} not");
    assert!(not * 100 > counted, "{counted} counted, {not} not");
    drop(mute);
}

#[tokio::test]
async fn keys_of_a_lost_node_follow_the_declared_fallback() {
    let Some(mut cluster) = RedisCluster::start().await else {
        return eprintln!("SKIPPED: no `redis-server` to make a cluster of");
    };
    let store = warmed(store_of(&cluster)).await;
    let keys = a_key_each(&cluster, &store).await;
    cluster.nodes[1].kill();
    let limiters = [WhenAway::CountHere, WhenAway::LetThrough, WhenAway::Refuse]
        .map(|when_away| StoreLimiter::new(store.clone()).when_away(when_away));
    // The store has counted this one already, and more than once after the first of these.
    let twice = Quota { limit: NonZeroU32::new(2).unwrap(), ..plenty() };
    for (limiter, lost) in limiters.iter().zip([[true, true, false], [true; 3], [false; 3]]) {
        for lost in lost {
            let decision = limiter.check(&keys[1], twice).await;
            assert_eq!(decision.is_ok_and(|decision| decision.allowed), lost, "{limiter:?}");
        }
        let before = limiter.decided_without_store();
        for key in [&keys[0], &keys[2]] {
            assert!(limiter.check(key, plenty()).await.unwrap().allowed);
        }
        assert_eq!((before, limiter.decided_without_store()), (3, 3));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_starts_while_the_cluster_is_down() {
    let Some(mut cluster) = RedisCluster::start().await else {
        return eprintln!("SKIPPED: no `redis-server` to make a cluster of");
    };
    cluster.nodes.iter_mut().for_each(RedisServer::kill);
    let store = store_of(&cluster);
    assert!(store.ping().await.is_err());
    let limiter = StoreLimiter::new(store);
    let (median, late) = waits(&limiter, "ada").await;
    assert!(median <= Duration::from_millis(1), "{median:?}");
    assert!(late <= Duration::from_millis(60), "{late:?}");
    cluster.nodes.iter_mut().for_each(RedisServer::restart);
    for number in 0..3 {
        cluster.wait_until_serving(number).await;
    }
    for key in 0..10 {
        counts_again(&limiter, &key.to_string(), Duration::from_secs(5)).await;
    }
    limiter.store().ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_takes_over() {
    let Some(mut cluster) = RedisCluster::start().await else {
        return eprintln!("SKIPPED: no `redis-server` to make a cluster of");
    };
    let replica = cluster.add_node().await;
    cluster.replicate(0, replica).await;
    let store = warmed(store_of(&cluster)).await;
    let keys = a_key_each(&cluster, &store).await;
    let limiter = StoreLimiter::new(store).when_away(WhenAway::Refuse);
    for _ in 0..20 {
        limiter.check(&keys[0], plenty()).await.unwrap();
    }
    cluster.wait_until_copied(0, replica).await;
    cluster.nodes[0].kill();
    let stop = AtomicBool::new(false);
    let ((), others) = tokio::join!(
        async {
            cluster.wait_until_master(replica).await;
            counts_again(&limiter, &keys[0], Duration::from_secs(5)).await;
            stop.store(true, SeqCst);
        },
        counted_while(&limiter, &keys[1], || !stop.load(SeqCst)),
    );
    assert_all_counted("another node's key", others);
    let left = limiter.check(&keys[0], plenty()).await.unwrap().remaining;
    assert!(left < 1_000_000 - 20, "what was counted before goes on: {left}");
    // The old master comes back as a replica of the new one, and the keys stay where they are.
    cluster.nodes[0].restart();
    cluster.wait_until_serving(0).await;
    cluster.replicate(replica, 0).await;
    let mut times = 0..300;
    let counted = counted_while(&limiter, &keys[0], || times.next().is_some()).await;
    assert_all_counted("its own", counted);
}
