//! Jobs in another queue: [apalis] on Redis carries them, and mt decides about them.
//!
//! ```text
//! transaction of a tenant ── outbox ──→ Redis (apalis) ──→ transaction of the tenant
//!   seals the envelope        passes it on    retries         decides, has its effect once
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`comment`] | the job and its handler, as for mt's own queue |
//! | [`carry`] | the way to Redis: no envelope without its transaction, and none lost after it |
//! | [`work`](mod@work) | the worker of apalis |
//!
//! Redis is trusted with the order of jobs and nothing else. A client that can write to Redis cannot make an envelope,
//! because each has a seal. Removing a member needs no search in Redis, because the authority is decided when the job
//! runs. An envelope that is delivered twice has its effect once.
//!
//! This is a library with tests, which need a Postgres and a Redis:
//!
//! ```console
//! $ scripts/with-services cargo test -p jobs-elsewhere
//! ```
//!
//! # Why apalis
//!
//! In November 2026 these libraries were released within half a year:
//!
//! | library | newest release | |
//! | --- | --- | --- |
//! | apalis, apalis-redis | 1.0.0, October | tower services, the redis client that mt has, no sqlx |
//! | graphile_worker | 0.14.1, October | sqlx 0.9; keeps jobs in Postgres, as mt does |
//! | rusty-sidekiq | 0.15.2, September | Redis; shares its queue with Ruby programs |
//! | fang | 0.11.0, July | sqlx 0.8, which would be a second version, or diesel |
//!
//! [apalis]: https://docs.rs/apalis

pub mod carry;
pub mod comment;
pub mod work;
