//! Counts in Redis, one atomic round trip each.

use std::fmt;
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Script};
use sha2::{Digest as _, Sha256};

use crate::limit::{LimitStore, Policy, Quota, StoreError, Verdict};

/// How much of a key's hash is kept, in hex digits: 128 bits.
const DIGITS: usize = 32;

/// The longest window in milliseconds, ten years: its microseconds are exact in a Lua number.
const LONGEST: u128 = 10 * 366 * 24 * 60 * 60 * 1000;

/// Counts in Redis, by every [`Policy`].
///
/// See the [module docs](super) for deployment and an example.
#[derive(Clone)]
pub struct RedisStore {
    connection: ConnectionManager,
    scripts: Scripts,
    prefix: String,
}

/// A script for each policy.
#[derive(Clone)]
struct Scripts {
    fixed_window: Script,
    sliding_window: Script,
    gcra: Script,
}

impl Scripts {
    fn new() -> Self {
        Self {
            fixed_window: Script::new(include_str!("scripts/fixed_window.lua")),
            sliding_window: Script::new(include_str!("scripts/sliding_window.lua")),
            gcra: Script::new(include_str!("scripts/gcra.lua")),
        }
    }

    const fn of(&self, policy: Policy) -> &Script {
        match policy {
            Policy::FixedWindow => &self.fixed_window,
            Policy::SlidingWindow => &self.sliding_window,
            Policy::Gcra => &self.gcra,
        }
    }
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
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(Duration::from_millis(25)))
            .set_connection_timeout(Some(Duration::from_millis(100)))
            .set_number_of_retries(0)
            .set_pipeline_buffer_size(256);
        let connection = Client::open(url)
            .and_then(|client| ConnectionManager::new_lazy_with_config(client, config))
            .map_err(|error| RedisUrlError { category: error.category().to_owned() })?;
        Ok(Self { connection, scripts: Scripts::new(), prefix: "mt:rl".to_owned() })
    }

    /// Begins every key with `prefix` instead of `mt:rl`, for applications that share a server.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
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

    /// The Redis key of a count. Hashed, so that its length and its characters do not depend on
    /// what a client sends; in braces, so that a cluster finds one slot for it whatever the prefix.
    fn redis_key(&self, key: &str, quota: Quota) -> String {
        let mut hash = Sha256::new();
        hash.update(quota.window.as_nanos().to_be_bytes());
        let policy: &[u8] = match quota.policy {
            Policy::FixedWindow => b"",
            Policy::SlidingWindow => b"sliding:",
            Policy::Gcra => b"gcra:",
        };
        hash.update(policy);
        hash.update(key.as_bytes());
        let digits = hex::encode(hash.finalize());
        format!("{}:{{{}}}", self.prefix, &digits[..DIGITS])
    }
}

impl LimitStore for RedisStore {
    async fn count(&self, key: &str, quota: Quota) -> Result<Verdict, StoreError> {
        // Redis counts in milliseconds and takes a window of none for a deletion.
        let millis = u64::try_from(quota.window.as_millis().clamp(1, LONGEST)).unwrap_or(1);
        let (allowed, remaining, reset, retry): (bool, u32, u64, u64) = self
            .scripts
            .of(quota.policy)
            .key(self.redis_key(key, quota))
            .arg(quota.limit.get())
            .arg(millis)
            .invoke_async(&mut self.connection.clone())
            .await
            .map_err(StoreError::new)?;
        Ok(Verdict {
            allowed,
            remaining,
            reset_after: Duration::from_millis(reset),
            retry_after: Duration::from_millis(retry),
        })
    }
}

/// The URL does not name a Redis server. The URL itself is not shown: it may hold a password.
#[derive(Debug, thiserror::Error)]
#[error("not a usable Redis URL: {category}")]
pub struct RedisUrlError {
    category: String,
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
