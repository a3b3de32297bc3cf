//! Redis: counters that all replicas share.
//!
//! [`RedisStore`] is the store; wrap it in [`StoreLimiter`](crate::limit::StoreLimiter), which says
//! what happens while Redis is away.
//!
//! # Deployment
//!
//! * Any Redis from 5.0, or a server that speaks its protocol and runs Lua. One key a check, so
//!   the same script runs on Redis Cluster; the client here talks to one server.
//! * Each count is one small key that expires by itself. Give the server `maxmemory` with an
//!   evicting policy (`allkeys-lru`, `volatile-ttl`): with `noeviction` a server that has run full
//!   refuses every count, and every limit falls back to the process at once.
//! * Windows end by the server's clock.
//!
//! # Example
//!
//! ```no_run
//! use mt_core::limit::StoreLimiter;
//! use mt_core::redis::RedisStore;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let limiter = StoreLimiter::new(RedisStore::lazy("redis://127.0.0.1:6379")?);
//! # Ok(())
//! # }
//! ```

mod connection;
mod counting;
mod store;

pub use self::connection::RedisUrlError;
pub use self::store::RedisStore;
