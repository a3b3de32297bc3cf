//! Counts in a Redis Cluster, at rest and while slots move.

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, ServerErrorKind};
use test_support::redis::{RedisCluster, command};

use super::policies::counts_as_the_process_does;
use super::redis_store::count_exactly;
use super::*;

fn an_hour(limit: u32) -> Quota {
    Quota::per_hour(NonZeroU32::new(limit).unwrap())
}

pub(super) fn store_of(cluster: &RedisCluster) -> RedisClusterStore {
    let urls = cluster.urls();
    RedisClusterStore::lazy(urls.iter().map(String::as_str)).unwrap()
}

/// Counts until the store has found its way, so that a test begins with connections.
pub(super) async fn warmed(store: RedisClusterStore) -> RedisClusterStore {
    let warm = async {
        let mut good = 0;
        for number in 0.. {
            good = if store.count(&format!("warm {number}"), an_hour(9)).await.is_ok() {
                good + 1
            } else {
                0
            };
            if good == 30 {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), warm).await.expect("the cluster counts");
    store
}

/// A key that each node counts. They have been counted once.
pub(super) async fn a_key_each(cluster: &RedisCluster, store: &impl LimitStore) -> Vec<String> {
    let mut found = vec![None; cluster.nodes.len()];
    let mut before = cluster.sizes().await;
    for number in 0.. {
        if found[..3].iter().all(Option::is_some) {
            break;
        }
        let key = format!("key {number}");
        if store.count(&key, plenty()).await.is_err() {
            continue;
        }
        let after = cluster.sizes().await;
        if let Some(home) = (0..after.len()).find(|node| after[*node] > before[*node]) {
            found[home].get_or_insert(key);
        }
        before = after;
    }
    found.into_iter().flatten().collect()
}

/// The names of all keys that a node holds.
async fn keys(node: &mut MultiplexedConnection) -> Vec<String> {
    command(node, "KEYS *").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_spread_over_the_nodes_and_always_expire() {
    let Some(cluster) = RedisCluster::start().await else {
        return eprintln!("SKIPPED: no `redis-server` to make a cluster of");
    };
    let store = warmed(store_of(&cluster)).await.with_prefix("mt:test");
    for key in 0..60 {
        for policy in POLICIES {
            let quota = a_minute(20).with_policy(policy);
            in_time(async || store.count(&key.to_string(), quota).await.map(drop)).await;
        }
    }
    let mut counts = 0;
    for node in &cluster.nodes {
        let mut node = node.connect().await;
        let keys: Vec<_> =
            keys(&mut node).await.into_iter().filter(|key| key.starts_with("mt:test:")).collect();
        assert!(keys.len() > 20, "a third of them lies here: {}", keys.len());
        counts += keys.len();
        for key in keys {
            let left: i64 = command(&mut node, &format!("PTTL {key}")).await;
            assert!((1..=120_000).contains(&left), "{key} {left}");
        }
    }
    assert_eq!(counts, 60 * POLICIES.len(), "one key for each count");
    store.ping().await.unwrap();
    assert!(!format!("{store:?}").contains("127.0.0.1"));

    // What a count would be that needs two keys, or a key without a tag to hold them together.
    let mut node = cluster.nodes[0].connect().await;
    let two: redis::RedisResult<()> =
        redis::cmd("EVAL").arg("return 1").arg(&[2]).arg(&["a", "b"]).query_async(&mut node).await;
    assert_eq!(two.unwrap_err().kind(), ErrorKind::Server(ServerErrorKind::CrossSlot));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_concurrent_requests_are_counted_exactly() {
    let Some(cluster) = RedisCluster::start().await else {
        return eprintln!("SKIPPED: no `redis-server` to make a cluster of");
    };
    for policy in POLICIES {
        in_time(async || {
            let (store, key) = (warmed(store_of(&cluster)).await, Uuid::new_v4().to_string());
            count_exactly(store, &key, an_hour(20).with_policy(policy)).await
        })
        .await;
    }
}

#[tokio::test]
async fn each_policy_counts_as_the_in_process_limiter_does() {
    let Some(cluster) = RedisCluster::start().await else {
        return eprintln!("SKIPPED: no `redis-server` to make a cluster of");
    };
    counts_as_the_process_does(&warmed(store_of(&cluster)).await).await;
}

#[tokio::test]
async fn one_node_is_enough_to_find_the_others() {
    let Some(cluster) = RedisCluster::start().await else {
        return eprintln!("SKIPPED: no `redis-server` to make a cluster of");
    };
    let first = warmed(store_of(&cluster)).await;
    let (keys, quota) = (a_key_each(&cluster, &first).await, plenty());
    in_time(async || {
        let mut before = Vec::new();
        for key in &keys {
            before.push(first.count(key, quota).await?.remaining);
        }
        for url in cluster.urls() {
            // Its first count of a key goes to the named node, which redirects it.
            for key in &keys {
                let store = RedisClusterStore::lazy([url.as_str()]).unwrap();
                store.count(key, quota).await?;
            }
            let store = warmed(RedisClusterStore::lazy([url.as_str()]).unwrap()).await;
            let shards: HashSet<_> = keys.iter().map(|key| store.shard(key, quota)).collect();
            assert_eq!(shards.len(), 3, "each node is a part of its own");
        }
        for (key, before) in keys.iter().zip(before) {
            let left = first.count(key, quota).await?.remaining;
            assert_eq!(left, before - 4, "{key}: once by each of the three, and now");
        }
        Ok(())
    })
    .await;
    // A store that only counts keys of the named node learns of the other nodes too.
    let store = RedisClusterStore::lazy([cluster.urls()[0].as_str()]).unwrap();
    let is_known = || store.shard(&keys[0], quota) != store.shard(&keys[1], quota);
    assert!(!is_known());
    in_time(async || store.count(&keys[0], quota).await.map(drop)).await;
    let known = async {
        while !is_known() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), known).await.expect("the others are known");
}

#[test]
fn invalid_urls_are_refused_without_showing_them() {
    for urls in [&[][..], &["http://user:hunter2@example.test"], &["redis+unix:///hunter2"]] {
        let error = RedisClusterStore::lazy(urls.iter().copied()).unwrap_err();
        assert!(!format!("{error:?} {error}").contains("hunter2"), "{error}");
    }
}

/// Counts until it is answered: what is left, and how often it was not.
async fn counted(store: &RedisClusterStore, key: &str) -> (u32, u64) {
    let late = AtomicU64::new(0);
    let left = AtomicU32::new(0);
    in_time(async || {
        late.fetch_add(1, SeqCst);
        left.store(store.count(key, plenty()).await?.remaining, SeqCst);
        Ok(())
    })
    .await;
    (left.into_inner(), late.into_inner() - 1)
}

/// A task that counts continuously and follows the key to its node.
struct Counter {
    counted: Arc<AtomicU64>,
    /// Those that were not answered in time, which a busy machine may cost. They may have been counted.
    unanswered: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Counter {
    fn start(store: RedisClusterStore, key: &str) -> Self {
        let [counted, unanswered] = [(); 2].map(|()| Arc::new(AtomicU64::new(0)));
        let (ok, late) = (Arc::clone(&counted), Arc::clone(&unanswered));
        let key = key.to_owned();
        let task = tokio::spawn(async move {
            loop {
                match store.count(&key, plenty()).await {
                    Ok(_) => ok.fetch_add(1, SeqCst),
                    Err(error) => {
                        let cause = error.source().unwrap().to_string();
                        assert_eq!(cause, "timed out");
                        late.fetch_add(1, SeqCst)
                    }
                };
            }
        });
        Self { counted, unanswered, task }
    }

    /// Each was counted once. `store` has counted `key` once before, and does now.
    async fn was_exact(self, store: &RedisClusterStore, key: &str) {
        self.task.abort();
        let _ = self.task.await;
        let (left, late) = counted(store, key).await;
        let used = 1_000_000 - u64::from(left);
        let counted = self.counted.load(SeqCst) + 2;
        // One more may have been on its way when the task ended.
        let unanswered = self.unanswered.load(SeqCst) + late + 1;
        let plausible = counted..=counted + unanswered;
        assert!(plausible.contains(&used), "{used} of {counted} and {unanswered}");
    }

    /// Waits for some more counts.
    async fn goes_on(&self) {
        let until = self.counted.load(SeqCst) + 50;
        let more = async {
            while self.counted.load(SeqCst) < until {
                assert!(!self.task.is_finished(), "it has failed");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), more).await.expect("it counts");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slot_moves_while_its_keys_are_counted() {
    let Some(cluster) = RedisCluster::start().await else {
        return eprintln!("SKIPPED: no `redis-server` to make a cluster of");
    };
    let store = warmed(store_of(&cluster)).await;
    let key = a_key_each(&cluster, &store).await.remove(0);
    let (mut from, mut to) = (cluster.nodes[0].connect().await, cluster.nodes[1].connect().await);
    let stored: HashSet<_> = keys(&mut from).await.into_iter().collect();
    counted(&store.clone().with_prefix("aside"), &key).await;
    let aside: String = keys(&mut from).await.into_iter().find(|k| !stored.contains(k)).unwrap();
    let stored = aside.replacen("aside", "mt:rl", 1);
    let slot: u16 = command(&mut from, &format!("CLUSTER KEYSLOT {stored}")).await;
    let (from_id, to_id) = (cluster.id(0).await, cluster.id(1).await);

    let counter = Counter::start(store.clone(), &key);
    counter.goes_on().await;
    let () = command(&mut to, &format!("CLUSTER SETSLOT {slot} IMPORTING {from_id}")).await;
    let () = command(&mut from, &format!("CLUSTER SETSLOT {slot} MIGRATING {to_id}")).await;
    counter.goes_on().await;
    // What is new in the slot is counted where it goes.
    let fresh = store.clone().with_prefix("fresh");
    let (first, _) = counted(&fresh, &key).await;
    assert!(!keys(&mut from).await.iter().any(|key| key.starts_with("fresh")));
    assert!(keys(&mut to).await.iter().any(|key| key.starts_with("fresh")));

    for key in [&stored, &aside] {
        let port = cluster.nodes[1].port();
        let () = command(&mut from, &format!("MIGRATE 127.0.0.1 {port} {key} 0 5000")).await;
    }
    let get = |key: &str| redis::cmd("GET").arg(key).to_owned();
    let at_the_old = get(&stored).query_async::<String>(&mut from).await.unwrap_err();
    assert_eq!(at_the_old.kind(), ErrorKind::Server(ServerErrorKind::Ask));
    counter.goes_on().await;
    let (second, _) = counted(&fresh, &key).await;
    assert!(second < first, "{second}, {first}");

    for number in [1, 0, 2] {
        let mut node = cluster.nodes[number].connect().await;
        let () = command(&mut node, &format!("CLUSTER SETSLOT {slot} NODE {to_id}")).await;
    }
    let at_the_old = get(&stored).query_async::<String>(&mut from).await.unwrap_err();
    assert_eq!(at_the_old.kind(), ErrorKind::Server(ServerErrorKind::Moved));
    counter.goes_on().await;
    counter.was_exact(&store, &key).await;
    let (third, _) = counted(&fresh, &key).await;
    assert!(third < second, "{third}, {second}");
    for key in [&stored, &aside] {
        let left: i64 = command(&mut to, &format!("PTTL {key}")).await;
        assert!((1..=3_600_000).contains(&left), "{key} {left}");
    }
}

/// A node without slots gets one: no client knows the node before it is redirected there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slot_moves_to_a_new_node() {
    let Some(mut cluster) = RedisCluster::start().await else {
        return eprintln!("SKIPPED: no `redis-server` to make a cluster of");
    };
    let store = warmed(store_of(&cluster)).await;
    let key = a_key_each(&cluster, &store).await.remove(2);
    let new = cluster.add_node().await;
    let (mut from, mut to) = (cluster.nodes[2].connect().await, cluster.nodes[new].connect().await);
    let counter = Counter::start(store.clone(), &key);
    counter.goes_on().await;
    let (from_id, to_id) = (cluster.id(2).await, cluster.id(new).await);
    for stored in keys(&mut from).await {
        let slot: u16 = command(&mut from, &format!("CLUSTER KEYSLOT {stored}")).await;
        let () = command(&mut to, &format!("CLUSTER SETSLOT {slot} IMPORTING {from_id}")).await;
        let () = command(&mut from, &format!("CLUSTER SETSLOT {slot} MIGRATING {to_id}")).await;
        let port = cluster.nodes[new].port();
        let () = command(&mut from, &format!("MIGRATE 127.0.0.1 {port} {stored} 0 5000")).await;
        let () = command(&mut to, &format!("CLUSTER SETSLOT {slot} NODE {to_id}")).await;
        let () = command(&mut from, &format!("CLUSTER SETSLOT {slot} NODE {to_id}")).await;
    }
    assert_eq!(cluster.sizes().await[2], 0);
    counter.goes_on().await;
    counter.was_exact(&store, &key).await;
}
