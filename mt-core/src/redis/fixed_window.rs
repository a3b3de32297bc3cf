//! Fixed windows in Redis, one atomic round trip each.

use std::fmt;
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Script};
use sha2::{Digest as _, Sha256};

use crate::limit::{Hits, StoreError, WindowStore};

/// Counts and gives the window an end in one atomic step, so that no crash in between leaves a
/// counter that never ends. A counter found without one is given one.
const HIT: &str = "
local count = redis.call('INCR', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
  left = tonumber(ARGV[1])
  redis.call('PEXPIRE', KEYS[1], left)
end
return {count, left}";

/// How much of a key's hash is kept, in hex digits: 128 bits.
const DIGITS: usize = 32;

/// The longest window in milliseconds, 34 years: Redis refuses an expiry that overflows its clock.
const LONGEST: u128 = 1 << 40;

/// Fixed windows in Redis, each beginning with the first request of its key.
///
/// See the [module docs](super) for deployment and an example.
#[derive(Clone)]
pub struct RedisFixedWindow {
    connection: ConnectionManager,
    script: Script,
    prefix: String,
}

impl RedisFixedWindow {
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
        Ok(Self { connection, script: Script::new(HIT), prefix: "mt:rl".to_owned() })
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

    /// The Redis key of a window. Hashed, so that its length and its characters do not depend on
    /// what a client sends; in braces, so that a cluster finds one slot for it whatever the prefix.
    fn redis_key(&self, key: &str, window: Duration) -> String {
        let mut hash = Sha256::new();
        hash.update(window.as_nanos().to_be_bytes());
        hash.update(key.as_bytes());
        let digits = hex::encode(hash.finalize());
        format!("{}:{{{}}}", self.prefix, &digits[..DIGITS])
    }
}

impl WindowStore for RedisFixedWindow {
    async fn hit(&self, key: &str, window: Duration) -> Result<Hits, StoreError> {
        // Redis counts in milliseconds and takes a window of none for a deletion.
        let millis = u64::try_from(window.as_millis().clamp(1, LONGEST)).unwrap_or(1);
        let (count, left): (u64, u64) = self
            .script
            .key(self.redis_key(key, window))
            .arg(millis)
            .invoke_async(&mut self.connection.clone())
            .await
            .map_err(StoreError::new)?;
        Ok(Hits { count, reset_after: Duration::from_millis(left) })
    }
}

/// The URL does not name a Redis server. The URL itself is not shown: it may hold a password.
#[derive(Debug, thiserror::Error)]
#[error("not a usable Redis URL: {category}")]
pub struct RedisUrlError {
    category: String,
}

impl fmt::Debug for RedisFixedWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisFixedWindow").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
