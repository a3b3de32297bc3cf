//! Counts of rate limits in Redis, which all replicas share.
//!
//! [`RedisStore`] counts in one server, `RedisClusterStore` (feature `redis-cluster`) in a Redis Cluster.
//! Wrap either in [`StoreLimiter`](crate::limit::StoreLimiter), which decides while Redis, or one node of
//! the cluster, is away.
//!
//! # Deployment
//!
//! * Any Redis from 5.0, or a server that speaks its protocol and runs Lua. A user of its own needs
//!   `~mt:rl:*` and `+eval +evalsha +incr +pttl +pexpire +time +get +set`, for a readiness
//!   check `+ping`, and on a cluster `+cluster|slots +asking`.
//! * Each count is one small key that expires by itself. Give the server `maxmemory` with an
//!   evicting policy (`allkeys-lru`, `volatile-ttl`): with `noeviction` a server whose memory is full
//!   refuses every count, and every limit falls back to the process.
//! * Windows end by the server's clock.
//! * TLS (`rediss://`) needs the feature `redis-tls`. The server's certificate is verified against the certificates
//!   of the system, or those that the variables `SSL_CERT_FILE` and `SSL_CERT_DIR` of the process name; they are
//!   read with each new connection. rustls needs a crypto backend, which the binary picks: with one of rustls's
//!   features `aws_lc_rs` and `ring`, or by `CryptoProvider::install_default`.
//! * A cluster needs `cluster-require-full-coverage no`. With `yes`, the default, all nodes refuse every count
//!   if one of them is lost without a replica.
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
