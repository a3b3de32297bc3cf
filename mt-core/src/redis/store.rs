//! Counts in one Redis server.

use std::fmt;

use redis::aio::ConnectionManager;

use super::connection::{self, RedisUrlError};
use super::counting::Counting;
use crate::limit::{LimitStore, Quota, StoreError, Verdict};

/// Counts in one Redis server, by every [`Policy`](crate::limit::Policy).
///
/// See the [module docs](super) for deployment and an example.
#[derive(Clone)]
pub struct RedisStore {
    connection: ConnectionManager,
    counting: Counting,
}

impl RedisStore {
    /// Connects at the first check and not before, so that a server starts while Redis is away.
    ///
    /// A connection attempt is given 100 ms, an answer 25 ms, and nothing is tried twice: the next
    /// check is the retry. Call it inside a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`RedisUrlError`] when `url` is not `redis://…` or `rediss://…`; whether anything listens
    /// there is not found out here.
    pub fn lazy(url: &str) -> Result<Self, RedisUrlError> {
        Ok(Self { connection: connection::lazy(url)?, counting: Counting::new() })
    }

    /// Begins every key with `prefix` instead of `mt:rl`, for applications that share a server.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.counting.prefix = prefix.into();
        self
    }

    /// Asks the server for a sign of life, for a readiness check.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when there is none within the time that an answer is given.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let mut connection = self.connection.clone();
        let pong: redis::RedisResult<()> = redis::cmd("PING").query_async(&mut connection).await;
        pong.map_err(StoreError::new)
    }
}

impl LimitStore for RedisStore {
    async fn count(&self, key: &str, quota: Quota) -> Result<Verdict, StoreError> {
        let call = self.counting.call(self.counting.key(key, quota), quota);
        call.on(&mut self.connection.clone()).await.map_err(StoreError::new)
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("prefix", &self.counting.prefix).finish_non_exhaustive()
    }
}
