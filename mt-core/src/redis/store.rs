//! A store of counts in one Redis server.

use std::fmt;

use redis::aio::ConnectionManager;

use super::connection::{self, RedisUrlError};
use super::counting::Counting;
use crate::limit::{Decision, LimitStore, Quota, StoreError};

/// A store that counts in one Redis server, by every [`Policy`](crate::limit::Policy).
///
/// See the [module docs](super) for deployment and an example.
#[derive(Clone)]
pub struct RedisStore {
    connection: ConnectionManager,
    counting: Counting,
}

impl RedisStore {
    /// Creates a store that connects at the first check, so a service starts while Redis is away.
    ///
    /// A connection attempt may take 100 ms and an answer 25 ms. Nothing is tried twice: the next check is
    /// the retry. Call it inside a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`RedisUrlError`] if `url` is not `redis://…`, or `rediss://…` with the feature `redis-tls`. The server is
    /// not contacted here.
    pub fn lazy(url: &str) -> Result<Self, RedisUrlError> {
        Ok(Self { connection: connection::lazy(url)?, counting: Counting::new() })
    }

    /// Checks whether [`lazy`](Self::lazy) accepts `url`, for a program that reads its settings before it has a runtime.
    ///
    /// # Errors
    ///
    /// [`RedisUrlError`].
    pub fn check_url(url: &str) -> Result<(), RedisUrlError> {
        connection::checked(url).map(drop)
    }

    /// Begins every key with `prefix` instead of `mt:rl`, for applications that share a server.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.counting.prefix = prefix.into();
        self
    }

    /// Sends `PING`, for a readiness check.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the server does not answer in time.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let mut connection = self.connection.clone();
        let pong: redis::RedisResult<()> = redis::cmd("PING").query_async(&mut connection).await;
        pong.map_err(StoreError::new)
    }
}

impl LimitStore for RedisStore {
    async fn count(&self, key: &str, quota: Quota) -> Result<Decision, StoreError> {
        let call = self.counting.call(self.counting.key(key, quota), quota);
        call.on(&mut self.connection.clone()).await.map_err(StoreError::new)
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("prefix", &self.counting.prefix).finish_non_exhaustive()
    }
}
