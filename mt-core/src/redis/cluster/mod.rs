//! Counts in a Redis Cluster.

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
use crate::limit::{LimitStore, Quota, StoreError, Verdict};

/// How often one count follows where it is pointed: to where the slot was moved, from there to where it is
/// being moved, and once more for nodes that do not agree yet.
const REDIRECTIONS: usize = 3;

/// Counts in a Redis Cluster, by every [`Policy`](crate::limit::Policy).
///
/// A count is one key with one hash tag, so one atomic round trip to the master of its slot, whose clock
/// it goes by. Each master has a connection of its own, and what happens to it is no other's business:
/// one that is down, hung or out of reach costs the keys of its own slots, which
/// [`StoreLimiter`](crate::limit::StoreLimiter) then decides without it, and nothing else.
///
/// # When the cluster changes
///
/// A node that a slot was moved from, or is being moved from, points at the other, and the count follows
/// in the same call: what a node only points onwards, it has not counted. Such a hint, a failure or a
/// call that was given up has the map of slots read anew, in the background and once a second at most.
/// So a replica that takes over is counted on about a second after its promotion, with as much of the
/// counts before it as had reached it.
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
/// breakers open too, each second again.
#[derive(Clone)]
pub struct RedisClusterStore {
    nodes: Arc<Nodes>,
    counting: Counting,
}

impl RedisClusterStore {
    /// Connects at the first check and not before, so that a server starts while the cluster is away.
    ///
    /// `urls` name some nodes of it, one of which has to be in reach; the others are found. User,
    /// password and TLS of the first are taken for all of them. Timeouts are those of
    /// [`RedisStore::lazy`](super::RedisStore::lazy), and a count that may have been made is
    /// not tried twice. Call it inside a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`RedisUrlError`] when there is none, or one is not `redis://…` or `rediss://…`.
    pub fn lazy<'a>(urls: impl IntoIterator<Item = &'a str>) -> Result<Self, RedisUrlError> {
        Ok(Self { nodes: Nodes::lazy(urls)?, counting: Counting::new() })
    }

    /// Begins every key with `prefix` instead of `mt:rl`, for applications that share a cluster.
    ///
    /// Without braces, which would put all keys into one slot.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.counting.prefix = prefix.into();
        self
    }

    /// Asks the cluster for a sign of life, for a readiness check. That of one node is enough: the keys
    /// of the others are decided without them.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when there is none within the time that an answer is given.
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
    async fn count(&self, key: &str, quota: Quota) -> Result<Verdict, StoreError> {
        let key = self.counting.key(key, quota);
        let slot = slot_of(&key);
        let call = self.counting.call(key, quota);
        let doubt = self.nodes.doubt();
        let (mut at, mut asking, mut has_moved) = (self.nodes.owner(slot), false, false);
        for _ in 0..=REDIRECTIONS {
            let counted = match asking {
                false => call.on(&mut at.connection()).await,
                true => call.on(&mut Asking(at.connection())).await,
            };
            let error = match counted {
                Ok(verdict) => {
                    if !has_moved {
                        doubt.dispel();
                    }
                    return Ok(verdict);
                }
                Err(error) => error,
            };
            let next = match pointed(&error, &at) {
                Some(Pointed::Moved(to)) => {
                    (asking, has_moved) = (false, true);
                    self.nodes.moved(slot, to)
                }
                Some(Pointed::Ask(to)) => {
                    asking = true;
                    self.nodes.at(to)
                }
                None => None,
            };
            at = next.ok_or_else(|| StoreError::new(error))?;
        }
        Err(StoreError::new("the nodes of the cluster point at one another"))
    }

    /// The place of the master that has the key's slot.
    fn shard(&self, key: &str, quota: Quota) -> usize {
        self.nodes.place(slot_of(&self.counting.key(key, quota)))
    }
}

/// Where a node says that a slot is.
enum Pointed {
    /// From now on.
    Moved(Address),
    /// For this key, while it is on its way.
    Ask(Address),
}

fn pointed(error: &RedisError, by: &Node) -> Option<Pointed> {
    let to = |error: &RedisError| Address::of_redirection(error.redirect_node()?.0, by.address());
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::Moved) => to(error).map(Pointed::Moved),
        ErrorKind::Server(ServerErrorKind::Ask) => to(error).map(Pointed::Ask),
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
