//! Redis: counters that all replicas share.
//!
//! [`RedisStore`] counts in one server, `RedisClusterStore` (feature `redis-cluster`) in a Redis Cluster;
//! wrap either in [`StoreLimiter`](crate::limit::StoreLimiter), which says what happens while Redis, or
//! one node of the cluster, is away.
//!
//! # Deployment
//!
//! * Any Redis from 5.0, or a server that speaks its protocol and runs Lua. A user of its own needs
//!   `~mt:rl:*` and `+eval +evalsha +incr +pttl +pexpire +time +get +set +hmget +hset`, for a readiness
//!   check `+ping`, and on a cluster `+cluster|slots +asking`.
//! * Each count is one small key that expires by itself. Give the server `maxmemory` with an
//!   evicting policy (`allkeys-lru`, `volatile-ttl`): with `noeviction` a server that has run full
//!   refuses every count, and every limit falls back to the process at once.
//! * Windows end by the server's clock.
//! * A cluster needs `cluster-require-full-coverage no`. It is `yes` unless told otherwise, and then all
//!   nodes refuse every count when one of them is lost without a replica.
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

#[cfg(feature = "redis-cluster")]
mod cluster;
mod connection;
mod counting;
mod store;

#[cfg(feature = "redis-cluster")]
pub use self::cluster::RedisClusterStore;
pub use self::connection::RedisUrlError;
pub use self::store::RedisStore;
