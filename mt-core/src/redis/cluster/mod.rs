//! A store of counts in a Redis Cluster.

mod asking;
mod nodes;
mod slots;

use std::fmt;
use std::sync::Arc;

use futures_util::future::select_ok;
use redis::{ErrorKind, RedisError, ServerErrorKind};

use self::asking::Asking;
use self::nodes::{Node, Nodes};
use self::slots::{Address, slot_of};
use super::connection::RedisUrlError;
use super::counting::Counting;
use crate::limit::{Decision, LimitStore, Quota, StoreError};

/// How many redirections one count follows: to the new owner of the slot, from there to the node that it is being
/// moved to, and one more while nodes do not agree yet.
const REDIRECTIONS: usize = 3;

/// A store that counts in a Redis Cluster, by every [`Policy`](crate::limit::Policy).
///
/// A count is one key with one hash tag, so it is one atomic round trip to the master of its slot, by that
/// master's clock. Each master has a connection of its own. A master that is down, hung or out of reach affects
/// only the keys of its own slots, which [`StoreLimiter`](crate::limit::StoreLimiter) then decides without it.
///
/// # When the cluster changes
///
/// The old owner of a slot redirects to the new one, and the call follows: a node that redirects has not
/// counted. After a redirection, a failure or a call that was given up, the map of slots is refreshed in the
/// background, at most once a second. So a promoted replica is used about a second after its promotion, with
/// the counts that had reached it.
///
/// See the [module docs](super) for deployment.
///
/// ```no_run
/// use mt_core::limit::StoreLimiter;
/// use mt_core::redis::RedisClusterStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let some = ["redis://10.0.0.1:6379", "redis://10.0.0.2:6379"];
/// let limiter = StoreLimiter::new(RedisClusterStore::lazy(some)?);
/// # Ok(())
/// # }
/// ```
///
/// # Why not the client's own cluster connection
///
/// `redis::cluster_async` sends everything through one task, which stands still while it reads the map of
/// slots anew and reconnects to all nodes, as it does at each request for a node that is gone. With a
/// host that no longer answers, of the requests to the *other* nodes so many in a row are late that their
/// breakers open too, each second again. A test shows it (`limit/outage/cluster.rs`): with version 1.8 of the client, two
/// thirds of another node's counts are lost, and none with this store.
#[derive(Clone)]
pub struct RedisClusterStore {
    nodes: Arc<Nodes>,
    counting: Counting,
}

impl RedisClusterStore {
    /// Creates a store that connects at the first check, so a service starts while the cluster is away.
    ///
    /// `urls` name some nodes, one of which must be reachable; the others are discovered. User, password and
    /// TLS of the first URL are used for all nodes. Timeouts are those of
    /// [`RedisStore::lazy`](super::RedisStore::lazy), and a count that may have been made is not tried twice.
    /// Call it inside a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`RedisUrlError`] if there is no URL, or one is not `redis://…` or `rediss://…`.
    pub fn lazy<'a>(urls: impl IntoIterator<Item = &'a str>) -> Result<Self, RedisUrlError> {
        Ok(Self { nodes: Nodes::lazy(urls)?, counting: Counting::new() })
    }

    /// Begins every key with `prefix` instead of `mt:rl`, for applications that share a cluster.
    ///
    /// The prefix has no braces, which would put all keys into one slot.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.counting.prefix = prefix.into();
        self
    }

    /// Sends `PING`, for a readiness check. The answer of one node is enough: keys of the others are decided
    /// without them.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if no node answers in time.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let pings = self.nodes.known().into_iter().map(|node| {
            Box::pin(
                async move { redis::cmd("PING").query_async::<()>(&mut node.connection()).await },
            )
        });
        select_ok(pings).await.map(drop).map_err(StoreError::new)
    }
}

impl LimitStore for RedisClusterStore {
    async fn count(&self, key: &str, quota: Quota) -> Result<Decision, StoreError> {
        let key = self.counting.key(key, quota);
        let slot = slot_of(&key);
        let call = self.counting.call(key, quota);
        let refresh = self.nodes.refresh_on_drop();
        let (mut at, mut asking, mut has_moved) = (self.nodes.owner(slot), false, false);
        for _ in 0..=REDIRECTIONS {
            let counted = match asking {
                false => call.on(&mut at.connection()).await,
                true => call.on(&mut Asking(at.connection())).await,
            };
            let error = match counted {
                Ok(decision) => {
                    if !has_moved {
                        refresh.disarm();
                    }
                    return Ok(decision);
                }
                Err(error) => error,
            };
            let next = match redirection(&error, &at) {
                Some(Redirection::Moved(to)) => {
                    (asking, has_moved) = (false, true);
                    self.nodes.moved(slot, to)
                }
                Some(Redirection::Ask(to)) => {
                    asking = true;
                    self.nodes.at(to)
                }
                None => None,
            };
            at = next.ok_or_else(|| StoreError::new(error))?;
        }
        Err(StoreError::new("the nodes of the cluster redirect to one another"))
    }

    /// Returns the index of the master that has the key's slot.
    fn shard(&self, key: &str, quota: Quota) -> usize {
        self.nodes.place(slot_of(&self.counting.key(key, quota)))
    }
}

/// The redirection of a node.
enum Redirection {
    /// The slot has moved.
    Moved(Address),
    /// The slot is being moved, and this key may be at the new node.
    Ask(Address),
}

fn redirection(error: &RedisError, by: &Node) -> Option<Redirection> {
    let to = |error: &RedisError| Address::of_redirection(error.redirect_node()?.0, by.address());
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::Moved) => to(error).map(Redirection::Moved),
        ErrorKind::Server(ServerErrorKind::Ask) => to(error).map(Redirection::Ask),
        _ => None,
    }
}

impl fmt::Debug for RedisClusterStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisClusterStore")
            .field("prefix", &self.counting.prefix)
            .finish_non_exhaustive()
    }
}
